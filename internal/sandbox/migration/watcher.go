package migration

import (
	"fmt"
	"maps"
	"slices"
)

// A watcher sees every request and every job's end: it names broken rules, and
// counts work.
type watcher struct {
	violations []string
	jobs       map[Side]map[Kind]int
	copied     int64 // rows restored, secondaries included
	repeated   int   // jobs that did again what had been done
	repeats    []int64
	finished   map[string]bool

	readOnlyAt  float64
	outage      float64
	marks       map[string]Mark
	unfinished  map[int64]*job // restores
	last        map[string]Span
	afterSum    map[string]bool // summed since its last restore
	held        map[string][]holding
	changing    bool            // CHANGE was restored
	afterChange map[string]bool // summed at the destination since
	pairs       map[string][2]int
	sourceSpans map[string][]summing
	restores    map[string]int
	wrongAre    []string
}

// holding is what a restore put there, and when that was read.
type holding struct {
	span   Span
	moment int64
}

type summing struct {
	span Span
	at   float64
}

func (w *watcher) init() {
	w.jobs = map[Side]map[Kind]int{Source: {}, Destination: {}}
	w.finished = map[string]bool{}
	w.marks, w.unfinished = map[string]Mark{}, map[int64]*job{}
	w.last, w.afterSum = map[string]Span{}, map[string]bool{}
	w.pairs, w.sourceSpans, w.restores = map[string][2]int{}, map[string][]summing{}, map[string]int{}
	w.held, w.afterChange = map[string][]holding{}, map[string]bool{}
	w.readOnlyAt = -1
}

func (w *watcher) violate(at float64, format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf("%.1f s: ", at)+fmt.Sprintf(format, args...))
}

// Violation notes a request that breaks a rule of the protocol.
func (p *Pair) Violation(format string, args ...any) { p.violate(p.now, format, args...) }

// Repeats are the jobs, by ID, that did again what had been done.
func (p *Pair) Repeats() []int64 { return p.repeats }

// Violations lists the rules broken so far.
func (p *Pair) Violations() []string { return p.violations }

func (w *watcher) statusSet(status string, at float64) {
	switch {
	case status == "READ_ONLY" && w.readOnlyAt < 0:
		w.readOnlyAt = at
	case status == "READ_WRITE" && w.readOnlyAt >= 0:
		w.outage, w.readOnlyAt = w.outage+at-w.readOnlyAt, -1
	}
}

// judge looks at a request as it comes in.
func (p *Pair) judge(s Side, r Request) {
	p.watcher.jobs[s][r.Kind]++
	if _, ok := p.kinds[r.Type]; !ok && r.Kind != Counts {
		p.Violation("%s of %q, which is no primary type", r.Kind, r.Type)
	}
	switch r.Kind {
	case Backup, Ranges:
		if s != Source {
			p.Violation("a %s job on the destination", r.Kind)
		}
		if m, ok := p.marks[r.Type]; p.stacks[Source].status == "READ_WRITE" && ok && m.Any && r.Span.Max > m.Span.Max {
			p.Violation("%s of %s reaches %d, beyond the mark %d of a source that users write to", r.Kind, r.Type, r.Span.Max, m.Span.Max)
		}
		if len(p.marks) == 0 {
			p.Violation("%s of %s before the counts", r.Kind, r.Type)
		}
	case Checksum:
		key := fmt.Sprint(r.Type, r.Span, r.Size, r.Salt)
		n := p.pairs[key]
		n[s]++
		p.pairs[key] = n
		if s == Destination {
			p.afterChange[r.Type] = true
		}
		for _, j := range p.unfinished {
			if s == Destination && j.req.Type == r.Type {
				p.Violation("checksum of %s while it is being restored", r.Type)
			}
		}
	case Restore:
		p.judgeRestore(s, r)
	}
}

