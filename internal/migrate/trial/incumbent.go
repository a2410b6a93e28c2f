package trial

import (
	"strconv"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

func parse(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// An incumbent migrates as the utility in use does, with production's settings: one
// backup at a time on the main thread, restores started by a timer that ticks once
// a second, checksums type after type, whole bins copied. Where it would end, at a
// poll that fails or a job that fails, this one is kinder and simply asks again: a
// run that ended early would be no baseline.
type incumbent struct {
	p        *sim.Pair
	types    []sim.Type
	all      []string
	batch    int64
	salt     string
	marks    [2]map[string]sim.Mark
	readOnly bool

	waiting []sim.Request
	running []restoring
	nextAt  float64 // the timer's next tick
	ticking bool
}

type restoring struct {
	req sim.Request
	id  int64
}

// The incumbent's times, in seconds.
const (
	countdown  = 30
	sourcePoll = 0.1
	tick       = 1.0
)

func newIncumbent(p *sim.Pair) *incumbent {
	i := &incumbent{p: p, batch: p.BatchSize(), salt: "incumbent", nextAt: 0.1}
	i.types, i.all = p.Types()
	return i
}

// run migrates and returns when it is over.
func (i *incumbent) run() {
	i.call()
	i.call()
	i.p.SetStackStatus(sim.Destination, "READ_ONLY")
	for range 4 { // names of types and of primary types, of both
		i.call()
	}
	i.counts()
	i.pass(countdown)
	i.call()
	i.readOnly = i.p.StackStatus(sim.Source) == "READ_ONLY"
	for _, t := range i.types {
		for _, s := range i.outside(t.Name) {
			i.copy(t.Name, s)
		}
	}
	i.drain()
	for _, t := range i.types {
		for _, s := range i.bad(t.Name) {
			i.copy(t.Name, s)
		}
	}
	i.drain()
	i.counts()
	i.call()
	i.call()
	i.p.SetStackStatus(sim.Destination, "READ_WRITE")
}

// pass lets time pass on the main thread, and the timer tick meanwhile.
func (i *incumbent) pass(d float64) {
	until := i.p.Now() + d
	for i.nextAt < until && !i.ticking {
		i.p.Advance(max(i.nextAt, i.p.Now()))
		i.tick()
	}
	i.p.Advance(max(until, i.p.Now()))
}

func (i *incumbent) call() { i.pass(callTime) }

// tick polls every running restore and starts those that may, one call after
// another.
func (i *incumbent) tick() {
	i.ticking = true
	defer func() { i.ticking = false }()
	began := i.p.Now()
	for k := 0; k < len(i.running); k++ {
		i.p.Advance(i.p.Now() + callTime)
		st, err := i.p.Poll(sim.Destination, i.running[k].id)
		if err != nil || !st.Done {
			continue
		}
		r := i.running[k]
		i.running = append(i.running[:k:k], i.running[k+1:]...)
		k--
		if st.Error != "" {
			i.waiting = append([]sim.Request{r.req}, i.waiting...)
		}
	}
	for k := 0; k < len(i.waiting); k++ {
		if r := i.waiting[k]; i.may(r.Type) {
			i.p.Advance(i.p.Now() + callTime)
			id, err := i.p.Submit(sim.Destination, r)
			if err != nil {
				break
			}
			i.running = append(i.running, restoring{r, id})
			i.waiting = append(i.waiting[:k:k], i.waiting[k+1:]...)
			k--
		}
	}
	i.nextAt = max(began+tick, i.p.Now())
}

func (i *incumbent) may(name string) bool {
	if name == "CHANGE" {
		return len(i.running) == 0
	}
	for _, r := range i.running {
		if r.req.Type == name {
			return false
		}
	}
	return true
}

func (i *incumbent) drain() {
	for len(i.waiting)+len(i.running) > 0 {
		i.pass(1)
	}
}

// job runs one to its end.
func (i *incumbent) job(s sim.Side, r sim.Request) sim.Status {
	return i.jobs([]sim.Side{s}, []sim.Request{r})[0]
}

// jobs runs several at once to their ends, each polled in turn.
func (i *incumbent) jobs(sides []sim.Side, requests []sim.Request) []sim.Status {
	ids, out := make([]int64, len(sides)), make([]sim.Status, len(sides))
	submit := func(k int) {
		for {
			i.call()
			var err error
			if ids[k], err = i.p.Submit(sides[k], requests[k]); err == nil {
				return
			}
			i.pass(1)
		}
	}
	for k := range sides {
		submit(k)
	}
	for k := range sides {
		for {
			i.call()
			st, err := i.p.Poll(sides[k], ids[k])
			if err == nil && st.Done && st.Error == "" {
				out[k] = st
				break
			}
			if st.Error != "" {
				submit(k)
			}
			i.pass(sourcePoll)
		}
	}
	return out
}

var bothSides = []sim.Side{sim.Source, sim.Destination}

func (i *incumbent) counts() {
	r := sim.Request{Kind: sim.Counts, Types: i.all}
	for side, st := range i.jobs(bothSides, []sim.Request{r, r}) {
		if i.marks[side] != nil {
			continue // the second time it only logs
		}
		i.marks[side] = map[string]sim.Mark{}
		for _, m := range st.Marks {
			i.marks[side][m.Type] = m
		}
	}
}

// outside are the ranges that not both sides have.
func (i *incumbent) outside(name string) []sim.Span {
	src, dst := i.marks[0][name].Span, i.marks[1][name].Span
	if !i.marks[0][name].Any {
		return []sim.Span{dst}
	}
	lo, hi := max(src.Min, dst.Min), min(src.Max, dst.Max)
	if hi <= lo {
		return []sim.Span{{Min: src.Min, Max: max(src.Max, dst.Max)}}
	}
	var out []sim.Span
	if from := min(src.Min, dst.Min); from < lo {
		out = append(out, sim.Span{Min: from, Max: lo})
	}
	if to := max(src.Max, dst.Max); to > hi {
		out = append(out, sim.Span{Min: hi, Max: to})
	}
	return out
}

// copy cuts a range, backs each part up and queues its restore.
func (i *incumbent) copy(name string, s sim.Span) {
	got := i.job(sim.Source, sim.Request{Kind: sim.Ranges, Type: name, Span: s, Size: i.batch}).Ranges
	from := s.Min
	var parts []sim.Span
	for _, r := range got {
		parts = append(parts, sim.Span{Min: min(from, r.Min), Max: r.Max})
		from = r.Max + 1
	}
	if len(parts) == 0 {
		parts = []sim.Span{s}
	}
	parts[len(parts)-1].Max = s.Max
	for _, part := range parts {
		st := i.job(sim.Source, sim.Request{Kind: sim.Backup, Type: name, Span: part, Size: i.batch})
		i.waiting = append(i.waiting, sim.Request{Kind: sim.Restore, Type: name, Span: part, Size: i.batch, Key: st.Key})
	}
}

// bad are the whole bins in which the sides differ.
func (i *incumbent) bad(name string) []sim.Span {
	src, dst := i.marks[0][name], i.marks[1][name]
	if !src.Any && !dst.Any || !src.Any && !i.readOnly {
		return nil
	}
	lower, upper := src.Span.Min, src.Span.Max
	if dst.Any {
		lower = min(lower, dst.Span.Min)
		if i.readOnly {
			upper = max(upper, dst.Span.Max)
		}
	}
	r := sim.Request{Kind: sim.Checksum, Type: name, Span: sim.Span{Min: lower, Max: upper}, Size: i.batch, Salt: i.salt}
	got := i.jobs(bothSides, []sim.Request{r, r})
	bins := map[int64]sim.Bin{}
	for _, b := range got[1].Bins {
		bins[b.Number] = b
	}
	var out []sim.Span
	whole := func(n int64) { out = append(out, sim.Span{Min: n * i.batch, Max: min(n*i.batch+i.batch-1, upper)}) }
	for _, b := range got[0].Bins {
		if bins[b.Number] != b {
			whole(b.Number)
		}
		delete(bins, b.Number)
	}
	for n := range bins {
		whole(n)
	}
	return out
}
