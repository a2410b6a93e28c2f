package migration

import (
	"errors"
	"fmt"
)

// ErrDown: a stack does not answer; nothing was done. ErrLost: it accepted a job,
// but its answer did not come.
var (
	ErrDown = errors.New("503: the service does not answer")
	ErrLost = errors.New("504: the gateway waited in vain")
)

// Reach is what every call meets first: bursts in which a stack does not answer.
func (p *Pair) Reach(s Side) error {
	st := p.stacks[s]
	st.requests++
	if p.now < st.down {
		return ErrDown
	}
	if p.config.Faults && p.faults.IntN(20_000) == 0 {
		st.down = p.now + 20 + 100*p.faults.Float64()
		st.silent = append(st.silent, Silence{p.now, st.down})
		return ErrDown
	}
	return nil
}

// Submit starts a job.
func (p *Pair) Submit(s Side, r Request) (int64, error) {
	if err := p.Reach(s); err != nil {
		return 0, err
	}
	p.judge(s, r)
	p.nextID++
	j := &job{id: 1_000_000 + p.nextID, side: s, req: r, submitted: p.now}
	p.stacks[s].jobs[j.id] = j
	p.deliver(j)
	if p.config.Faults && p.faults.IntN(5_000) == 0 {
		return 0, ErrLost
	}
	return j.id, nil
}

// Asked is how many jobs of a kind were asked for so far, and when the last was, in
// seconds since the pair was built.
func (p *Pair) Asked(k Kind) (n int, last float64) {
	for _, st := range p.stacks {
		for _, j := range st.jobs {
			if j.req.Kind == k {
				n, last = n+1, max(last, j.submitted)
			}
		}
	}
	return n, last
}

// jobAt is the job that has an ID, if the stack answers.
func (p *Pair) jobAt(s Side, id int64) (*job, error) {
	if err := p.Reach(s); err != nil {
		return nil, err
	}
	if j := p.stacks[s].jobs[id]; j != nil {
		return j, nil
	}
	return nil, fmt.Errorf("404: there is no job %d", id)
}

// Poll asks for a job.
func (p *Pair) Poll(s Side, id int64) (Status, error) {
	j, err := p.jobAt(s, id)
	if err != nil {
		return Status{}, err
	}
	if s == Source && j.req.Kind == Counts && j.status.Done && !j.told {
		j.told = true
		p.marked(j.status.Marks) // what the client goes by; of two that count it hears one
	}
	told := j.status
	if p.config.Once {
		j.status.Bins = nil
	}
	return told, nil
}

// Request is what the job was asked for that has an ID, as a look at it shows: its
// answer may be taken by another look.
func (p *Pair) Request(s Side, id int64) (Request, error) {
	j, err := p.jobAt(s, id)
	if err != nil {
		return Request{}, err
	}
	return j.req, nil
}

// Finished is when a job ended that Poll would tell, and ok false while it runs.
func (p *Pair) Finished(s Side, id int64) (at float64, ok bool) {
	j := p.stacks[s].jobs[id]
	if j == nil || !j.status.Done {
		return 0, false
	}
	return j.submitted + j.status.Took, true
}
