package remote

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A Stack is what is asked of one. Its errors are *ops.Error: Unsettled where a job
// may have been started, Unavailable where nothing was done.
type Stack interface {
	StackStatus(ctx context.Context) (synapse.StackStatus, error)
	StartCounts(ctx context.Context, types []string) (synapse.AsyncJobStatus, error)
	StartRanges(ctx context.Context, kind string, r synapse.MigrationRange, rows int64) (synapse.AsyncJobStatus, error)
	StartChecksum(ctx context.Context, kind string, r synapse.MigrationRange, bin int64, salt string) (synapse.AsyncJobStatus, error)
	StartBackup(ctx context.Context, kind string, r synapse.MigrationRange, batch int64) (synapse.AsyncJobStatus, error)
	StartRestore(ctx context.Context, kind, key string, r synapse.MigrationRange, batch int64) (synapse.AsyncJobStatus, error)
	Job(ctx context.Context, id string) (synapse.AsyncJobStatus, synapse.MigrationAnswer, error)
}

const (
	silence      = 30 * time.Minute // without any answer of a stack: it is given up
	settle       = 15 * time.Second // for starts under way when a run ends
	afterFailure = 4 * time.Second  // a look that failed is made again no sooner
	recheck      = time.Minute      // the destination's status is read again so often, where something is restored
	oddAnswer    = 3                // looks in a row that make no sense, or find no job
	oddFor       = 5 * time.Minute  // and so long: a page in the stack's place passes
	unseen       = 10 * time.Minute // of a job that only reads, while its state cannot be read
	// A job that only reads is started anew when it takes longer, which harms nothing.
	readPatience = time.Hour
	// A restore must not be: it may be running.
	restorePatience = 6 * time.Hour
	patienceFactor  = 30 // or so many times what was expected
)

// Executor is a migrate.Executor on two stacks. Close it when done.
type Executor struct {
	stacks [2]Stack
	giveUp context.CancelCauseFunc
	began  time.Time
	all    sync.WaitGroup
	news   chan struct{} // there are events, or a start is over

	mu       sync.Mutex
	events   []migrate.Event
	followed map[int64]context.CancelFunc
	starting int
	heard    [2]time.Time // when each last answered
	away     [2]bool      // no call was answered since

	turn     chan struct{} // of checking the destination
	readOnly time.Time     // when it last was
}

var _ migrate.Executor = (*Executor)(nil)

// New returns an executor. giveUp ends the context that migrate.Run has: it is
// called with the reason when asking on makes no sense, such as when a stack does
// not accept the credentials, has not answered for half an hour, when the
// destination is not READ_ONLY any more, or when nobody can tell what became of a
// restore.
func New(source, destination Stack, giveUp context.CancelCauseFunc) *Executor {
	now := time.Now()
	return &Executor{
		stacks: [2]Stack{source, destination}, giveUp: giveUp, began: now, news: make(chan struct{}, 1),
		followed: map[int64]context.CancelFunc{}, heard: [2]time.Time{now, now}, turn: make(chan struct{}, 1),
	}
}

// Now is the time, by a clock that nobody sets meanwhile: what waits for a restore
// that may be running must not wait less, or an hour more.
func (x *Executor) Now() time.Time { return x.began.Add(time.Since(x.began)) }

// Start is migrate.Executor's.
func (x *Executor) Start(ctx context.Context, j migrate.Job) {
	following, cancel := context.WithCancel(ctx)
	starts := j.ServerID == "" && j.Sought == ""
	x.mu.Lock()
	x.followed[j.N] = cancel
	if starts {
		x.starting++
	}
	x.mu.Unlock()
	x.all.Go(func() {
		defer cancel()
		began := time.Now()
		if starts {
			e := x.start(ctx, j)
			if e.Lost != "" && j.Findable() {
				j.Sought, e.Lost, e.Sought = e.Lost, "", true
			}
			x.tellOf(e, 1)
			if j.ServerID = e.ServerID; j.ServerID != "" {
				x.pause(following, j.PollAfter(0))
			}
		}
		if j.Sought != "" {
			j.ServerID = x.seek(following, j)
		}
		if j.ServerID != "" {
			x.follow(following, j, began)
		}
	})
}