func (p *Pair) judgeRestore(s Side, r Request) {
	f, ok := p.files[r.Key]
	switch {
	case s != Destination:
		p.Violation("restore of %s on the source", r.Type)
		return
	case !ok:
		p.Violation("restore of %s from %q, which was never backed up", r.Type, r.Key)
		return
	case p.stacks[Destination].status != "READ_ONLY":
		p.Violation("restore of %s while the destination is %s", r.Type, p.stacks[Destination].status)
	}
	for _, j := range p.unfinished {
		switch {
		case j.req.Type == r.Type:
			p.Violation("two restores of %s at once", r.Type)
		case (j.req.Type == "CHANGE" || r.Type == "CHANGE") && !p.config.ChangeBeside:
			p.Violation("restore of %s beside one of %s", r.Type, j.req.Type)
		}
	}
	if last, ok := p.last[r.Type]; ok && f.span.Min < last.Min && !p.afterSum[r.Type] {
		p.Violation("restore of %s at %d after one at %d", r.Type, f.span.Min, last.Min)
	}
	for _, x := range p.held[r.Type] {
		if x.span.Min <= f.span.Max && f.span.Min <= x.span.Max && x.moment > f.moment {
			p.Violation("restore of %s from %d to %d as it was before what is there", r.Type, f.span.Min, f.span.Max)
			break
		}
	}
	switch {
	case r.Type == "CHANGE":
		p.changing = true
		clear(p.afterChange)
	case p.changing && !p.afterChange[r.Type] && !p.config.ChangeBeside:
		p.Violation("restore of %s after one of CHANGE, which was to come last", r.Type)
	}
	p.last[r.Type], p.afterSum[r.Type] = f.span, false
	p.unfinished[p.nextID+1+1_000_000] = &job{req: r}
}

// done notes the end of a job, and whether its work had been done before.
func (p *Pair) done(j *job) {
	delete(p.unfinished, j.id)
	if j.fails != "" && j.req.Kind == Checksum { // what it was for is compared in parts, or not at all
		p.pairs[fmt.Sprint(j.req.Type, j.req.Span, j.req.Size, j.req.Salt)] = [2]int{1, 1}
	}
	if j.fails != "" || j.again {
		return
	}
	var name string
	switch j.req.Kind {
	case Backup, Ranges, Checksum:
		name = fmt.Sprint(j.side, j.req.Kind, j.req.Type, j.req.Span, j.req.Size, j.req.Salt, p.restores[j.req.Type])
	case Restore:
		name = fmt.Sprint(j.req.Kind, j.req.Key)
	default:
		return
	}
	if p.finished[name] {
		p.repeated++
		p.repeats = append(p.repeats, j.id)
	}
	p.finished[name] = true
}

func (p *Pair) summed(j *job) {
	// A row that changes after it was first compared may lag behind; the finer sums
	// of the repair that follows do not change that.
	if j.side == Source {
		p.sourceSpans[j.req.Type] = append(p.sourceSpans[j.req.Type], summing{j.req.Span, p.now})
	}
	if j.side == Destination {
		p.afterSum[j.req.Type] = true
	}
}

func (p *Pair) marked(marks []Mark) {
	for _, m := range marks {
		if _, ok := p.kinds[m.Type]; ok {
			p.marks[m.Type] = m
		}
	}
}

// restored checks that no CHANGE is visible before what it describes.
func (p *Pair) restored(j *job, f file) {
	p.copied += f.group
	p.restores[j.req.Type]++
	held := slices.DeleteFunc(p.held[j.req.Type], func(x holding) bool { return f.span.Min <= x.span.Min && x.span.Max <= f.span.Max })
	p.held[j.req.Type] = append(held, holding{f.span, f.moment})
	if j.req.Type != "CHANGE" || p.config.Scale == 1 {
		return
	}
	nodes, ok := p.tables[Destination]["NODE"].(*rows)
	if !ok {
		return
	}
	src := p.tables[Source]["NODE"].(*rows)
	for _, x := range p.files[j.req.Key].rows {
		_, there := nodes.at(x.object)
		_, lives := src.at(x.object)
		if x.object != 0 && lives && !there {
			p.Violation("CHANGE %d is restored before NODE %d, which it describes", x.id, x.object)
			return
		}
	}
}

// A Summary is what became of a run.
type Summary struct {
	Jobs       map[string]map[string]int `json:"jobs"`
	Copied     int64                     `json:"rows_copied"`
	Changed    int64                     `json:"rows_changed"`
	Wrong      int64                     `json:"wrong_rows"`
	Behind     int64                     `json:"rows_behind"` // changed at the source after they were compared
	Repeated   int                       `json:"repeated"`
	WrongAre   []string                  `json:"wrong,omitempty"` // the first few
	Violations []string                  `json:"violations"`
	Outage     float64                   `json:"outage_s"`
	Requests   [2]int64                  `json:"requests"`
	SlotUse    [2]float64                `json:"slot_use"`
}

