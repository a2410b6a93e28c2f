package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/redact"
	"pgregory.net/rapid"
)

// cases hold texts with secrets in them, and what may be seen of them.
var cases = []struct {
	name    string
	secrets []string
	in      string
	want    string
}{
	{"alone", []string{"hunter2222"}, "hunter2222", "[redacted]"},
	{"in a line", []string{"hunter2222"}, "token hunter2222 read\n", "token [redacted] read\n"},
	{"twice, touching", []string{"hunter2222"}, "hunter2222hunter2222", "[redacted][redacted]"},
	{"a false start", []string{"hunter2222"}, "huntehunter2222 hunter222", "hunte[redacted] hunter222"},
	{"one inside another", []string{"hunter2222", "my-hunter2222-x"}, "my-hunter2222-x hunter2222", "[redacted] [redacted]"},
	{"the inside alone, then not the outside", []string{"hunter2222", "my-hunter2222-x"}, "my-hunter2222-y", "my-[redacted]-y"},
	{"overlapping", []string{"abcdefgh", "efghijkl", "ijklmnop"}, "-abcdefghijklmnop-", "-[redacted]-"},
	{"overlapping itself", []string{"aaaaaaaa"}, "baaaaaaaaaaaaaaaaaaaab", "b[redacted]b"},
	{"several lines", []string{"first-line\nsecond-line"}, "a first-line\nsecond-line b", "a [redacted] b"},
	{"a line of several", []string{"first-line\r\nsecond-line\nx"}, "1: first-line\n2: second-line\n3: x\n", "1: [redacted]\n2: [redacted]\n3: x\n"},
	{"several lines with the other line end", []string{"aaaa1\nbbbb2\ncccc3"}, "aaaa1\r\nbbbb2\r\ncccc3", "[redacted]"},
	{"quoted", []string{"pass\"word\tü"}, fmt.Sprintf("%q %+q", "pass\"word\tü", "pass\"word\tü"), `"[redacted]" "[redacted]"`},
	{"in JSON", []string{"a<b>&\"cdefg"}, mustJSON("a<b>&\"cdefg") + ` {"k":"a<b>&\"cdefg"}`, `"[redacted]" {"k":"[redacted]"}`},
	{"in a URL", []string{"a b/c+d?e=f"}, url.QueryEscape("a b/c+d?e=f") + " " + url.PathEscape("a b/c+d?e=f") + " a%20b%2fc%2bd%3fe%3df", "[redacted] [redacted] [redacted]"},
	{"white space around it", []string{" hunter2222\n"}, "=hunter2222=", "=[redacted]="},
	{"not UTF-8", []string{"\xff\xfe\xfd1234567"}, "<\xff\xfe\xfd1234567>", "<[redacted]>"},
}

func mustJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func set(t *testing.T, secrets ...string) *redact.Set {
	t.Helper()
	s := new(redact.Set)
	for _, one := range secrets {
		if err := s.Add(one); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestWriter_EveryCut(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			s := set(t, tt.secrets...)
			for cut := range len(tt.in) + 1 {
				var out strings.Builder
				w := s.Writer(&out)
				mustWrite(t, w, tt.in[:cut])
				mustWrite(t, w, tt.in[cut:])
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if got := out.String(); got != tt.want {
					t.Errorf("cut at %d: wrote %q, want %q", cut, got, tt.want)
				}
			}
		})
	}
}

func TestWriter_ByteByByte(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			w := set(t, tt.secrets...).Writer(&out)
			for i := range len(tt.in) {
				mustWrite(t, w, tt.in[i:i+1])
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("wrote %q, want %q", got, tt.want)
			}
		})
	}
}

func mustWrite(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(w, s); err != nil || n != len(s) {
		t.Fatalf("Write took %d of %d bytes: %v", n, len(s), err)
	}
}

