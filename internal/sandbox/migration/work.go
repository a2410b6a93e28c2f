package migration

// Work is what one type needs, in seconds of work without noise: comparing it once,
// and copying what is new and what changed.
type Work struct {
	Type                  string
	Sum                   float64
	BackupNew, RestoreNew float64
	BackupBad, RestoreBad float64
	// Serial is what its restores take one after another: their work, and for each the
	// least that passes between its end and the next one's beginning.
	Serial float64
}

// Capacity is how many jobs a side's database can do at full speed.
func (p *Pair) Capacity(s Side) float64 { return p.stacks[s].capacity }

// fixed is a copying job's work whatever its rows; turn is a call to start it, an
// idle worker of eight that finds it, and half a call to see that it is over.
const (
	fixed = 0.4
	turn  = 0.07 + 1.0/9 + 0.035
)

// finer is how finely a bad bin is looked at: rows of a part that holds no change
// need no copying.
const finer = 20

// Workload is the work of every type, as it stands before the run begins.
func (p *Pair) Workload() []Work {
	var out []Work
	scale := float64(p.config.Scale)
	for _, t := range p.types {
		src, dst := p.tables[Source][t.Name], p.tables[Destination][t.Name]
		whole := Span{0, never - 1}
		n, group := src.count(whole)
		w := Work{Type: t.Name, Sum: 0.25 + 3.5e-6*scale*float64(n)}
		per := func(micro, factor float64) float64 { return micro * 1e-6 * scale * factor }
		b, r := per(1.3*t.Backup, p.factors[0]), per(t.Restore, p.factors[1])
		fresh := float64(group)
		if m, any := dst.mark(); any {
			_, g := src.count(Span{m.Max + 1, never - 1})
			fresh = float64(g)
		}
		jobs := fresh / float64(p.BatchSize())
		w.BackupNew, w.RestoreNew = 0.4*jobs+b*fresh, 0.4*jobs+r*fresh
		if i, ok := src.(*intervals); ok {
			w.BackupBad, w.RestoreBad = i.touched(p.BatchSize()/finer, b, fixed), i.touched(p.BatchSize()/finer, r+60e-6, fixed)
			w.Serial = i.touched(p.BatchSize()/finer, r+60e-6, fixed+turn)
		}
		w.Serial += w.RestoreNew + turn*jobs
		out = append(out, w)
	}
	return out
}

// touched is the work of copying the parts of bins that hold a change, at so much a
// row. Where two do not touch, that is another job with its fixed cost, or the rows
// between are copied along, whichever is less.
func (t *intervals) touched(part int64, perRow, fixed float64) float64 {
	work, last := 0.0, int64(-1)
	cost := func(s Span) float64 {
		n, _ := t.count(s)
		return perRow * t.ratio * float64(n)
	}
	for _, c := range t.changes {
		b := c.id / part
		if b == last {
			continue
		}
		work += cost(Span{b * part, b*part + part - 1})
		switch {
		case last < 0:
			work += fixed
		case b > last+1:
			work += min(fixed, cost(Span{(last + 1) * part, b*part - 1}))
		}
		last = b
	}
	return work
}
