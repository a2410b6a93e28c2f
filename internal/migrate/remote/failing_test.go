package remote_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/remote"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A fake stack gives one job the ID 7 and says of it what job says.
type fake struct {
	status string
	start  error
	slow   time.Duration // how long a start takes
	job    func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error)

	starts, looks int
}

func (f *fake) StackStatus(context.Context) (synapse.StackStatus, error) {
	return synapse.StackStatus{Status: f.status}, nil
}

func (f *fake) started(ctx context.Context) (synapse.AsyncJobStatus, error) {
	f.starts++
	select {
	case <-time.After(f.slow):
	case <-ctx.Done():
		return synapse.AsyncJobStatus{}, ops.Errorf(ops.Unsettled, "it may have been started: %v", ctx.Err())
	}
	return synapse.AsyncJobStatus{JobID: "7", JobState: synapse.JobProcessing}, f.start
}

func (f *fake) StartCounts(ctx context.Context, _ []string) (synapse.AsyncJobStatus, error) {
	return f.started(ctx)
}

func (f *fake) StartRanges(ctx context.Context, _ string, _ synapse.MigrationRange, _ int64) (synapse.AsyncJobStatus, error) {
	return f.started(ctx)
}

func (f *fake) StartChecksum(ctx context.Context, _ string, _ synapse.MigrationRange, _ int64, _ string) (synapse.AsyncJobStatus, error) {
	return f.started(ctx)
}

func (f *fake) StartBackup(ctx context.Context, _ string, _ synapse.MigrationRange, _ int64) (synapse.AsyncJobStatus, error) {
	return f.started(ctx)
}

func (f *fake) StartRestore(ctx context.Context, _, _ string, _ synapse.MigrationRange, _ int64) (synapse.AsyncJobStatus, error) {
	return f.started(ctx)
}

func (f *fake) Job(context.Context, string) (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) {
	f.looks++
	return f.job()
}

type looked func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error)

func says(s synapse.AsyncJobStatus, a synapse.MigrationAnswer) looked {
	return func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) { return s, a, nil }
}

func fails(code ops.Code, text string) looked {
	return func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) {
		return synapse.AsyncJobStatus{}, synapse.MigrationAnswer{}, ops.Errorf(code, "%s", text)
	}
}

func complete(a synapse.MigrationAnswer) looked {
	return says(synapse.AsyncJobStatus{JobState: synapse.JobComplete, RuntimeMS: 1500}, a)
}

var processing = says(synapse.AsyncJobStatus{JobState: synapse.JobProcessing}, synapse.MigrationAnswer{})

// one does a job on f and returns the event that ends it, or why the executor gave
// up.
func one(f *fake, j migrate.Job) (migrate.Event, error) {
	if f.status == "" {
		f.status = synapse.ReadOnly
	}
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	x := remote.New(f, f, giveUp)
	defer x.Close()
	defer giveUp(nil)
	j.N, j.Type, j.Size, j.Span = 1, "NODE", 50, migrate.Span{Min: 100, Max: 399}
	j.Side = map[migrate.Kind]migrate.Side{migrate.Restore: migrate.Destination}[j.Kind]
	x.Start(ctx, j)
	for ctx.Err() == nil {
		for _, e := range x.Wait(ctx, time.Now().Add(time.Hour)) {
			if e.Over() {
				return e, context.Cause(ctx)
			}
		}
	}
	return migrate.Event{}, context.Cause(ctx)
}

