package migration

// Work is what one type needs, in seconds of work without noise: comparing it once,
// and copying what is new and what changed.
type Work struct {
	Type                  string
	Sum                   float64
	BackupNew, RestoreNew float64
	BackupBad, RestoreBad float64
}

// Capacity is how many jobs a side's database can do at full speed.
func (p *Pair) Capacity(s Side) float64 { return p.stacks[s].capacity }

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
			bad, parts := i.touched(p.BatchSize() / finer)
			w.BackupBad, w.RestoreBad = b*bad+0.4*parts, (r+60e-6)*bad+0.4*parts
		}
		out = append(out, w)
	}
	return out
}

// touched is how many rows the parts of bins have that hold a change, and how many
// batches they fill at least.
func (t *intervals) touched(part int64) (group, batches float64) {
	last := int64(-1)
	var rows int64
	for _, c := range t.changes {
		if b := c.id / part; b != last {
			n, _ := t.count(Span{b * part, b*part + part - 1})
			rows += n
			last = b
		}
	}
	group = float64(rows) * t.ratio
	return group, group / float64(part*finer)
}
