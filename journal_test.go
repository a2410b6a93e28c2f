package ops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"pgregory.net/rapid"
)

var requestDigest = ops.DigestOf([]byte("request"))

// anyText includes bytes that are not UTF-8: services answer with anything, and
// messages quote them.
var anyText = rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }), rapid.Just(`\ufffd`))

var anyValue = rapid.OneOf(
	rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(v bool) any { return v }),
	rapid.Map(anyText, func(v string) any { return v }), rapid.Map(rapid.Int64(), func(v int64) any { return v }),
	rapid.Map(rapid.Float64Range(-1e300, 1e300), func(v float64) any { return v }),
	rapid.Just[any](json.Number("1.50")), rapid.Just[any](map[string]any{"z": 1, "a": []string{"x\xff", "<&>"}}),
	rapid.Just[any](struct {
		Zone string
		Age  int
	}{"written before Age, and after it once read", 3}),
)

var anyState = rapid.Custom(func(t *rapid.T) ops.State {
	return ops.State(rapid.MapOfN(rapid.StringMatching(`[a-z]{1,6}`), anyValue, 0, 4).Draw(t, "state"))
})

var anyEntry = rapid.Custom(func(t *rapid.T) ops.Entry {
	e := ops.Entry{
		At:      time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
		Attempt: rapid.IntRange(1, 9).Draw(t, "attempt"),
		Kind:    rapid.SampledFrom([]ops.EntryKind{ops.EntryAttempt, ops.EntryIntent, ops.EntryOutcome, ops.EntryCheckpoint}).Draw(t, "kind"),
		Effect:  anyText.Draw(t, "effect"), Message: anyText.Draw(t, "message"), Before: anyState.Draw(t, "before"), After: anyState.Draw(t, "after"),
	}
	if rapid.Bool().Draw(t, "has data") {
		e.Data = rapid.SampledFrom([]json.RawMessage{json.RawMessage(`{"b":1,"a":[2.50]}`), json.RawMessage(`null`), json.RawMessage(`"<\u2028>"`), json.RawMessage(` [ 1 , 2 ] `)}).Draw(t, "data")
	}
	return e
})

// written is a journal as a worker wrote it.
type written struct {
	docs  [][]byte
	chain ops.Chain // at its end, as a result binds it
}

var anyJournal = rapid.Custom(func(t *rapid.T) written {
	w := written{chain: ops.NewChain(requestDigest)}
	for range rapid.IntRange(2, 5).Draw(t, "documents") {
		doc, err := w.chain.Encode(rapid.SliceOfN(anyEntry, 1, 3).Draw(t, "entries")...)
		if err != nil {
			t.Fatalf("Encode: %v", err)
		}
		w.docs = append(w.docs, doc)
	}
	return w
})

// read decodes the documents in order.
func read(docs [][]byte, fn func(ops.Entry) error) (ops.Chain, error) {
	c := ops.NewChain(requestDigest)
	for _, doc := range docs {
		if err := c.Decode(doc, fn); err != nil {
			return c, err
		}
	}
	return c, nil
}

// TestJournalReadsBackWhatWasWritten wants every journal that can be written to be
// readable, to the digits of its numbers, and to be written again the same.
func TestJournalReadsBackWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		var entries []ops.Entry
		c, err := read(w.docs, func(e ops.Entry) error { entries = append(entries, e); return nil })
		if err != nil {
			t.Fatalf("a healthy journal cannot be read: %v\n%s", err, bytes.Join(w.docs, nil))
		}
		if c != w.chain {
			t.Errorf("the chain ends at %+v, was written to %+v", c, w.chain)
		}
		for i, e := range entries {
			if e.Seq != int64(i+1) {
				t.Errorf("entry %d has number %d", i+1, e.Seq)
			}
		}
		again := ops.NewChain(requestDigest)
		doc, err := again.Encode(entries...)
		if err != nil || !bytes.Equal(doc, bytes.Join(w.docs, nil)) {
			t.Errorf("written again it is (%v)\n%s\nwas\n%s", err, doc, bytes.Join(w.docs, nil))
		}
	})
}

