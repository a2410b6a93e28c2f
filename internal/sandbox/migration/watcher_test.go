package migration

import (
	"math"
	"strings"
	"testing"
)

// A hand migrates a pair step by step.
type hand struct {
	*testing.T
	p *Pair
}

// start asks for a job.
func (h hand) start(s Side, r Request) int64 {
	h.Helper()
	if r.Size == 0 {
		r.Size = 50
	}
	id, err := h.p.Submit(s, r)
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// end waits for one.
func (h hand) end(s Side, id int64) Status {
	h.Helper()
	for !math.IsInf(h.p.Next(), 1) {
		h.p.Advance(h.p.Next())
		if st, err := h.p.Poll(s, id); err != nil || st.Done {
			if err != nil || st.Error != "" {
				h.Fatal(st.Error, err)
			}
			return st
		}
	}
	h.Fatalf("job %d never ends", id)
	return Status{}
}

func (h hand) counts() {
	for _, s := range []Side{Source, Destination} {
		h.end(s, h.start(s, Request{Kind: Counts, Types: []string{"TEAM", "ACL", "CHANGE"}}))
	}
}

func (h hand) backup(name string, from, to int64) string {
	return h.end(Source, h.start(Source, Request{Kind: Backup, Type: name, Span: Span{from, to}})).Key
}

func (h hand) restore(name, key string) {
	h.end(Destination, h.start(Destination, Request{Kind: Restore, Type: name, Key: key}))
}

func (h hand) compare(name string, from, to int64) {
	for _, s := range []Side{Source, Destination} {
		h.end(s, h.start(s, Request{Kind: Checksum, Type: name, Span: Span{from, to}, Salt: "salt"}))
	}
}

// TestEachBrokenRuleIsNamed as it is broken, and what keeps the rules is not.
func TestEachBrokenRuleIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		open bool // the source is
		do   func(h hand)
		want string // "": nothing
	}{
		"by the rules": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("TEAM", 10, 19)
			h.restore("TEAM", k1)
			h.restore("TEAM", k2)
			h.compare("TEAM", 1, 19)
			h.restore("TEAM", h.backup("TEAM", 5, 6))
			h.restore("CHANGE", h.backup("CHANGE", 1, 100))
		}, ""},
		"the same file once more": {false, func(h hand) {
			k := h.backup("TEAM", 1, 9)
			h.restore("TEAM", k)
			h.restore("TEAM", k)
		}, ""},
		"an open destination": {false, func(h hand) {
			h.p.SetStackStatus(Destination, "READ_WRITE")
			h.restore("TEAM", h.backup("TEAM", 1, 9))
		}, "restore of TEAM while the destination is READ_WRITE"},
		"two of a type": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("TEAM", 20, 29)
			h.start(Destination, Request{Kind: Restore, Type: "TEAM", Key: k1})
			h.start(Destination, Request{Kind: Restore, Type: "TEAM", Key: k2})
		}, "two restores of TEAM at once"},
		"CHANGE beside another": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("CHANGE", 1, 9)
			h.start(Destination, Request{Kind: Restore, Type: "TEAM", Key: k1})
			h.start(Destination, Request{Kind: Restore, Type: "CHANGE", Key: k2})
		}, "restore of CHANGE beside one of TEAM"},
		"another that was to come before CHANGE": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("CHANGE", 1, 9)
			h.restore("CHANGE", k2)
			h.restore("TEAM", k1)
		}, "restore of TEAM after one of CHANGE"},
		"another after CHANGE, compared again": {false, func(h hand) {
			h.restore("CHANGE", h.backup("CHANGE", 1, 9))
			h.compare("TEAM", 1, 9)
			h.restore("TEAM", h.backup("TEAM", 1, 9))
		}, ""},
		"descending": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("TEAM", 10, 19)
			h.restore("TEAM", k2)
			h.restore("TEAM", k1)
		}, "restore of TEAM at 1 after one at 10"},
		"an older file after a newer": {false, func(h hand) {
			k1, k2 := h.backup("TEAM", 1, 9), h.backup("TEAM", 5, 14)
			h.restore("TEAM", k2)
			h.compare("TEAM", 1, 19)
			h.restore("TEAM", k1)
		}, "restore of TEAM from 1 to 9 as it was before what is there"},
		"beyond the mark":                     {true, func(h hand) { h.backup("TEAM", 1, 1_000_000) }, "beyond the mark"},
		"beyond the mark of a source at rest": {false, func(h hand) { h.backup("TEAM", 1, 1_000_000) }, ""},
		"a file that is not there": {false, func(h hand) {
			h.start(Destination, Request{Kind: Restore, Type: "TEAM", Key: "none"})
		}, `restore of TEAM from "none", which was never backed up`},
		"a comparison of what is being restored": {false, func(h hand) {
			h.start(Destination, Request{Kind: Restore, Type: "TEAM", Key: h.backup("TEAM", 1, 9)})
			h.compare("TEAM", 1, 9)
		}, "checksum of TEAM while it is being restored"},
		"a comparison with nothing": {false, func(h hand) {
			h.end(Source, h.start(Source, Request{Kind: Checksum, Type: "TEAM", Span: Span{1, 9}, Salt: "salt"}))
			h.end(Destination, h.start(Destination, Request{Kind: Checksum, Type: "TEAM", Span: Span{1, 9}, Salt: "another"}))
		}, "checksum of one side only"},
		"a backup of the destination": {false, func(h hand) { h.start(Destination, Request{Kind: Backup, Type: "TEAM", Span: Span{1, 9}}) }, "a backup job on the destination"},
		"a restore of the source":     {false, func(h hand) { h.start(Source, Request{Kind: Restore, Type: "TEAM", Key: h.backup("TEAM", 1, 9)}) }, "restore of TEAM on the source"},
	} {
		t.Run(name, func(t *testing.T) {
			situation := "final"
			if c.open {
				situation = "nightly"
			}
			p, err := New(Config{Seed: 1, Profile: "E", Situation: situation, Scale: 5000, Types: []string{"TEAM", "ACL", "CHANGE"}})
			if err != nil {
				t.Fatal(err)
			}
			h := hand{t, p}
			p.SetStackStatus(Destination, "READ_ONLY")
			h.counts()
			before := len(p.Violations())
			c.do(h)
			got := p.Summary().Violations[before:]
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("broken, it says: %q", got)
			case c.want != "" && (len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), c.want)):
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

// TestWorkDoneTwiceIsCounted, unless somebody restored in between.
func TestWorkDoneTwiceIsCounted(t *testing.T) {
	p, err := New(Config{Seed: 1, Profile: "E", Situation: "final", Scale: 1000, Types: []string{"TEAM"}})
	if err != nil {
		t.Fatal(err)
	}
	h := hand{t, p}
	p.SetStackStatus(Destination, "READ_ONLY")
	h.end(Source, h.start(Source, Request{Kind: Counts, Types: []string{"TEAM"}}))
	k := h.backup("TEAM", 1, 9)
	h.compare("TEAM", 1, 9)
	h.restore("TEAM", k)
	h.compare("TEAM", 1, 9)
	if n := p.Summary().Repeated; n != 0 {
		t.Errorf("%d jobs count as done twice, want none", n)
	}
	h.compare("TEAM", 1, 9)
	h.restore("TEAM", k)
	if n := p.Summary().Repeated; n != 3 {
		t.Errorf("%d jobs count as done twice, want a comparison and a restore: 3", n)
	}
}