// TestWhatACallThatFailsMeans: nothing runs, something may run, the job failed, or
// asking on makes no sense.
func TestWhatACallThatFailsMeans(t *testing.T) {
	eight, nine, less := int64(8), int64(9), int64(-8)
	for name, c := range map[string]struct {
		kind    migrate.Kind
		fake    fake
		event   func(e migrate.Event) string // what must be said there
		text    string
		givesUp ops.Code
		within  time.Duration
	}{
		"a start turned away":           {migrate.Backup, fake{start: ops.Errorf(ops.Unavailable, "503")}, refused, "503", "", time.Second},
		"a start whose answer is lost":  {migrate.Restore, fake{start: ops.Errorf(ops.Unsettled, "504")}, lost, "504", "", time.Second},
		"a request that makes no sense": {migrate.Ranges, fake{start: ops.Errorf(ops.Invalid, "400")}, failed, "400", "", time.Second},
		"credentials at a start":        {migrate.Backup, fake{start: ops.Errorf(ops.Denied, "401")}, nil, "401", ops.Denied, time.Second},
		"credentials at a look":         {migrate.Backup, fake{job: fails(ops.Denied, "401")}, nil, "401", ops.Denied, time.Minute},
		"a job that failed":             {migrate.Restore, fake{job: says(synapse.AsyncJobStatus{JobState: synapse.JobFailed, ErrorMessage: "Deadlock"}, synapse.MigrationAnswer{})}, failed, "Deadlock", "", time.Minute},
		"and does not say why":          {migrate.Restore, fake{job: says(synapse.AsyncJobStatus{JobState: synapse.JobFailed}, synapse.MigrationAnswer{})}, failed, "not why", "", time.Minute},
		"a state nobody knows":          {migrate.Backup, fake{job: says(synapse.AsyncJobStatus{JobState: "ASLEEP"}, synapse.MigrationAnswer{})}, lost, "ASLEEP", "", time.Minute},
		"a job that is not there":       {migrate.Restore, fake{job: fails(ops.NotFound, "404")}, lost, "404", "", time.Minute},
		"an answer nobody understands":  {migrate.Backup, fake{job: fails(ops.Internal, "JSON of another shape")}, nil, "another shape", ops.Internal, 6 * time.Minute},
		"a backup without a file":       {migrate.Backup, fake{job: complete(synapse.MigrationAnswer{})}, failed, "names no file", "", time.Minute},
		"counts that leave a type out":  {migrate.Counts, fake{job: complete(synapse.MigrationAnswer{Counts: []synapse.MigrationCount{{Type: "NODE"}}})}, failed, "ACL", "", time.Minute},
		"counts with one bound":         {migrate.Counts, fake{job: complete(synapse.MigrationAnswer{Counts: []synapse.MigrationCount{{Type: "NODE", Min: &eight}}})}, failed, "one bound only for type NODE", "", time.Minute},
		"counts the wrong way round":    {migrate.Counts, fake{job: complete(synapse.MigrationAnswer{Counts: []synapse.MigrationCount{{Type: "NODE", Min: &nine, Max: &eight}}})}, failed, "type NODE reach from 9 to 8", "", time.Minute},
		"counts of less than nothing":   {migrate.Counts, fake{job: complete(synapse.MigrationAnswer{Counts: []synapse.MigrationCount{{Type: "NODE", Min: &less, Max: &nine}}})}, failed, "type NODE reach from -8 to 9", "", time.Minute},
		"a bin of less than nothing":    {migrate.Checksum, fake{job: complete(synapse.MigrationAnswer{Checksums: []synapse.MigrationChecksum{{Bin: 3, Count: -1}}})}, failed, "bin 3 was answered with -1 rows", "", time.Minute},
		"bins nobody asked for":         {migrate.Checksum, fake{job: complete(synapse.MigrationAnswer{Checksums: []synapse.MigrationChecksum{{Bin: 9}}})}, failed, "bin 9", "", time.Minute},
		"a bin twice":                   {migrate.Checksum, fake{job: complete(synapse.MigrationAnswer{Checksums: []synapse.MigrationChecksum{{Bin: 3}, {Bin: 3}}})}, failed, "bin 3", "", time.Minute},
		"a stack that is silent":        {migrate.Restore, fake{job: fails(ops.Unavailable, "no route")}, nil, "destination has not answered for 30m", ops.Unavailable, 31 * time.Minute},
		"one job's state unreadable":    {migrate.Checksum, fake{job: fails(ops.Unavailable, "500")}, lost, "500", "", 11 * time.Minute},
		"a backup that does not end":    {migrate.Backup, fake{job: processing}, lost, "not ended within 1h", "", 61 * time.Minute},
		"a restore that does not end":   {migrate.Restore, fake{job: processing}, nil, "job 7, a restore of NODE, has not ended within 6h", ops.Unavailable, 361 * time.Minute},
		"a destination that was opened": {migrate.Restore, fake{status: "READ_WRITE"}, nil, `the destination is "READ_WRITE"`, ops.Conflict, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				e, err := one(&c.fake, migrate.Job{Kind: c.kind, Types: []string{"NODE", "ACL"}})
				text := ""
				switch {
				case c.givesUp != "" && (err == nil || ops.CodeOf(err) != c.givesUp):
					t.Fatalf("it ended with %+v and %v, want to give up: %s", e, err, c.givesUp)
				case c.givesUp != "":
					text = err.Error()
				case err != nil:
					t.Fatal(err)
				default:
					text = c.event(e)
				}
				if !strings.Contains(text, c.text) || text == "" {
					t.Errorf("it said %q in %+v, want %q", text, e, c.text)
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %s, want %s at most", took, c.within)
				}
			})
		})
	}
}

