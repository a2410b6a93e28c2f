package migration

import (
	"math"
	"math/rand/v2"
	"slices"
)

// A Side is one of the two stacks.
type Side int

// The sides.
const (
	Source Side = iota
	Destination
)

func (s Side) String() string { return [...]string{"source", "destination"}[s] }

type stack struct {
	side     Side
	slots    int
	capacity float64
	jobs     map[int64]*job
	queue    []*job
	picking  []*job // a worker will pick it up
	running  []*job
	begun    int // jobs picked up so far
	loses    int // the worker that picks up this one is lost
	status   string
	message  string  // that it gives with its status
	pending  string  // of maintenance to come
	down     float64 // answers nothing before
	silent   []Silence
	requests int64
	busy     float64 // slot seconds
}

// A Pair is two stacks. It is not safe for concurrent use.
type Pair struct {
	config    Config
	now       float64
	moment    int64
	types     []Type
	all       []string
	tables    [2]map[string]table
	kinds     map[string]Type
	stacks    [2]*stack
	files     map[string]file
	nextID    int64
	tries     map[string]int
	factors   [2]float64
	faults    *rand.Rand
	writes    *rand.Rand
	nextWrite float64
	writesDue int

	ran  []Ran
	lost Ran // what the lost worker held

	watcher
}

// A Ran is one job as a worker did it.
type Ran struct {
	Side         Side
	Kind         Kind
	Type         string
	Span         Span
	Began, Ended float64 // seconds
}

// Ran lists all jobs so far in the order they ended.
func (p *Pair) Ran() []Ran { return p.ran }

// New builds both stacks. The configuration must be valid.
func New(c Config) (*Pair, error) {
	if err := c.Valid(); err != nil {
		return nil, err
	}
	s := situations[c.Situation]
	p := &Pair{config: c, kinds: map[string]Type{}, files: map[string]file{}, tries: map[string]int{}, factors: profiles[c.Profile],
		faults: random(c.Seed, "faults"), writes: random(c.Seed, "writes"), nextWrite: math.Inf(1)}
	p.watcher.init()
	p.types, p.all = Types()
	if c.Types != nil {
		p.types = slices.DeleteFunc(p.types, func(t Type) bool { return !slices.Contains(c.Types, t.Name) })
		p.all = nil
		for _, t := range p.types {
			p.all = append(append(p.all, t.Name), t.Secondaries...)
		}
	}
	p.tables = [2]map[string]table{{}, {}}
	for _, t := range p.types {
		p.kinds[t.Name] = t
		p.tables[Source][t.Name], p.tables[Destination][t.Name] = c.pairOf(t, s)
	}
	slots := c.Slots
	if slots == 0 {
		slots = 8
	}
	slow := c.Slow
	if slow == 0 {
		slow = 1
	}
	rates := [2]float64{s.sourceRate, 4 / slow}
	for side := range p.stacks {
		p.stacks[side] = &stack{side: Side(side), slots: slots, capacity: rates[side], jobs: map[int64]*job{}, status: "READ_WRITE"}
	}
	if s.readOnly {
		p.stacks[Source].status = "READ_ONLY"
	}
	if c.Faults {
		p.stacks[p.faults.IntN(2)].loses = 1 + p.faults.IntN(300)
	}
	if c.Writes && c.Scale > 1 && !s.readOnly {
		p.writesDue, p.nextWrite = 400, 0
		p.scheduleWrite()
	}
	p.describeObjects()
	return p, nil
}

// Types returns the primary types in migration order and the names of all.
func (p *Pair) Types() ([]Type, []string) { return p.types, p.all }

// BatchSize is the batch size at the pair's scale.
func (p *Pair) BatchSize() int64 { return p.config.BatchSize() }

// Now is the time, in seconds since the pair was built.
func (p *Pair) Now() float64 { return p.now }

// StackStatus is READ_WRITE or READ_ONLY.
func (p *Pair) StackStatus(s Side) string { return p.stacks[s].status }

// SetStackStatus sets it.
func (p *Pair) SetStackStatus(s Side, status string) {
	p.stacks[s].status = status
	if s == Destination {
		p.statusSet(status, p.now)
	}
}