// start asks for the job.
func (x *Executor) start(ctx context.Context, j migrate.Job) migrate.Event {
	e := migrate.Event{N: j.N}
	if ctx.Err() != nil {
		e.Refused = "the run was to end"
		return e
	}
	if j.Kind == migrate.Restore && !x.mayRestore(ctx) {
		e.Refused = "the destination was not read as READ_ONLY"
		return e
	}
	lasting, cancel := migrate.Linger(ctx, settle) // an ID that nobody noted costs the next one time
	defer cancel()
	s, err := x.ask(lasting, j)
	x.answered(j.Side, err)
	switch {
	case err == nil:
		e.ServerID = s.JobID
	case ops.CodeOf(err) == ops.Unsettled:
		e.Lost = err.Error()
		x.unheard(j.Side, err)
	case ops.CodeOf(err) == ops.Denied:
		x.giveUp(err)
		e.Refused = err.Error()
	case ops.CodeOf(err) == ops.Unavailable || ops.CodeOf(err) == ops.Canceled:
		e.Refused = err.Error()
		x.unheard(j.Side, err)
	default:
		e.Failed = err.Error()
	}
	return e
}

func (x *Executor) ask(ctx context.Context, j migrate.Job) (synapse.AsyncJobStatus, error) {
	s, r := x.stacks[j.Side], synapse.MigrationRange(j.Span)
	switch j.Kind {
	case migrate.Counts:
		return s.StartCounts(ctx, j.Types)
	case migrate.Ranges:
		return s.StartRanges(ctx, j.Type, r, j.Size)
	case migrate.Checksum:
		return s.StartChecksum(ctx, j.Type, r, j.Size, j.Salt)
	case migrate.Backup:
		return s.StartBackup(ctx, j.Type, r, j.Size)
	case migrate.Restore:
		return s.StartRestore(ctx, j.Type, j.Key, r, j.Size)
	}
	return synapse.AsyncJobStatus{}, ops.Errorf(ops.Invalid, "no job is of kind %q.", string(j.Kind))
}

// mayRestore tells whether the destination is READ_ONLY, as read a minute ago at
// most.
func (x *Executor) mayRestore(ctx context.Context) bool {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	if !x.readOnly.IsZero() && time.Since(x.readOnly) < recheck {
		return true
	}
	s, err := x.stacks[migrate.Destination].StackStatus(ctx)
	x.answered(migrate.Destination, err)
	switch {
	case ops.CodeOf(err) == ops.Denied:
		x.giveUp(err)
		return false
	case err != nil:
		x.unheard(migrate.Destination, err)
		return false
	case s.Status != synapse.ReadOnly:
		x.giveUp(&ops.Error{
			Code: ops.Conflict, Message: "the destination is " + ops.Quote(s.Status) + ", not READ_ONLY as it was set: nothing more is restored.",
			Hint: "Find out who changed it. Then set it READ_ONLY and resume the run, which compares everything again.",
		})
		return false
	}
	x.readOnly = time.Now()
	return true
}

// A following is a job that is looked at until it is over.
type following struct {
	migrate.Job
	began time.Time
	seen  time.Time // when its state was last read
	odd   int       // looks in a row that made no sense
}

// follow looks at a job until it is over.
func (x *Executor) follow(ctx context.Context, j migrate.Job, began time.Time) {
	f := &following{Job: j, began: began, seen: time.Now()}
	for ctx.Err() == nil {
		s, a, err := x.stacks[j.Side].Job(ctx, j.ServerID)
		if ctx.Err() != nil {
			return
		}
		x.answered(j.Side, err)
		if err == nil && s.JobState != synapse.JobProcessing {
			x.tell(f.outcome(s, a))
			return
		}
		if x.hopeless(f, err) {
			return
		}
		next := j.PollAfter(time.Since(began))
		if err != nil {
			next = max(next, afterFailure)
		}
		x.pause(ctx, next)
	}
}

// outcome is how a job ended.
func (f *following) outcome(s synapse.AsyncJobStatus, a synapse.MigrationAnswer) migrate.Event {
	e := migrate.Event{N: f.N}
	switch s.JobState {
	case synapse.JobComplete:
		if e.Answer, e.Failed = read(f.Job, a); e.Answer == nil {
			return e
		}
		e.Answer.Took = time.Duration(s.RuntimeMS) * time.Millisecond
		if s.RuntimeMS == 0 {
			e.Answer.Took = time.Since(f.began)
		}
	case synapse.JobFailed:
		if e.Failed = s.ErrorMessage; e.Failed == "" {
			e.Failed = "the service says that the job failed, but not why"
		}
	default:
		e.Lost = "the service says that the job is " + ops.Quote(string(s.JobState)) + ", which is no state known here"
	}
	return e
}

