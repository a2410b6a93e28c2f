package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Verification is what Verify found.
type Verification struct {
	// Checked tells what was checked and held, a line each, in the order it was.
	Checked []string `json:"checked"`
	// Broken names the first place that does not hold, and how; "" when the run's
	// documents are intact.
	Broken string `json:"broken,omitempty"`
}

// Verify checks that a run's documents belong together and are as they were
// written: the starts agree and name the request; the request has its digest; the
// journal is one chain from that digest, without a gap, tells of each attempt the
// start that asked for it, and goes through the point
// that each result names and tells of each effect what the result does; the plan is
// the one that the journal names; artifacts have the digests and sizes that the
// results tell.
//
// What no other document tells cannot be checked: a journal's end while its
// attempt has written no result, who asked for a start that came to no journal
// entry, and the other words of a plan or result. A run that is not
// there is NotFound; a store that cannot be read is an error. Anything else that
// is wrong is told in the Verification, with a nil error.
func (s *Store) Verify(ctx context.Context, ref ops.RunRef) (*Verification, error) {
	v := &verifier{s: s, ref: ref, found: &Verification{Checked: []string{}}}
	for _, step := range []func(context.Context) (string, error){
		v.list, v.checkStarts, v.checkRequest, v.checkAttempts, v.readResults, v.checkJournal, v.checkEnds, v.checkPlan, v.checkArtifacts,
	} {
		held, err := step(ctx)
		if b, ok := errors.AsType[*brokenError](err); ok {
			v.found.Broken = b.what
			return v.found, nil
		}
		// Documents that cannot be understood are what is looked for here; only
		// those that cannot be reached are an error.
		if e, ok := errors.AsType[*ops.Error](err); ok && e.Code == ops.Conflict {
			v.found.Broken = e.Message
			return v.found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("verifying run %s: %w", ref.Run, err)
		}
		if held != "" {
			v.found.Checked = append(v.found.Checked, held)
		}
	}
	return v.found, nil
}

// brokenError ends a verification.
type brokenError struct{ what string }

func (b *brokenError) Error() string { return b.what }

func broken(format string, args ...any) error {
	return &brokenError{what: fmt.Sprintf(format, args...)}
}

// A verifier holds what the steps learn, the journal's own lines excepted.
type verifier struct {
	s     *Store
	ref   ops.RunRef
	found *Verification

	// What is there, by number.
	starts, attempts, journal, ended []int

	request ops.Digest
	asked   map[int]ops.Digest // of each start
	results []ops.Result

	chain ops.Chain
	heads map[int64]ops.Digest // at the points that results name; of none, the request's digest
	ends  map[int]ops.Entry    // by attempt, as the journal tells
	told  *told
	odd   map[int]string // by attempt: in what its result differs from the journal
	plan  ops.Digest
}

// list notes what is there. Results come first and starts last, against the order
// in which they are written: so a run that goes on meanwhile looks as it did at one
// moment, and not as if something were missing.
func (v *verifier) list(ctx context.Context) (string, error) {
	for _, f := range []struct {
		into           *[]int
		folder, suffix string
		digits         int
	}{
		{&v.ended, "results", ".json", 4},
		{&v.journal, "journal", ".jsonl", 8},
		{&v.attempts, "attempts", ".json", 4},
		{&v.starts, "starts", ".json", 4},
	} {
		names, err := v.s.driver.List(ctx, runKey(v.ref, f.folder))
		if err != nil {
			return "", err
		}
		for _, name := range names {
			n, ok := numberOf(name, f.suffix, f.digits)
			if _, engine := numberOf(name, ".engine", 4); engine && f.folder == "starts" {
				continue
			}
			if !ok {
				return "", broken("%s does not belong there.", ops.Quote(f.folder+"/"+name))
			}
			*f.into = append(*f.into, n)
		}
	}
	return "", nil
}

func (v *verifier) newest() int { return v.attempts[len(v.attempts)-1] }

func (v *verifier) checkStarts(ctx context.Context) (string, error) {
	if len(v.starts) == 0 {
		return "", v.s.noRun(v.ref.Run)
	}
	v.asked = map[int]ops.Digest{}
	for i, n := range v.starts {
		if n != i+1 {
			return "", broken("starts/%s is missing.", number4(i+1))
		}
		st, err := mustRead[ops.Start](ctx, v.s, startKey(v.ref, n))
		if err != nil {
			return "", err
		}
		if i == 0 {
			v.request = st.Request
		}
		if v.asked[n], err = st.Digest(); err != nil {
			return "", err
		}
		switch {
		case st.N != n || st.Run != v.ref.Run || st.Lane != v.ref.Lane:
			return "", broken("starts/%s belongs to another start or run.", number4(n))
		case st.Request != v.request:
			return "", broken("starts/%s names another request than the first start.", number4(n))
		}
	}
	return fmt.Sprintf("starts: %d, all for request %s", len(v.starts), v.request.Short()), nil
}

