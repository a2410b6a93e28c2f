package ops_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func featureTask() *ops.Task {
	return &ops.Task{Name: "set-feature", Class: ops.Changes, Inputs: []ops.Input{
		{Name: "feature", Kind: ops.KindChoice, Choices: []string{"SEARCH"}, Open: true, Pattern: `[A-Z_]+`},
		{Name: "enabled", Kind: ops.KindBoolean},
		{Name: "count", Kind: ops.KindInteger, Default: "5"},
	}}
}

func TestReadForm(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       ops.Form
	}{
		{"as GitHub writes it", `{"feature":"SEARCH","enabled":"true","count":7,"more":"","mode":"perform","plan":"sha256:ab","confirm":"x","reason":"why","watch":"start"}`,
			ops.Form{Inputs: map[string]string{"feature": "SEARCH", "enabled": "true", "count": "7"}, Mode: "perform", Plan: "sha256:ab", Confirm: "x", Reason: "why", Watch: "start"}},
		{"a boolean and a null", `{"feature":"SEARCH","enabled":false,"count":null,"mode":null}`,
			ops.Form{Inputs: map[string]string{"feature": "SEARCH", "enabled": "false"}, Mode: "plan", Watch: "all"}},
		{"nothing chosen", `{"feature":"(choose)","enabled":"(choose)","count":" "}`, ops.Form{Inputs: map[string]string{}, Mode: "plan", Watch: "all"}},
		{"more", `{"feature":"(choose)","more":"{\"feature\":\"NEW\",\"count\":2}"}`,
			ops.Form{Inputs: map[string]string{"feature": "NEW", "count": "2"}, Mode: "plan", Watch: "all"}},
		{"unknown names go to Parse", `{"other":"1","more":"{\"third\":\"3\"}"}`,
			ops.Form{Inputs: map[string]string{"other": "1", "third": "3"}, Mode: "plan", Watch: "all"}},
		{"digits are kept", `{"count":123456789012345678}`, ops.Form{Inputs: map[string]string{"count": "123456789012345678"}, Mode: "plan", Watch: "all"}},
		{"empty", `{}`, ops.Form{Inputs: map[string]string{}, Mode: "plan", Watch: "all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := featureTask().ReadForm(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadFormOfATaskThatReads(t *testing.T) {
	task := &ops.Task{Name: "canary", Class: ops.Reads}
	f, err := task.ReadForm(`{"reason":"why"}`)
	if err != nil || f.Mode != ops.ModePerform || f.Reason != "why" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestReadFormSaysAllThatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "not a JSON object"},
		{"null", "it is null"},
		{"[]", "it is a JSON array"},
		{`{"mode":"plan"} {}`, "something follows"},
		{`{"mode":"plan","mode":"perform"}`, "twice"},
		{"{\"reason\":\"\xff\"}", "UTF-8"},
		{`{"mode":"Perform"}`, `input "mode": "Perform" is not one of the choices. It is plan or perform.`},
		{`{"watch":"none"}`, "It is all or start."},
		{`{"count":[1]}`, `input "count": its value is not text.`},
		{`{"more":"[]"}`, `input "more"`},
		{`{"more":"{\"count\":1,\"count\":2}"}`, "twice"},
		{`{"more":"{\"count\":{}}"}`, `input "count"`},
		{`{"count":1,"more":"{\"count\":2}"}`, "both in its own field and in more"},
		{`{"reason":"\ud83d"}`, `half a character, \ud83d`},
		{`{"reason":"\ude00\ud83d"}`, `half a character, \ude00`},
		{`{"reason":"\ud83d\u0041"}`, `half a character`},
		{`{"mode":"a","watch":"b"}`, "It is all or start."},
	} {
		_, err := featureTask().ReadForm(c.text)
		if err == nil || ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.text, err, c.says)
		}
	}
	_, err := featureTask().ReadForm(`{"more":"ghp_0123456789abcdefghijABCDEFGHIJ012345"}`)
	if err == nil || strings.Contains(err.Error(), "ghp_") {
		t.Errorf("a token is shown: %v", err)
	}
}

func TestFormHoldsWhatGitHubShows(t *testing.T) {
	names := func(ins []ops.Input) (out []string) {
		for _, in := range ins {
			out = append(out, in.Name)
		}
		return out
	}
	fields, more := featureTask().FormInputs()
	if d := cmp.Diff([][]string{{"feature", "enabled", "count"}, {"feature"}}, [][]string{names(fields), names(more)}); d != "" {
		t.Error(d)
	}
	for _, class := range []ops.Class{ops.Reads, ops.Changes} {
		for n := range 40 {
			task := &ops.Task{Class: class}
			for i := range n {
				task.Inputs = append(task.Inputs, ops.Input{Name: fmt.Sprintf("i%02d", i), Kind: ops.KindText, Optional: i < 3})
			}
			fields, more := task.FormInputs()
			total := len(fields) + len(task.AskingFields())
			if len(more) > 0 {
				total++
			}
			if total > ops.MostFields || len(fields)+len(more) != n {
				t.Errorf("%s, %d inputs: %d fields in all, %d in more", class, n, total, len(more))
			}
			if len(more) > 0 && len(more) <= 3 && !more[len(more)-1].Optional {
				t.Errorf("%s, %d inputs: %q have no field, though others could be spared", class, n, names(more))
			}
			if len(more) > 0 && total < ops.MostFields {
				t.Errorf("%s, %d inputs: %d in more though there is room", class, n, len(more))
			}
		}
	}
}

// Whatever is typed into a form arrives as it was typed, or is refused.
func TestFormCarriesHostileText(t *testing.T) {
	task := &ops.Task{Name: "say", Class: ops.Changes, Inputs: []ops.Input{{Name: "text", Kind: ops.KindText, Optional: true}}}
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, escape := range []bool{false, true} {
				form := formOf(t, text, escape)
				f, err := task.ReadForm(form)
				switch {
				case err != nil:
					if ops.CodeOf(err) != ops.Invalid {
						t.Errorf("error %v", err)
					}
					wantPrintable(t, err.Error())
					if utf8.ValidString(text) {
						t.Errorf("it is refused: %v", err)
					}
				case f.Reason != text && strings.TrimSpace(text) != "" || f.Inputs["text"] != f.Reason:
					t.Errorf("it arrived as %.200q and %.200q", f.Inputs["text"], f.Reason)
				}
			}
		})
	}
}

// formOf writes a form with the text in two fields, as it is or in ASCII alone.
func formOf(t *testing.T, text string, escape bool) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	value := string(b)
	if !utf8.ValidString(text) {
		value = `"` + text + `"`
	}
	if escape {
		var ascii strings.Builder
		for _, r := range value {
			switch {
			case r < utf8.RuneSelf:
				ascii.WriteRune(r)
			case r > 0xffff:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&ascii, `\u%04x\u%04x`, high, low)
			default:
				fmt.Fprintf(&ascii, `\u%04x`, r)
			}
		}
		if utf8.ValidString(text) {
			value = ascii.String()
		}
	}
	return `{"text":` + value + `,"reason":` + value + `}`
}
