package migration

import (
	"fmt"
)

// finish ends a job: what it does happens here, in one step.
func (p *Pair) finish(j *job) {
	p.moment++
	if !j.status.Done {
		j.status.Took = p.now - j.submitted
	}
	p.ran = append(p.ran, Ran{Side: j.side, Kind: j.req.Kind, Type: j.req.Type, Span: j.req.Span, Began: j.begun, Ended: p.now})
	p.done(j)
	if j.fails != "" {
		if !j.status.Done {
			j.status.Done, j.status.Error = true, j.fails
		}
		return
	}
	s := &j.status
	t := p.tables[j.side][j.req.Type]
	switch j.req.Kind {
	case Counts:
		s.Marks = p.counted(j)
	case Ranges:
		s.Ranges = t.pack(j.req.Span, j.req.Size)
	case Checksum:
		s.Bins = t.sums(j.req.Span, j.req.Size, j.req.Salt)
		p.summed(j)
	case Backup:
		s.Key = fmt.Sprintf("sim-%s-%d-%d.zip", j.req.Type, j.id, p.moment)
		p.moment++
		f := t.read(j.req.Span, p.moment)
		p.moment++
		p.files[s.Key] = f
	case Restore:
		f := p.files[j.req.Key]
		s.Rows, _ = t.write(f)
		f.rows = nil
		p.restored(j, f)
	}
	s.Done = true
	if p.config.Faults && !j.again && p.faults.IntN(5_000) == 0 {
		j.again = true // delivered twice: the adapter does not look at the job's state
		p.deliver(j)
	}
}

func (p *Pair) counted(j *job) []Mark {
	p.moment++
	var out []Mark
	for _, name := range j.req.Types {
		m := Mark{Type: name}
		if t := p.tables[j.side][name]; t != nil {
			m.Span, m.Any = t.mark()
		}
		out = append(out, m)
	}
	return out
}

// cost is a job's work in seconds, without noise.
func (p *Pair) cost(j *job) float64 {
	t, scale, f := p.kinds[j.req.Type], float64(p.config.Scale), p.factors
	micro := func(per float64, rows int64) float64 { return per * 1e-6 * scale * float64(rows) }
	src := p.tables[j.side][j.req.Type]
	switch j.req.Kind {
	case Counts:
		return 8
	case Ranges:
		_, g := src.count(j.req.Span)
		return 0.25 + micro(1.5, g)
	case Checksum:
		n, _ := src.count(j.req.Span)
		return 0.25 + micro(3.5, n)
	case Backup:
		_, g := src.count(j.req.Span)
		return 0.4 + micro(1.3*t.Backup*f[0], g)
	}
	file := p.files[j.req.Key]
	_, old := src.count(file.span)
	return 0.4 + micro(t.Restore*f[1], file.group) + micro(60, old)
}
