package migration

import "math"

// Work is the least that one type needs, in seconds of work without noise: comparing
// once what both sides had, and copying the rows that are new or changed, and no others but where
// copying along those between two is cheaper than another job.
type Work struct {
	Type            string
	Sum             float64 // comparing that, on either side
	Backup, Restore float64
	// Serial is what its restores take one after another: their work, and for each the
	// least that passes between its end and the next one's beginning.
	Serial  float64
	Recheck float64 // comparing again, on either side, what was copied
	Batch   float64 // restoring a whole batch, the most that one restore does
}

// A Silence is a time in which a stack answered nothing, in seconds.
type Silence struct{ From, Until float64 }

// Silences are those of a side so far, in order.
func (p *Pair) Silences(s Side) []Silence { return p.stacks[s].silent }

// Capacity is how many jobs a side's database can do at full speed.
func (p *Pair) Capacity(s Side) float64 { return p.stacks[s].capacity }

// fixed is a copying job's work whatever its rows; turn is a call to start it, an
// idle worker of eight that finds it, and half a call to see that it is over.
const (
	fixed    = 0.4
	turn     = 0.07 + 1.0/9 + 0.035
	sumFixed = 0.25
)

// Redelivery is how long a lost worker's job waits for another one, in seconds.
const Redelivery = 600

// Lost is the job that the lost worker held, and how many that side's workers had begun
// by then, it included; n is 0 when none was lost so far.
func (p *Pair) Lost() (r Ran, n int) {
	if p.lost.Kind == "" {
		return p.lost, 0
	}
	return p.lost, p.stacks[p.lost.Side].loses
}

// Least is the work of the smallest job, in seconds.
const Least = sumFixed

// Workload is the work of every type, as it stands before the run begins.
func (p *Pair) Workload() []Work {
	var out []Work
	for _, t := range p.types {
		src, dst := p.tables[Source][t.Name], p.tables[Destination][t.Name]
		per := func(micro, factor float64) float64 { return micro * 1e-6 * float64(p.config.Scale) * factor }
		b, r := per(1.3*t.Backup, p.factors[0]), per(t.Restore, p.factors[1])
		top := Span{0, never - 1} // what is new
		if m, any := dst.mark(); any {
			top.Min = m.Max + 1
		}
		old, _ := src.count(Span{0, top.Min - 1}) // what is new is compared once it is copied only
		w := Work{Type: t.Name, Sum: per(3.5, 1) * float64(old)}
		if old > 0 {
			w.Sum += sumFixed
		}
		group := func(s Span) int64 { _, g := src.count(s); return g }
		primary := func(s Span) int64 { n, _ := src.count(s); return n }
		w.Backup = p.least(src, top, group, b, b, fixed)
		w.Restore = p.least(src, top, group, r, r+per(60, 1), fixed)
		w.Serial = p.least(src, top, group, r, r+per(60, 1), fixed+turn)
		w.Batch = (r+per(60, 1))*float64(p.BatchSize()) + fixed + turn
		w.Recheck = p.least(src, top, primary, per(3.5, 1), per(3.5, 1), sumFixed)
		out = append(out, w)
	}
	return out
}

// least is what going through a type's new and changed rows takes at least, one job
// after another, when a row of top costs so much, any other row so much, and each
// job fixed beside: a job for each changed row and for top, or the rows between two
// taken along, whichever is less; and no copying job of more than a batch.
func (p *Pair) least(src table, top Span, count func(Span) int64, perNew, perOld, fixed float64) float64 {
	fresh := count(top)
	work, last := perNew*float64(fresh), int64(-1)
	add := func(s Span) {
		if last < 0 {
			work += fixed
		} else {
			work += min(fixed, perOld*float64(count(Span{last + 1, s.Min - 1})))
		}
		last = s.Max
	}
	if i, ok := src.(*intervals); ok {
		for _, c := range i.changes {
			if c.id >= top.Min {
				break // copied as new
			}
			work += perOld * float64(count(Span{c.id, c.id}))
			add(Span{c.id, c.id})
		}
	}
	if fresh > 0 {
		add(top)
		if fixed > sumFixed {
			work += fixed * (math.Ceil(float64(fresh)/float64(p.BatchSize())) - 1)
		}
	}
	return work
}