func TestSet_String_Base64(t *testing.T) {
	const secret = "S3cr3t~?token>with/bits"
	s := set(t, secret)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if got := strings.TrimRight(s.String(enc.EncodeToString([]byte(secret))), "="); got != redact.Mark {
			t.Errorf("alone it reads %q", got)
		}
		for _, before := range []string{"u:", "user:", "admin:"} { // the three alignments
			text := enc.EncodeToString([]byte(before + secret + ":after"))
			got := s.String(text)
			if !strings.Contains(got, redact.Mark) || len(got)-len(redact.Mark) > len(text)-len(secret)*4/3+4 {
				t.Errorf("after %q it reads %q", before, got)
			}
		}
	}
}

func TestSet_Add_TooShort(t *testing.T) {
	err := new(redact.Set).Add("zxcvbnm\n")
	if err == nil || strings.Contains(err.Error(), "zxcvbnm") || !strings.Contains(err.Error(), "7 bytes") {
		t.Errorf("error is %v, want one that names 7 bytes and not the secret", err)
	}
	if got := new(redact.Set).String("zxcvbnm"); got != "zxcvbnm" {
		t.Errorf("an empty set changed the text to %q", got)
	}
}

func TestWriter_HoldsBackOnlyABeginning(t *testing.T) {
	var out strings.Builder
	w := set(t, "hunter2222\nhunter3333").Writer(&out)
	mustWrite(t, w, "plain text\n")
	if got := out.String(); got != "plain text\n" {
		t.Errorf("wrote %q at once, want all of it", got)
	}
	mustWrite(t, w, "x hunter2222\n")
	if got := out.String(); got != "plain text\nx " {
		t.Errorf("wrote %q: a line end forced out what may go on", got)
	}
	mustWrite(t, w, "hunter4444\n")
	if got, want := out.String(), "plain text\nx [redacted]\nhunter4444\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestWriter_Flush(t *testing.T) {
	var out strings.Builder
	w := set(t, "hunter2222").Writer(&out)
	mustWrite(t, w, "is it hunt")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "is it hunt" {
		t.Errorf("after Flush %q was written", got)
	}
	mustWrite(t, w, "er2222? hunt")
	mustWrite(t, w, "er2222!")
	if got, want := out.String(), "is it hunt[redacted]? [redacted]!"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestWriter_AddWhileHolding(t *testing.T) {
	var out strings.Builder
	s := set(t, "hunter2222")
	w := s.Writer(&out)
	mustWrite(t, w, "early-bird hunter2")
	for _, one := range []string{"hunter2333", "ter2444-", "early-bird"} {
		if err := s.Add(one); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, w, "333 early-bird hun")
	mustWrite(t, w, "ter2222")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "early-bird [redacted] [redacted] [redacted]"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestWriter_AddAfterFlush(t *testing.T) {
	var out strings.Builder
	s := set(t, "hunter2222")
	w := s.Writer(&out)
	mustWrite(t, w, "hunter2")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("something-else"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, w, "222.")
	if got, want := out.String(), "hunter2[redacted]."; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestWriter_AddWhatWasFlushed(t *testing.T) {
	var out strings.Builder
	s := set(t, "hunter2222-and-more")
	w := s.Writer(&out)
	mustWrite(t, w, "hunter2222")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("hunter2222"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, w, " hunter2222.")
	if got, want := out.String(), "hunter2222 [redacted]."; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

type failing struct{ after int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriter_Errors(t *testing.T) {
	for name, s := range map[string]*redact.Set{"empty set": {}, "a secret": set(t, "hunter2222")} {
		t.Run(name, func(t *testing.T) {
			w := s.Writer(&failing{after: 1})
			mustWrite(t, w, "first")
			for range 2 { // it stays
				if n, err := io.WriteString(w, "second"); n != 0 || !errors.Is(err, errFull) {
					t.Errorf("Write = %d, %v; want the writer's error", n, err)
				}
			}
			if err := w.Close(); !errors.Is(err, errFull) {
				t.Errorf("Close = %v, want the writer's error", err)
			}
		})
	}
	w := redact.NewWriter(io.Discard)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := io.WriteString(w, "late"); err == nil {
		t.Error("a write after close was taken")
	}
}

// TestWriter_Concurrent writes lines and adds secrets from many goroutines: each
// line must arrive whole and masked. Run with -race.
func TestWriter_Concurrent(t *testing.T) {
	var out bytes.Buffer
	w := redact.NewWriter(&out)
	if err := w.Add("hunter2222"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				_, _ = io.WriteString(w, "a hunter2222 b\n")
				if i%10 == 0 {
					_ = w.Add(fmt.Sprintf("other-secret-%d-%d", g, i))
					_ = w.Flush()
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), strings.Repeat("a [redacted] b\n", 400); got != want {
		t.Errorf("wrote %.200q…, want 400 masked lines", got)
	}
}

// model masks by the definition: mark each maximal run of overlapping
// occurrences.
func model(secrets []string, text string) string {
	hit := make([]int, len(text)+1) // furthest end of an occurrence that begins here
	for _, s := range secrets {
		for i := 0; i+len(s) <= len(text); i++ {
			if text[i:i+len(s)] == s {
				hit[i] = max(hit[i], i+len(s))
			}
		}
	}
	var out strings.Builder
	until := 0
	for i := range len(text) {
		switch {
		case i < until:
			until = max(until, hit[i])
		case hit[i] > 0:
			out.WriteString(redact.Mark)
			until = hit[i]
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String()
}

func TestWriter_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab]{8,12}`), 1, 4).Draw(t, "secrets")
		pieces := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(secrets), rapid.StringMatching(`[abc]{0,9}`))).Draw(t, "pieces")
		text := strings.Join(pieces, "")
		longest := len(slices.MaxFunc(secrets, func(a, b string) int { return len(a) - len(b) }))
		s := new(redact.Set)
		for _, one := range secrets {
			if err := s.Add(one); err != nil {
				t.Fatal(err)
			}
		}
		var out strings.Builder
		w := s.Writer(&out)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			_, _ = io.WriteString(w, rest[:n])
			if hidden := len(model(secrets, text[:len(text)-len(rest)+n])) - out.Len(); hidden > longest+len(redact.Mark) {
				t.Fatalf("holds back %d bytes", hidden)
			}
			rest = rest[n:]
		}
		_ = w.Close()
		if want := model(secrets, text); out.String() != want {
			t.Fatalf("%q with secrets %q became %q, want %q", text, secrets, out.String(), want)
		}
	})
}

func FuzzWriter(f *testing.F) {
	f.Add("hunter2222", "hunter3333\nx", "a hunter2222 hunter3333", uint8(5))
	f.Add("aaaaaaaa", "aaaaaaaab", "aaaaaaaaaaaaab", uint8(9))
	f.Fuzz(func(t *testing.T, a, b, text string, cut uint8) {
		s := new(redact.Set)
		var added []string
		for _, one := range []string{a, b} {
			if s.Add(one) == nil {
				added = append(added, strings.TrimSpace(one))
			}
		}
		at := min(int(cut), len(text))
		var out strings.Builder
		w := s.Writer(&out)
		_, _ = io.WriteString(w, text[:at])
		_, _ = io.WriteString(w, text[at:])
		_ = w.Close()
		if got := s.String(text); got != out.String() {
			t.Errorf("in one piece %q, cut at %d %q", got, at, out.String())
		}
		for _, one := range added {
			// A mark may make up a new occurrence together with what is around it
			// only if the secret holds pieces of it.
			if strings.Contains(out.String(), one) && !strings.ContainsAny(one, redact.Mark) {
				t.Errorf("%q shows %q", out.String(), one)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	line := []byte("2026-11-23T14:15:02Z INFO effect user/3350396 done in 41 ms eyJhbGciOiJSUzI1NiJ9 and more of the line\n")
	for name, n := range map[string]int{"1 KiB token": 1 << 10, "16 KiB token": 16 << 10} {
		b.Run(name, func(b *testing.B) {
			w := redact.NewWriter(io.Discard)
			if err := w.Add("eyJhbGciOiJSUzI1NiJ8" + strings.Repeat("Q2F0", n/4)); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