func (v *verifier) checkRequest(ctx context.Context) (string, error) {
	_, err := v.s.Request(ctx, v.ref.Lane, v.request)
	switch ops.CodeOf(err) {
	case ops.NotFound:
		return "", broken("the request %s is missing.", v.request)
	case ops.Invalid:
		return "", broken("starts/%s names no request.", number4(1))
	}
	return "request: matches its digest", err
}

func (v *verifier) checkAttempts(ctx context.Context) (string, error) {
	for _, n := range v.attempts {
		a, err := mustRead[ops.Attempt](ctx, v.s, attemptKey(v.ref, n))
		if err != nil {
			return "", err
		}
		if a.N != n {
			return "", broken("attempts/%s is another attempt's.", number4(n))
		}
		if n > len(v.starts) {
			return "", broken("attempts/%s has no start.", number4(n))
		}
	}
	return fmt.Sprintf("attempts: %d, each was asked for", len(v.attempts)), nil
}

// readResults comes before the journal, so that only the points that results name
// need be kept of it.
func (v *verifier) readResults(ctx context.Context) (string, error) {
	v.heads = map[int64]ops.Digest{0: v.request}
	for _, n := range v.ended {
		r, err := mustRead[ops.Result](ctx, v.s, resultKey(v.ref, n))
		if err != nil {
			return "", err
		}
		if r.Attempt != n || r.Run != v.ref.Run {
			return "", broken("results/%s is of another attempt or run.", number4(n))
		}
		if !slices.Contains(v.attempts, n) {
			return "", broken("results/%s has no attempt.", number4(n))
		}
		if r.JournalEntries > 0 {
			v.heads[r.JournalEntries] = ""
		}
		v.results = append(v.results, *r)
	}
	return "", nil
}

func (v *verifier) checkJournal(ctx context.Context) (string, error) {
	v.chain, v.ends, v.told, v.odd = ops.NewChain(v.request), map[int]ops.Entry{}, newTold(), map[int]string{}
	attempt := 0
	for i, doc := range v.journal {
		if doc != i+1 {
			return "", broken("journal/%s is missing.", number8(i+1))
		}
		data, err := v.s.driver.Get(ctx, journalKey(v.ref, doc))
		if err != nil {
			return "", err
		}
		err = v.chain.Decode(data, func(e ops.Entry) error {
			if e.Attempt < attempt || !slices.Contains(v.attempts, e.Attempt) {
				return broken("entry %d is of attempt %d, which cannot be.", e.Seq, e.Attempt)
			}
			attempt = e.Attempt
			v.point(e.Seq-1, e.Prev)
			if err := v.note(e); err != nil {
				return err
			}
			v.compare(e.Seq)
			return nil
		})
		if err != nil {
			return "", broken("journal/%s: %s", number8(doc), err)
		}
	}
	v.point(v.chain.Entries, v.chain.Head)
	return fmt.Sprintf("journal: %d entries in %d documents, one unbroken chain", v.chain.Entries, len(v.journal)), nil
}

// compare looks at what results tell that saw so many entries.
func (v *verifier) compare(entries int64) {
	for i, r := range v.results {
		if r.JournalEntries == entries {
			v.odd[r.Attempt] = v.told.differs(&v.results[i])
		}
	}
}

// point keeps the head after so many entries, where a result names it.
func (v *verifier) point(entries int64, head ops.Digest) {
	if _, wanted := v.heads[entries]; wanted {
		v.heads[entries] = head
	}
}

func (v *verifier) note(e ops.Entry) error {
	switch e.Kind {
	case ops.EntryAttempt:
		// Journals of before this was told have none.
		if e.Digest != "" && e.Digest != v.asked[e.Attempt] {
			return broken("entry %d: attempt %d was asked for otherwise than starts/%s tells.", e.Seq, e.Attempt, number4(e.Attempt))
		}
	case ops.EntryEnd:
		v.ends[e.Attempt] = e
	case ops.EntryPlan:
		if v.plan != "" && e.Digest != v.plan {
			return broken("entry %d names another plan than an entry before.", e.Seq)
		}
		v.plan = e.Digest
	}
	return v.told.note(e)
}
