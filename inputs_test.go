package ops_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var update = flag.Bool("update", false, "rewrite the golden files; review the difference")

// TestParseCorpora parses every testdata/inputs/SUBJECT/{ok,err}/*.json, the raw
// values as a form hands them over, and compares with the .out beside it. A new
// case is a new file and a run with -update.
func TestParseCorpora(t *testing.T) {
	files, err := filepath.Glob("testdata/inputs/*/*/*.json")
	if err != nil || len(files) < 60 {
		t.Fatalf("found %d corpus files (%v), want the whole corpus", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/inputs/"), func(t *testing.T) {
			raw := readRaw(t, file)
			task := everyKind()
			switch strings.Split(filepath.ToSlash(file), "/")[2] {
			case "form":
				task = form()
			case "bare":
				task = bare()
			}
			v, err := task.Parse(raw)
			var got string
			if filepath.Base(filepath.Dir(file)) == "ok" {
				if err != nil {
					t.Fatalf("Parse: %v", err)
				}
				wantIdempotent(t, task, v)
				got = describe(v)
			} else {
				if err == nil {
					t.Fatalf("Parse accepted it as %v", v.Canonical())
				}
				got = describeErrors(t, err)
			}
			wantPrintable(t, got)
			wantGolden(t, strings.TrimSuffix(file, ".json")+".out", got)
		})
	}
}

func readRaw(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]string{}
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return raw
}

func wantGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run with -update, and review what it writes)", err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// describe lists values and notes, a line each.
func describe(v ops.Values) string {
	var b strings.Builder
	canonical, masked := v.Canonical(), v.Masked()
	for _, name := range sortedKeys(canonical) {
		fmt.Fprintf(&b, "%s=%q\n", name, canonical[name])
		if masked[name] != canonical[name] {
			fmt.Fprintf(&b, "  shown as %q\n", masked[name])
		}
	}
	for _, n := range v.Notes() {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

// describeErrors lists the errors as people and as machines see them.
func describeErrors(t *testing.T, err error) string {
	t.Helper()
	var all *ops.InputErrors
	if !errors.As(err, &all) {
		t.Fatalf("Parse returned %T, want *ops.InputErrors", err)
	}
	if code := ops.CodeOf(err); code != ops.Invalid {
		t.Errorf("the code is %q, want invalid", code)
	}
	var b strings.Builder
	b.WriteString(all.Error() + "\n")
	for _, e := range all.Errors {
		fmt.Fprintf(&b, "value: %s %s\n", e.Input, e.Value)
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// wantIdempotent parses the canonical values again, as the worker does with a
// request, and wants the same values without a note of folding.
func wantIdempotent(t testing.TB, task *ops.Task, v ops.Values) {
	t.Helper()
	again, err := task.Parse(v.Canonical())
	if err != nil {
		t.Errorf("the canonical values %.300q are refused: %.300v", v.Canonical(), err)
		return
	}
	for _, in := range task.Inputs {
		if a, b := v.Text(in.Name), again.Text(in.Name); a != b {
			t.Errorf("input %s was %.200q and is %.200q when parsed again", in.Name, a, b)
		}
		if a, b := v.List(in.Name), again.List(in.Name); !slices.Equal(a, b) {
			t.Errorf("input %s was %.200q and is %.200q when parsed again", in.Name, a, b)
		}
		if a, b := v.Has(in.Name), again.Has(in.Name); a != b {
			t.Errorf("input %s: Has was %v and is %v when parsed again", in.Name, a, b)
		}
	}
}

// TestValuesByType reads each value through the accessor of its type, and finds
// the zero value through the others and where nothing was given.
func TestValuesByType(t *testing.T) {
	v, err := everyKind().Parse(map[string]string{"count": "7", "flag": "true", "users": "1,2", "object": `{"a":1}`, "text": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Int("count"); got != 7 {
		t.Errorf("Int(count) = %d, want 7", got)
	}
	if !v.Bool("flag") {
		t.Error("Bool(flag) = false, want true")
	}
	if got := v.List("users"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("List(users) = %q", got)
	}
	if got := v.JSON("object"); got != `{"a":1}` {
		t.Errorf("JSON(object) = %q", got)
	}
	if v.Int("text") != 0 || v.Bool("text") || v.List("text") != nil || v.JSON("text") != "" {
		t.Error("an accessor of another type answers for a text")
	}
	if v.Has("realm") || v.Text("realm") != "" || v.Int("least") != 0 {
		t.Error("an absent input has a value")
	}
	var none ops.Values
	if none.Has("x") || len(none.Canonical()) != 0 || len(none.Masked()) != 0 {
		t.Error("the zero Values holds something")
	}
}

// TestParseBoundsItsErrors gives a list with a thousand wrong items: a person
// mends twenty as well as a thousand.
func TestParseBoundsItsErrors(t *testing.T) {
	_, err := everyKind().Parse(map[string]string{"users": strings.Repeat("x1 ", 1000)})
	var all *ops.InputErrors
	if !errors.As(err, &all) || len(all.Errors) != 21 {
		t.Fatalf("got %d errors, want 20 and a count of the rest", len(all.Errors))
	}
	if last := all.Errors[20].Reason; last != "980 more values are wrong." {
		t.Errorf("the last error is %q", last)
	}
}

// TestParseRefusesWhatIsTooLong keeps one value under 4 MiB.
func TestParseRefusesWhatIsTooLong(t *testing.T) {
	_, err := everyKind().Parse(map[string]string{"users": strings.Repeat("12345678,", 500_000)})
	if err == nil || !strings.Contains(err.Error(), "4500000 bytes long") {
		t.Errorf("Parse: %v, want its length refused", err)
	}
	// Each ID grows by three bytes: the worker would refuse what the launcher took.
	_, err = everyKind().Parse(map[string]string{"entities": distinct(460_000)})
	if err == nil || !strings.Contains(err.Error(), "At most 4194304 are taken") {
		t.Errorf("Parse: %.200v, want the canonical form's length refused", err)
	}
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = fmt.Sprint(3_000_000 + i)
	}
	v, err := everyKind().Parse(map[string]string{"users": strings.Join(ids, "\n")})
	if err != nil || len(v.List("users")) != len(ids) {
		t.Errorf("100,000 users: %d parsed, %v", len(v.List("users")), err)
	}
}

// distinct lists n different numbers of seven digits.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", 1_000_000+i)
	}
	return b.String()
}