func refused(e migrate.Event) string { return e.Refused }
func lost(e migrate.Event) string    { return e.Lost }
func failed(e migrate.Event) string  { return e.Failed }

// TestJobThatIsKnown is followed, not started again.
func TestJobThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{job: complete(synapse.MigrationAnswer{Restored: 12})}
		e, err := one(f, migrate.Job{Kind: migrate.Restore, ServerID: "7"})
		if err != nil || e.Answer == nil || e.Answer.Rows != 12 || e.Answer.Took != 1500*time.Millisecond {
			t.Errorf("%+v, %v", e, err)
		}
		if f.starts > 0 || f.looks != 1 {
			t.Errorf("%d starts, %d looks; want one look", f.starts, f.looks)
		}
	})
}

// TestLooksAreFew: an hour's job costs less than two hundred calls, and is noticed within
// half a minute of its end.
func TestLooksAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, f := time.Now(), &fake{}
		f.job = func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) {
			if time.Since(began) < 50*time.Minute {
				return processing()
			}
			return complete(synapse.MigrationAnswer{BackupKey: "k.zip"})()
		}
		_, err := one(f, migrate.Job{Kind: migrate.Backup, Expected: 50 * time.Minute})
		if late := time.Since(began) - 50*time.Minute; err != nil || f.looks > 200 || late > 30*time.Second {
			t.Errorf("%d looks, %s late, %v", f.looks, late, err)
		}
		t.Logf("%d looks", f.looks)
	})
}

// TestStartsUnderWayAreWaitedFor: a run that is told to end still hears the ID of a
// job that it was just starting, but does not wait for ever, and starts no more.
func TestStartsUnderWayAreWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		slow    time.Duration
		id, why string
	}{
		"soon":  {5 * time.Second, "7", ""},
		"never": {time.Hour, "", "may have been started"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{slow: c.slow, job: processing}
				ctx, end := context.WithCancelCause(context.Background())
				x := remote.New(f, f, end)
				x.Start(ctx, migrate.Job{N: 1, Kind: migrate.Backup})
				time.Sleep(time.Second)
				end(nil)
				x.Start(ctx, migrate.Job{N: 2, Kind: migrate.Backup})
				began := time.Now()
				var first, second migrate.Event
				for _, e := range x.Wait(ctx, time.Now().Add(time.Hour)) {
					if e.N == 1 {
						first = e
					} else {
						second = e
					}
				}
				if first.ServerID != c.id || first.Lost != "" && !strings.Contains(first.Lost, c.why) || second.Refused == "" {
					t.Errorf("%+v, %+v", first, second)
				}
				if took := time.Since(began); took > 30*time.Second || f.starts != 1 {
					t.Errorf("it took %s; %d starts", took, f.starts)
				}
				x.Close()
			})
		})
	}
}

// TestStartsInVain: a stack that may take jobs but never says so gets few of them,
// for each may run, and is given up.
func TestStartsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, destination := &fake{start: ops.Errorf(ops.Unsettled, "502")}, &fake{start: ops.Errorf(ops.Unsettled, "502")}
		ctx, giveUp := context.WithCancelCause(context.Background())
		defer giveUp(nil)
		x := remote.New(source, destination, giveUp)
		s := migrate.NewScheduler(migrate.Options{Types: []string{"NODE"}, AllTypes: []string{"NODE"}, Salt: "salt"})
		err := migrate.Run(ctx, s, x, nowhere{}, nil)
		x.Close()
		if ops.CodeOf(err) != ops.Unavailable || !strings.Contains(err.Error(), "has not answered for 3") {
			t.Errorf("it ended with %v", err)
		}
		if n := source.starts + destination.starts; n > 120 {
			t.Errorf("%d jobs may have been started", n)
		}
		t.Logf("%d and %d starts", source.starts, destination.starts)
	})
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Save(context.Context, []migrate.Record) error { return nil }

// TestAPageInBetween: what answers in the stack's place for two minutes, with a page
// and 200, ends no run.
func TestAPageInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, f := time.Now(), &fake{}
		f.job = func() (synapse.AsyncJobStatus, synapse.MigrationAnswer, error) {
			if time.Since(began) < 2*time.Minute {
				return fails(ops.Internal, "a body that is not JSON")()
			}
			return complete(synapse.MigrationAnswer{BackupKey: "k.zip"})()
		}
		if e, err := one(f, migrate.Job{Kind: migrate.Backup}); err != nil || e.Answer == nil {
			t.Errorf("%+v, %v", e, err)
		}
		if f.looks > 40 {
			t.Errorf("%d looks", f.looks)
		}
	})
}