// TestJournalKeepsDigits pins two numbers that floating point would change.
func TestJournalKeepsDigits(t *testing.T) {
	c := ops.NewChain(requestDigest)
	doc, err := c.Encode(ops.Entry{Kind: ops.EntryOutcome, After: ops.State{"id": int64(9007199254740993), "price": json.Number("1.10")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read([][]byte{doc}, func(e ops.Entry) error {
		if got := fmt.Sprintf("%v %v", e.After["id"], e.After["price"]); got != "9007199254740993 1.10" {
			t.Errorf("read back %s", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestJournalTampering spoils a journal in every way a person or a disk can. What
// is before its last line, the journal itself tells; what is at its end, the
// entries and the head that a result binds.
func TestJournalTampering(t *testing.T) {
	t.Run("flip", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		i := rapid.IntRange(0, len(w.docs)-1).Draw(t, "document")
		at := rapid.IntRange(0, len(w.docs[i])-1).Draw(t, "byte")
		docs := slices.Clone(w.docs)
		docs[i] = bytes.Clone(docs[i])
		docs[i][at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		last := i == len(docs)-1 && !bytes.Contains(w.docs[i][at:len(w.docs[i])-1], []byte("\n"))
		wantFound(t, w, docs, !last)
	}))
	t.Run("drop document", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		i := rapid.IntRange(0, len(w.docs)-1).Draw(t, "document")
		wantFound(t, w, slices.Delete(slices.Clone(w.docs), i, i+1), i < len(w.docs)-1)
	}))
	t.Run("drop tail", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		wantFound(t, w, w.docs[:rapid.IntRange(0, len(w.docs)-1).Draw(t, "kept")], false)
	}))
	t.Run("swap documents", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		i := rapid.IntRange(0, len(w.docs)-2).Draw(t, "one")
		j := rapid.IntRange(i+1, len(w.docs)-1).Draw(t, "other")
		docs := slices.Clone(w.docs)
		docs[i], docs[j] = docs[j], docs[i]
		wantFound(t, w, docs, true)
	}))
	t.Run("repeat document", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		i := rapid.IntRange(0, len(w.docs)-1).Draw(t, "document")
		at := rapid.IntRange(0, len(w.docs)).Draw(t, "place")
		wantFound(t, w, slices.Insert(slices.Clone(w.docs), at, w.docs[i]), true)
	}))
	t.Run("drop, swap or repeat lines", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		lines := bytes.SplitAfter(bytes.TrimSuffix(bytes.Join(w.docs, nil), []byte("\n")), []byte("\n"))
		lines[len(lines)-1] = append(bytes.Clone(lines[len(lines)-1]), '\n')
		i := rapid.IntRange(0, len(lines)-2).Draw(t, "line")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines[i], lines[i+1] = lines[i+1], lines[i]
		case 2:
			lines = slices.Insert(lines, i, lines[i])
		}
		wantFound(t, w, [][]byte{bytes.Join(lines, nil)}, true)
	}))
	t.Run("cut", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		docs := slices.Clone(w.docs)
		last := docs[len(docs)-1]
		keep := rapid.IntRange(0, len(last)-1).Draw(t, "kept bytes")
		docs[len(docs)-1] = last[:keep]
		wholeLines := keep > 0 && last[keep-1] == '\n'
		wantFound(t, w, docs, !wholeLines)
	}))
	t.Run("insert bytes", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		i := rapid.IntRange(0, len(w.docs)-1).Draw(t, "document")
		at := rapid.IntRange(0, len(w.docs[i])).Draw(t, "place")
		more := rapid.SampledFrom([]string{" ", "\n", "{}\n", "}", "0", "\x00"}).Draw(t, "what")
		docs := slices.Clone(w.docs)
		docs[i] = slices.Insert(bytes.Clone(docs[i]), at, []byte(more)...)
		wantFound(t, w, docs, false)
	}))
	t.Run("other request", rapid.MakeCheck(func(t *rapid.T) {
		w := anyJournal.Draw(t, "journal")
		c := ops.NewChain(ops.DigestOf([]byte("another")))
		wantConflict(t, c.Decode(w.docs[0], nil))
	}))
}

// wantFound reads spoiled documents. When atOnce, reading itself must tell.
func wantFound(t *rapid.T, w written, docs [][]byte, atOnce bool) {
	c, err := read(docs, nil)
	switch {
	case err != nil:
		wantConflict(t, err)
	case atOnce:
		t.Errorf("the journal was read as if nothing had happened to it:\n%s", bytes.Join(docs, nil))
	case c == w.chain:
		t.Errorf("the journal ends as it was written, and was not:\n%s", bytes.Join(docs, nil))
	}
}

func wantConflict(t *rapid.T, err error) {
	if ops.CodeOf(err) != ops.Conflict || !strings.Contains(err.Error(), "entry") {
		t.Errorf("got %v, want a conflict that names the entry", err)
	}
}

// TestJournalNamesTheBrokenPlace pins the sentences.
func TestJournalNamesTheBrokenPlace(t *testing.T) {
	c := ops.NewChain(requestDigest)
	doc, err := c.Encode(ops.Entry{Kind: ops.EntryAttempt, Attempt: 1}, ops.Entry{Kind: ops.EntryIntent, Attempt: 1, Effect: "user/1"}, ops.Entry{Kind: ops.EntryOutcome, Attempt: 1, Effect: "user/1"})
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(doc, []byte("\n"))
	for _, c := range []struct {
		name string
		doc  []byte
		want string
	}{
		{"empty", nil, "the journal has an empty document after entry 0."},
		{"left out", slices.Concat(lines[0], lines[2]), "the journal has entry 3 where entry 2 belongs."},
		{"changed", bytes.Replace(doc, []byte("user/1"), []byte("user/2"), 1), "the journal's entry 3 does not follow the entry before it: one of the two was changed."},
		{"blank added", bytes.Replace(doc, []byte(`,"kind":"intent"`), []byte(`, "kind":"intent"`), 1), "the journal's entry 2 is not as it was written."},
		{"other field", bytes.Replace(doc, []byte(`"kind":"intent"`), []byte(`"kin":"intent"`), 1), "the journal's entry 2 cannot be read."},
		{"cut", doc[:len(doc)-1], "the journal's entry 3 is cut short."},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := ops.NewChain(requestDigest)
			if err := chain.Decode(c.doc, nil); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestDecodeStopsWhenAsked returns the reader's own error as it is.
func TestDecodeStopsWhenAsked(t *testing.T) {
	c := ops.NewChain(requestDigest)
	doc, _ := c.Encode(ops.Entry{}, ops.Entry{})
	stop, seen := errors.New("enough"), 0
	c = ops.NewChain(requestDigest)
	if err := c.Decode(doc, func(ops.Entry) error { seen++; return stop }); !errors.Is(err, stop) || seen != 1 {
		t.Errorf("got %v after %d entries", err, seen)
	}
}

// TestEncodeWritesAllOrNothing leaves the chain where it was when one entry cannot
// be written.
func TestEncodeWritesAllOrNothing(t *testing.T) {
	c := ops.NewChain(requestDigest)
	doc, err := c.Encode(ops.Entry{}, ops.Entry{Before: ops.State{"f": func() {}}})
	if err == nil || doc != nil || c != ops.NewChain(requestDigest) {
		t.Errorf("got %q, %v; the chain is at %+v", doc, err, c)
	}
}
