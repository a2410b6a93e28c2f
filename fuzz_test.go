package ops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// FuzzParse parses any text as any input, alone and beside another.
func FuzzParse(f *testing.F) {
	task := everyKind()
	for i := range task.Inputs {
		for _, text := range hostile {
			if len(text) < 200 {
				f.Add(uint8(i), text, text)
			}
		}
	}
	f.Add(uint8(200), "usrs", "1")
	f.Add(uint8(15), "", `{"a":[{"b":1.50}],"c":"\u007f"}`)
	f.Fuzz(func(t *testing.T, which uint8, name, text string) {
		raw := map[string]string{}
		if int(which) < len(task.Inputs) {
			raw[task.Inputs[which].Name] = text
		} else {
			raw[name] = text
		}
		checkParse(t, task, raw)
	})
}

// FuzzReadForm reads any text as a form. What is taken was given under that name, and
// the same when it is written and read again.
func FuzzReadForm(f *testing.F) {
	task := featureTask()
	for _, text := range []string{`{}`, `{"feature":"(choose)","enabled":true,"count":1.50,"more":"{\"feature\":\"X\"}"}`, `{"a":[],"more":"{\"a\":null}"}`, `{"mode":"perform","watch":null}`, `{"x":"\ud83d\ude00"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := task.ReadForm(text)
		if err != nil {
			var all *ops.InputErrors
			if !errors.As(err, &all) || len(all.Errors) == 0 {
				t.Fatalf("ReadForm returned %T without errors", err)
			}
			wantPrintable(t, err.Error())
			return
		}
		again := map[string]string{"mode": form.Mode, "plan": form.Plan, "confirm": form.Confirm, "reason": form.Reason, "watch": form.Watch}
		for name, value := range form.Inputs {
			if slices.Contains(ops.Reserved(), name) {
				return // an input of that name in "more", which Parse refuses
			}
			again[name] = value
		}
		data, err := ops.CanonicalJSON(again)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := task.ReadForm(string(data)); err != nil || !reflect.DeepEqual(form, second) {
			t.Errorf("read again: %+v, %v\nwas %+v", second, err, form)
		}
	})
}

// FuzzChainDecode reads any bytes as a journal. What is taken is exactly what the
// chain writes, and what is not is a conflict told in printable words.
func FuzzChainDecode(f *testing.F) {
	request := ops.DigestOf([]byte("request"))
	at := time.Date(2026, 11, 23, 14, 15, 2, 0, time.UTC)
	c := ops.NewChain(request)
	one, _ := c.Encode(ops.Entry{At: at, Attempt: 1, Kind: ops.EntryAttempt})
	two, _ := c.Encode(
		ops.Entry{At: at, Attempt: 1, Kind: ops.EntryIntent, Effect: "user/1", Before: ops.State{"n": 1.5, "s": "x<y"}},
		ops.Entry{At: at, Attempt: 1, Kind: ops.EntryOutcome, Effect: "user/1", Outcome: "done", Data: json.RawMessage(`{"a":1}`)})
	f.Add(one)
	f.Add(slices.Concat(one, two))
	f.Add(two)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		chain := ops.NewChain(request)
		var entries []ops.Entry
		err := chain.Decode(doc, func(e ops.Entry) error { entries = append(entries, e); return nil })
		if chain.Entries != int64(len(entries)) {
			t.Errorf("the chain counts %d entries and told of %d", chain.Entries, len(entries))
		}
		again := ops.NewChain(request)
		written, errEncode := again.Encode(entries...)
		if errEncode != nil {
			t.Fatalf("entries that were read cannot be written: %v", errEncode)
		}
		if again != chain || !bytes.HasPrefix(doc, written) {
			t.Errorf("read %q, wrote %q", doc, written)
		}
		if err != nil {
			if ops.CodeOf(err) != ops.Conflict {
				t.Errorf("the error %v has code %s, want conflict", err, ops.CodeOf(err))
			}
			wantPrintable(t, err.Error())
		} else if len(written) != len(doc) {
			t.Errorf("%d bytes were taken, %d were written", len(doc), len(written))
		}
	})
}

// FuzzRequest reads any bytes as a request, strictly as stores do, and wants its
// digest to survive being stored and read.
func FuzzRequest(f *testing.F) {
	b, _ := json.Marshal(sampleRequest())
	f.Add(b, "because")
	f.Add([]byte(`{"task":"x","inputs":null,"pace":{"unlimited":true}}`), "\xff\xfe")
	f.Add([]byte(`{"inputs":{"a":"<&>\u2028"}}`), `\ufffd`)
	f.Fuzz(func(t *testing.T, doc []byte, reason string) {
		r, err := decodeRequest(doc)
		if err != nil {
			return
		}
		for _, say := range []string{r.Reason, reason} {
			r.Reason = say
			stored, err := ops.CanonicalJSON(r)
			if err != nil {
				t.Fatal(err)
			}
			read, err := decodeRequest(stored)
			if err != nil {
				t.Fatalf("a request that was written cannot be read: %v", err)
			}
			if ops.DigestOf(stored) != r.Digest() || read.Digest() != r.Digest() {
				t.Errorf("the digest is %s before and %s after it was stored as %s", r.Digest(), read.Digest(), stored)
			}
			if _, err := ops.ParseDigest(string(read.Digest())); err != nil {
				t.Error(err)
			}
		}
	})
}

func decodeRequest(doc []byte) (*ops.Request, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	r := new(ops.Request)
	if err := dec.Decode(r); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one")
	}
	return r, nil
}

// FuzzRunID reads any text as a run ID; what is taken can be taken apart and put
// together again.
func FuzzRunID(f *testing.F) {
	for _, s := range []string{"20261123T141502Z-remove-user-3f9c", "20269999T999999Z-a-1234", "00000101T000000Z-a-12345678", "20261123T141502Z-a-b-c-0123456789abcdef", "20261123T141502Z--3f9c", "../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ops.ParseRunID(s)
		if err != nil {
			wantPrintable(t, err.Error())
			_, _ = ops.RunID(s).Time(), ops.RunID(s).Task() // documents may hold anything
			return
		}
		tail := s[strings.LastIndex(s, "-")+1:]
		if again := ops.NewRunID(id.Task(), id.Time(), tail); again != id {
			t.Errorf("%s is %s of %s, which make %s", id, id.Task(), id.Time(), again)
		}
		if strings.ContainsAny(s, "/\\.% \n") {
			t.Errorf("%q may not be a key in a store", s)
		}
	})
}

// FuzzShellQuote reads the quoted word as a POSIX shell does.
func FuzzShellQuote(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add("")
	f.Add("'")
	f.Add("~/x")
	f.Add("a=b*")
	f.Add("###[group]##['##[")
	f.Fuzz(func(t *testing.T, s string) {
		word, ok := shellWord(ops.ShellQuote(s))
		if !ok || word != s || strings.Contains(ops.ShellQuote(s), "##[") {
			t.Errorf("ShellQuote(%q) = %s, which a shell reads as %q (one plain word: %v)", s, ops.ShellQuote(s), word, ok)
		}
	})
}

// shellWord reads text made of bare safe characters, single-quoted strings and
// escaped single quotes. ok is false where a shell would see anything else.
func shellWord(q string) (word string, ok bool) {
	if q == "" {
		return "", false // no word at all
	}
	var b strings.Builder
	for q != "" {
		switch {
		case q[0] == '\'':
			inside, rest, ended := strings.Cut(q[1:], "'")
			if !ended {
				return "", false
			}
			b.WriteString(inside)
			q = rest
		case strings.HasPrefix(q, `\'`):
			b.WriteByte('\'')
			q = q[2:]
		case strings.ContainsRune(" \t\n\"\\$`;&|<>()*?[]#~{}!", rune(q[0])) || q[0] < ' ' || q[0] >= 0x7F:
			return "", false
		default:
			b.WriteByte(q[0])
			q = q[1:]
		}
	}
	return b.String(), true
}
