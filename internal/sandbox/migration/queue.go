package migration

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// deliver puts a job where a worker finds it.
func (p *Pair) deliver(j *job) {
	st := p.stacks[j.side]
	idle := st.slots - len(st.running) - len(st.picking)
	if idle <= 0 {
		st.queue = append(st.queue, j)
		return
	}
	// Of n idle machines that look once a second, the first one's look.
	u := random(p.config.Seed, "pick", string(j.req.Kind), j.req.Type, number(j.req.Span.Min), number(j.id)).Float64()
	j.starts = p.now + 1 - math.Pow(1-u, 1/float64(idle))
	st.picking = append(st.picking, j)
}

// begin is when a worker picks a job up.
func (p *Pair) begin(j *job) {
	st := p.stacks[j.side]
	st.begun++
	name := fmt.Sprint(j.side, j.req.Kind, j.req.Type, j.req.Span, j.req.Size, len(j.req.Salt) > 0)
	p.tries[name]++
	r := random(p.config.Seed, "job", name, number(int64(p.tries[name])))
	const sigma = 0.25
	j.remaining = p.cost(j) * math.Exp(sigma*r.NormFloat64()-sigma*sigma/2)
	if r.IntN(500) == 0 {
		j.remaining *= 4
	}
	j.fails = ""
	if p.config.Faults && r.IntN(2000) == 0 {
		j.fails = "Deadlock found when trying to get lock; try restarting transaction"
	}
	if j.req.Kind == Restore {
		p.meet(j, r)
	}
	if id, ok := p.config.Broken[j.req.Type]; ok && j.req.Kind == Backup && j.req.Span.Min <= id && id <= j.req.Span.Max {
		j.fails = "java.lang.IllegalArgumentException: a row could not be read"
	}
	if id, ok := p.config.Unsummed[j.req.Type]; ok && j.req.Kind == Checksum && j.req.Span.Min <= id && id <= j.req.Span.Max {
		j.fails = "java.sql.SQLException: Lock wait timeout exceeded"
	}
	if j.req.Kind == Ranges && slices.Contains(p.config.Uncut, j.req.Type) {
		j.fails = "java.sql.SQLException: Query execution was interrupted"
	}
	if o := p.config.Outage; j.side == o.Side && o.From <= p.now && p.now < o.Until {
		j.fails, j.remaining = "Communications link failure", min(j.remaining, 1)
	}
	j.begun, j.ends = p.now, 0
	if st.begun == st.loses { // its machine is gone; the message comes back after its visibility
		j.ends = p.now + Redelivery
		p.lost = Ran{Side: j.side, Kind: j.req.Kind, Type: j.req.Type, Span: j.req.Span, Began: p.now, Ended: j.ends}
	}
	st.running = append(st.running, j)
}

// meet: two restores of one type that overlap in time; the later one fails, always
// when their ranges touch.
func (p *Pair) meet(j *job, r *rand.Rand) {
	f := p.files[j.req.Key]
	for _, o := range p.stacks[j.side].running {
		if o == j || o.req.Kind != Restore || o.req.Type != j.req.Type {
			continue
		}
		g := p.files[o.req.Key]
		if f.span.Min <= g.span.Max+1 && g.span.Min <= f.span.Max+1 || r.IntN(2) == 0 {
			j.fails = "Deadlock found when trying to get lock; try restarting transaction"
			j.remaining = min(j.remaining, 1)
		}
	}
}

// Next is when something happens next.
func (p *Pair) Next() float64 {
	at := p.nextWrite
	for _, st := range p.stacks {
		rate := st.rate()
		for _, j := range st.picking {
			at = min(at, j.starts)
		}
		for _, j := range st.running {
			if j.ends > 0 {
				at = min(at, j.ends)
			} else {
				at = min(at, p.now+j.remaining/rate)
			}
		}
	}
	return at
}

// rate is how fast each running job gets on: they share the database.
func (st *stack) rate() float64 {
	n := 0
	for _, j := range st.running {
		if j.ends == 0 {
			n++
		}
	}
	if n == 0 {
		return 1
	}
	return min(1, st.capacity/float64(n))
}

// Advance lets time pass until t.
func (p *Pair) Advance(t float64) {
	for {
		at := p.Next()
		if at > t {
			p.pass(t)
			return
		}
		p.pass(at)
		p.happen()
	}
}

func (p *Pair) pass(to float64) {
	d := to - p.now
	if d <= 0 {
		return
	}
	for _, st := range p.stacks {
		rate := st.rate()
		st.busy += d * float64(len(st.running))
		for _, j := range st.running {
			if j.ends == 0 {
				j.remaining -= d * rate
			}
		}
	}
	p.now = to
}

// happen does what is due now.
func (p *Pair) happen() {
	const close = 1e-7
	for p.nextWrite <= p.now {
		p.write()
	}
	for _, st := range p.stacks {
		for i := 0; i < len(st.picking); i++ {
			if j := st.picking[i]; j.starts <= p.now+close {
				st.picking = slices.Delete(st.picking, i, i+1)
				i--
				p.begin(j)
			}
		}
		for i := 0; i < len(st.running); i++ {
			j := st.running[i]
			switch {
			case j.ends > 0 && j.ends <= p.now+close:
				st.running = slices.Delete(st.running, i, i+1)
				i--
				p.deliver(j)
			case j.ends == 0 && j.remaining <= close:
				st.running = slices.Delete(st.running, i, i+1)
				i--
				p.finish(j)
			default:
				continue
			}
			if len(st.queue) > 0 && len(st.running)+len(st.picking) < st.slots {
				next := st.queue[0]
				st.queue = st.queue[1:]
				p.begin(next)
			}
		}
	}
}
