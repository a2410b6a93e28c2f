package migration

import (
	"errors"
	"fmt"
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

// Kind is what a job does.
type Kind string

// The kinds of job.
const (
	Counts   Kind = "counts"
	Ranges   Kind = "ranges"
	Checksum Kind = "checksum"
	Backup   Kind = "backup"
	Restore  Kind = "restore"
)

// Kinds lists all.
func Kinds() []Kind { return []Kind{Counts, Ranges, Checksum, Backup, Restore} }

// A Request asks for a job.
type Request struct {
	Kind  Kind
	Type  string
	Types []string // Counts
	Span  Span     // as sent; a restore's comes from its file
	Size  int64    // batch, bin or rows per range
	Salt  string
	Key   string
}

// Mark is one type's bounds.
type Mark struct {
	Type string
	Span Span
	Any  bool
}

// A Status is what a poll of a job tells.
type Status struct {
	Done   bool
	Error  string // of a failed job
	Marks  []Mark
	Ranges []Span // both ends inclusive here
	Bins   []Bin
	Key    string
	Rows   int64
	Took   float64 // seconds, waiting included
}

type job struct {
	id        int64
	side      Side
	req       Request
	submitted float64
	starts    float64 // when its worker picks it up, or its message comes back
	ends      float64 // while its worker is lost
	begun     float64
	remaining float64 // seconds of work
	again     bool    // delivered twice
	fails     string
	status    Status
}

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
	down     float64 // answers nothing before
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

	ran []Ran

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

// Poll asks for a job.
func (p *Pair) Poll(s Side, id int64) (Status, error) {
	if err := p.Reach(s); err != nil {
		return Status{}, err
	}
	j := p.stacks[s].jobs[id]
	if j == nil {
		return Status{}, fmt.Errorf("404: there is no job %d", id)
	}
	return j.status, nil
}

// Finished is when a job ended that Poll would tell, and ok false while it runs.
func (p *Pair) Finished(s Side, id int64) (at float64, ok bool) {
	j := p.stacks[s].jobs[id]
	if j == nil || !j.status.Done {
		return 0, false
	}
	return j.submitted + j.status.Took, true
}

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
	j.begun, j.ends = p.now, 0
	if st.begun == st.loses { // its machine is gone; the message comes back after its visibility
		j.ends = p.now + 600
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
	if j.side == Source {
		p.marked(out)
	}
	return out
}

func (p *Pair) scheduleWrite() {
	if p.writesDue--; p.writesDue < 0 {
		p.nextWrite = math.Inf(1)
		return
	}
	mean := map[string]float64{"initial": 60, "nightly": 2}[p.config.Situation]
	p.nextWrite += mean * p.writes.ExpFloat64()
}

// write is a user of the source changing, deleting or adding a row.
func (p *Pair) write() {
	at := p.nextWrite
	p.scheduleWrite()
	t := p.types[p.writes.IntN(len(p.types))]
	if p.writes.IntN(2) == 0 && p.kinds["NODE"].Name != "" {
		t = p.kinds["NODE"]
	}
	src, ok := p.tables[Source][t.Name].(*rows)
	if !ok || len(src.rows) == 0 {
		return
	}
	top := src.rows[len(src.rows)-1].id
	if p.writes.IntN(3) == 0 && t.Name != "CHANGE" {
		x := row{id: top + 1}
		if t.Unique || t.Moves {
			x.key = mix(seedOf(p.config.Seed, t.Name, "new") ^ uint64(x.id))
			src.keys[x.key] = x.id
		}
		src.insert(x)
		src.changed[x.id] = changed{at}
		p.tell(t.Name, x.id, at)
		return
	}
	id := src.rows[p.writes.IntN(len(src.rows))].id
	src.happens(p.writes, id, at)
	p.tell(t.Name, id, at)
}

// tell adds the CHANGE that follows a write to a NODE.
func (p *Pair) tell(name string, id int64, at float64) {
	ch, ok := p.tables[Source]["CHANGE"].(*rows)
	if !ok || name != "NODE" || len(ch.rows) == 0 {
		return
	}
	x := row{id: ch.rows[len(ch.rows)-1].id + 1, object: id}
	x.key = mix(seedOf(p.config.Seed, "told") ^ uint64(x.id))
	ch.insert(x)
	ch.changed[x.id] = changed{at}
}

// describeObjects makes each CHANGE row about a NODE that exists.
func (p *Pair) describeObjects() {
	ch, ok := p.tables[Source]["CHANGE"].(*rows)
	nodes, both := p.tables[Source]["NODE"].(*rows)
	if !ok || !both || len(nodes.rows) == 0 {
		return
	}
	r := random(p.config.Seed, "objects")
	about := func(t *rows) {
		for i := range t.rows {
			t.rows[i].object = nodes.rows[r.IntN(len(nodes.rows))].id
		}
	}
	about(ch)
	dst := p.tables[Destination]["CHANGE"].(*rows)
	known := map[int64]int64{}
	for _, x := range ch.rows {
		known[x.id] = x.object
	}
	for i := range dst.rows {
		dst.rows[i].object = known[dst.rows[i].id]
	}
}