// hopeless ends the following of a job that nothing will be heard of; err is what
// the last look met.
func (x *Executor) hopeless(f *following, err error) bool {
	switch ops.CodeOf(err) {
	case "":
		f.seen, f.odd = time.Now(), 0
	case ops.Denied:
		x.giveUp(err)
		return true
	case ops.Unavailable:
		x.unheard(f.Side, err)
		if f.Kind != migrate.Restore && time.Since(f.seen) > unseen {
			x.tell(migrate.Event{N: f.N, Lost: err.Error()})
			return true
		}
	default:
		if f.odd++; f.odd < oddAnswer {
			break
		}
		if ops.CodeOf(err) != ops.NotFound {
			if time.Since(f.seen) < oddFor {
				break
			}
			x.giveUp(err)
			return true
		}
		x.tell(migrate.Event{N: f.N, Lost: err.Error()}) // jobs are kept for a time that nobody here knows
		return true
	}
	return x.tooLong(f)
}

// tooLong ends the patience with a job.
func (x *Executor) tooLong(f *following) bool {
	most := max(readPatience, patienceFactor*f.Expected)
	if f.Kind == migrate.Restore {
		most = max(restorePatience, patienceFactor*f.Expected)
	}
	switch {
	case time.Since(f.began) < most:
		return false
	case f.Kind != migrate.Restore:
		x.tell(migrate.Event{N: f.N, Lost: "it has not ended within " + most.String()})
	default:
		x.giveUp(&ops.Error{
			Code: ops.Unavailable, Message: "job " + f.ServerID + ", a restore of " + f.Type + ", has not ended within " + most.String() + ". No other may run beside it, so the migration stops.",
			Hint: "Have the destination's workers and database looked at. Then resume the run: it goes on waiting for this job.",
		})
	}
	return true
}

// answered notes that a stack is there: a refusal is an answer too.
func (x *Executor) answered(side migrate.Side, err error) {
	switch ops.CodeOf(err) {
	case ops.Unavailable, ops.Unsettled, ops.Canceled:
		return
	}
	x.mu.Lock()
	x.heard[side], x.away[side] = time.Now(), false
	x.mu.Unlock()
}

// Away is for how long a stack has answered no call; 0 where the last one was answered.
func (x *Executor) Away(side migrate.Side) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.away[side] {
		return 0
	}
	return time.Since(x.heard[side])
}

// GivesUp is how long a stack may answer nothing before it is given up.
func (x *Executor) GivesUp() time.Duration { return silence }

// unheard gives up a stack that has been silent for long.
func (x *Executor) unheard(side migrate.Side, err error) {
	x.mu.Lock()
	since := time.Since(x.heard[side])
	x.away[side] = true
	x.mu.Unlock()
	if since < silence {
		return
	}
	x.giveUp(&ops.Error{
		Code: ops.Unavailable, Message: "the " + side.String() + " has not answered for " + since.Round(time.Minute).String() + "; the last call ended so: " + err.Error(),
		Hint: "Once it answers again, resume the run.",
		Err:  err,
	})
}

// pause waits about as long as told.
func (x *Executor) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d*9/10 + rand.N(d/5+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (x *Executor) tell(e migrate.Event) { x.tellOf(e, 0) }

// tellOf makes an event heard, and with it how many starts it ends.
func (x *Executor) tellOf(e migrate.Event, starts int) {
	e.At = x.Now()
	x.mu.Lock()
	x.starting -= starts
	if x.followed[e.N] != nil {
		x.events = append(x.events, e)
		if e.Over() {
			delete(x.followed, e.N)
		}
	}
	x.mu.Unlock()
	select {
	case x.news <- struct{}{}:
	default:
	}
}

// Wait is migrate.Executor's. When ctx has ended it waits until every start that is
// under way has gone well or badly, which is a matter of seconds.
func (x *Executor) Wait(ctx context.Context, until time.Time) []migrate.Event {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	for ctx.Err() == nil {
		if e, _ := x.take(); len(e) > 0 {
			return e
		}
		select {
		case <-x.news:
		case <-t.C:
			e, _ := x.take()
			return e
		case <-ctx.Done():
		}
	}
	var out []migrate.Event
	for {
		e, starting := x.take()
		out = append(out, e...)
		if starting == 0 {
			return out
		}
		<-x.news
	}
}

func (x *Executor) take() ([]migrate.Event, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.events
	x.events = nil
	return e, x.starting
}

// Forget is migrate.Executor's.
func (x *Executor) Forget(n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if cancel := x.followed[n]; cancel != nil {
		cancel()
		delete(x.followed, n)
	}
}

// Close waits until nothing is asked any more. The context of what was started must
// have ended, or Run have returned nil.
func (x *Executor) Close() {
	x.mu.Lock()
	for _, cancel := range x.followed {
		cancel()
	}
	x.mu.Unlock()
	x.all.Wait()
}