// Summary compares both stacks, row by row. While a migration runs it tells what is
// wrong so far.
func (p *Pair) Summary() Summary {
	s := Summary{Jobs: map[string]map[string]int{}, Copied: p.copied, Repeated: p.repeated, Violations: append([]string{}, p.violations...), Outage: p.outage}
	for _, key := range slices.Sorted(maps.Keys(p.pairs)) {
		if n := p.pairs[key]; n[Source] == 0 || n[Destination] == 0 {
			s.Violations = append(s.Violations, "checksum of one side only: "+key)
		}
	}
	p.wrongAre = nil
	if p.readOnlyAt >= 0 {
		s.Outage += p.now - p.readOnlyAt
	}
	for side, st := range p.stacks {
		s.Jobs[Side(side).String()] = map[string]int{}
		for _, k := range Kinds() {
			if n := p.watcher.jobs[Side(side)][k]; n > 0 {
				s.Jobs[Side(side).String()][string(k)] = n
			}
		}
		s.Requests[side] = st.requests
		if p.now > 0 {
			s.SlotUse[side] = st.busy / p.now / float64(st.slots)
		}
	}
	for _, t := range p.types {
		changed, wrong, behind := p.compare(t.Name)
		s.Changed, s.Wrong, s.Behind = s.Changed+changed, s.Wrong+wrong, s.Behind+behind
	}
	s.WrongAre = p.wrongAre
	return s
}

func (p *Pair) compare(name string) (changed, wrong, behind int64) {
	switch src := p.tables[Source][name].(type) {
	case *intervals:
		dst := p.tables[Destination][name].(*intervals)
		for _, c := range src.changes {
			if c.moment != never {
				changed++
			}
		}
		return changed + src.limit - min(src.base.rank(p.startOf(name)+1), src.limit), dst.wrong(), 0
	case *rows:
		dst := p.tables[Destination][name].(*rows)
		for i, j := 0, 0; i < len(src.rows) || j < len(dst.rows); {
			var id int64
			same := false
			switch {
			case j == len(dst.rows) || i < len(src.rows) && src.rows[i].id < dst.rows[j].id:
				id = src.rows[i].id
				i++
			case i == len(src.rows) || dst.rows[j].id < src.rows[i].id:
				id = dst.rows[j].id
				j++
			default:
				id, same = src.rows[i].id, src.rows[i] == dst.rows[j]
				i, j = i+1, j+1
			}
			switch {
			case same:
			case p.mayLag(name, src, id):
				behind++
			default:
				wrong++
				p.describe(name, id)
			}
		}
		return int64(len(src.changed)), wrong, behind
	}
	return 0, 0, 0
}

// describe notes a wrong row, for whoever has to find out why.
func (p *Pair) describe(name string, id int64) {
	if len(p.wrongAre) == 10 {
		return
	}
	at := func(t table) string {
		r := t.(*rows)
		if k, ok := r.at(id); ok {
			return fmt.Sprintf("%+v", r.rows[k])
		}
		return "none"
	}
	src := p.tables[Source][name].(*rows)
	p.wrongAre = append(p.wrongAre, fmt.Sprintf("%s %d: source %s, destination %s, changed %+v, summed %+v", name, id, at(src), at(p.tables[Destination][name]), src.changed[id], p.sourceSpans[name]))
}

// startOf is the highest ID the destination had at the beginning.
func (p *Pair) startOf(name string) int64 {
	s := situations[p.config.Situation]
	src := p.tables[Source][name].(*intervals)
	if s.fresh {
		return 0
	}
	n := src.base.total()
	old := max(1, n-int64(float64(n)*s.top+0.999999))
	return src.base.id(old - 1)
}

// mayLag: the source is written to, and the row changed after it was last compared
// or lies beyond the mark.
func (p *Pair) mayLag(name string, src *rows, id int64) bool {
	if p.stacks[Source].status != "READ_WRITE" {
		return false
	}
	if m := p.marks[name]; id > m.Span.Max {
		return true
	}
	c, ok := src.changed[id]
	if !ok || c.at < 0 {
		return false
	}
	// The first time: a job delivered twice, or one whose twin was quicker, sums once
	// more what nobody reads.
	for _, s := range p.sourceSpans[name] {
		if s.span.Min <= id && id <= s.span.Max {
			return c.at >= s.at
		}
	}
	return false
}

// Rows is how many rows there are of each type at the source, primaries only.
func (p *Pair) Rows() map[string]int64 {
	out := map[string]int64{}
	for _, t := range p.types {
		out[t.Name], _ = p.tables[Source][t.Name].count(Span{0, never - 1})
	}
	return out
}
