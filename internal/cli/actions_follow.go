package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

const (
	// followFor is how long one job follows. GitHub ends a hosted job after six hours;
	// each ends itself well before.
	followFor = 330 * time.Minute
	// progressEach is how often a line tells how far a run is.
	progressEach = time.Minute
	// mostRelayed is how much of a run's log one job relays, in bytes: GitHub's page of
	// a longer one is of no use. The rest is linked.
	mostRelayed = 2 << 20
)

// followFor is how long this job follows a run.
func (j *job) followFor() time.Duration {
	if d, err := time.ParseDuration(j.p.Getenv(varStepFollow)); err == nil && d > 0 {
		return min(d, followFor)
	}
	return followFor
}

// A relay prints a run's log as a job's, up to a bound, and how far the run is once a
// minute.
type relay struct {
	j     *job
	bar   *progress
	began time.Time

	mu      sync.Mutex
	printed int
	left    int // lines that were not printed
	told    time.Time
}

func (j *job) relay(ref ops.RunRef) *relay {
	return &relay{j: j, bar: newProgress(j.app, ref), began: j.now(), told: j.now()}
}

// follow is how the relay follows.
func (r *relay) follow() launcher.Follow {
	return launcher.Follow{Log: r, Progress: r.beat, Engine: r.engine, Attempt: func(n int, lost bool) {
		if lost {
			r.j.say("-- attempt %d ended without a word; attempt %d goes on --", n-1, n)
		} else {
			r.j.say("-- attempt %d goes on --", n)
		}
	}}
}

// Write prints log text, cleaned line by line.
func (r *relay) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.printed > mostRelayed {
		r.left += bytes.Count(text, []byte("\n"))
		return len(text), nil
	}
	r.printed += len(text)
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		end := ""
		if l, ok := strings.CutSuffix(line, "\n"); ok {
			line, end = l, "\n"
		}
		if _, err := fmt.Fprint(r.j.err, report.Clean(line)+end); err != nil {
			return 0, fmt.Errorf("relaying the log: %w", err)
		}
	}
	if r.printed > mostRelayed {
		r.j.say("-- this job has relayed %d MiB; the rest of the log is where the summary links to --", mostRelayed>>20)
	}
	return len(text), nil
}

// beat prints how far the run is, once a minute.
func (r *relay) beat(hb ops.Heartbeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.j.now()
	r.bar.count(hb, now)
	if now.Sub(r.told) < progressEach {
		return
	}
	r.told = now
	line := report.Clean(hb.Phase)
	if n := hb.Progress; n.Total > 0 || n.Done > 0 {
		line += "  " + report.ProgressLine(n, r.bar.rateAt(now), 100)
	}
	r.j.say("-- after %s: %s --", report.Length(now.Sub(r.bar.began)), line)
}

// engine tells what an attempt waits for.
func (r *relay) engine(state ops.Liveness) {
	switch state {
	case ops.AliveQueued:
		r.j.say("-- queued: no build has begun yet --")
	case ops.AliveProvisioning:
		r.j.say("-- a build is being provisioned --")
	}
}

// close says what was not relayed.
func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left > 0 {
		r.j.say("-- %d more lines were not relayed --", r.left)
	}
}

// stepRun finds the run that the job before started.
func (j *job) stepRun(ctx context.Context) (*existing, error) {
	run := j.p.Getenv(varStepRun)
	if run == "" {
		return nil, &ops.Error{Code: ops.Invalid, Message: varStepRun + " names no run.", Hint: "The job that starts runs sets it."}
	}
	return j.find(ctx, run)
}

// follow is the step that follows a run for as long as one job may. Outputs: ended,
// true once there is nothing more to follow, and cursor, where the next one goes on.
// A run that goes on is no failure, and how it ended is the verdict's to say.
func (j *job) follow(ctx context.Context) error {
	x, err := j.stepRun(ctx)
	if err != nil {
		return err
	}
	v, err := x.l.Look(ctx, x.ref)
	if err != nil {
		return err
	}
	j.began(x.ref.Run)
	if was := j.p.Getenv(varStepFollowed); was != "" && was != "success" {
		j.say("-- the job that followed before is gone (%s): lines since its beginning may come again --", report.Clean(was))
	}
	_ = j.console.Group(fmt.Sprintf("%s: %s, asked for by %s", report.Mark(v.Request.Environment), x.ref.Run, report.Clean(v.Request.Requester)))
	tick := j.relay(x.ref)
	how := tick.follow()
	how.Until = j.now().Add(j.followFor())
	how.From, how.Cursor = readCursor(j.p.Getenv(varStepCursor))
	cursor := ""
	how.Left = func(n int, at string) { cursor = fmt.Sprintf("%d %s", n, at) }
	r, err := x.l.Follow(ctx, x.ref, how)
	tick.close()
	j.flush()
	_ = j.console.EndGroup()
	switch {
	case err == nil:
		j.say("%s  %s ended: %s.", j.mark(v.Request.Environment), x.ref.Run, r.Outcome)
		return j.output("ended", "true")
	case errors.Is(err, launcher.ErrLost):
		j.say("%s  the worker of %s is gone and left no result.", j.mark(v.Request.Environment), x.ref.Run)
		return j.output("ended", "true")
	case errors.Is(err, launcher.ErrStillRunning), canceled(err):
		j.say("%s  %s goes on; this job's time is over, and the next one follows it.", j.mark(v.Request.Environment), x.ref.Run)
		return j.output("ended", "false", "cursor", cursor)
	}
	return err
}

// readCursor reads what the follower before left: attempt and place. What cannot be
// read is the beginning.
func readCursor(s string) (attempt int, place string) {
	number, place, ok := strings.Cut(s, " ")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return 0, ""
	}
	return n, place
}

// verdict is the last step: it reads the documents and says how the run is. Its
// outcome is the run's, and a run that goes on is no failure. Output: state.
func (j *job) verdict(ctx context.Context) error {
	x, err := j.stepRun(ctx)
	if err != nil {
		return err
	}
	v, err := x.l.Look(ctx, x.ref)
	if err != nil {
		return err
	}
	j.began(x.ref.Run)
	j.trouble.Environment = v.Request.Environment
	switch {
	case v.State() == ops.StateEnded:
		if err := j.output("state", string(v.Result.Outcome)); err != nil {
			return err
		}
		j.summarizeEnd(ctx, x.ref, v, string(v.Result.Outcome), "")
		if yielded(v.Result) {
			_ = j.console.Warning(j.marked("refused"), j.clean(v.Result.Message+" Nothing was done; the schedule asks again at its next time."))
			return nil
		}
		j.notify(ctx, v, string(v.Result.Outcome)+". "+v.Result.Message)
		return j.ended(x.ref, v.Result, nil)
	case v.Lost():
		err := j.ended(x.ref, nil, launcher.ErrLost)
		j.summarizeEnd(ctx, x.ref, v, "lost", j.clean(err.Error())+" "+ops.HintOf(err))
		j.notify(ctx, v, "LOST: its worker is gone and left no result. "+ops.HintOf(err))
		return errors.Join(j.output("state", "lost"), err)
	}
	j.summarizeEnd(ctx, x.ref, v, "still running", "The run goes on without this workflow run. That is no failure.")
	j.say("%s  %s is still running; it goes on.", j.mark(v.Request.Environment), x.ref.Run)
	return j.output("state", "running")
}

// yielded tells whether a schedule's run was refused since another run has the lease:
// that one took it after the start, which had looked. It is no more a failure than to
// be told so before the start.
func yielded(r *ops.Result) bool {
	return r.Run.Scheduled() && r.Outcome == ops.RunRefused && r.Guard == worker.GuardLease
}

// summarizeEnd writes how a run is: what was asked, its result where it has one, how
// long it took, and what can be done.
func (j *job) summarizeEnd(ctx context.Context, ref ops.RunRef, v *launcher.View, state, text string) {
	req := v.Request
	b := report.Brief{Environment: req.Environment, Title: fmt.Sprintf("%s in %s: %s", req.Task, req.Environment, state), Text: text, Facts: []report.Fact{
		{Label: "Asked for by", Text: req.Requester + ", as GitHub declares"}, {Label: "Reason", Text: req.Reason}, {Label: "Host", Text: req.Host, Code: true},
	}}
	if t, err := j.took(v); err == nil {
		b.Facts = append(b.Facts, report.Fact{Label: "Took", Text: t})
	}
	if n := len(v.Starts); n > 1 {
		b.Facts = append(b.Facts, report.Fact{Label: "Attempts", Text: strconv.Itoa(n)})
	}
	if v.Result == nil && v.Heartbeat != nil && v.Heartbeat.Progress.Total > 0 {
		b.Facts = append(b.Facts, report.Fact{Label: "So far", Text: report.ProgressLine(v.Heartbeat.Progress, 0, 80)})
	}
	b.Commands, b.Links = j.commands(ref, v.State() == ops.StateEnded), j.documents(ctx, ref)
	if state == "lost" {
		b.Commands = append(b.Commands, report.Fact{Label: "Resume", Text: "synops resume " + string(ref.Run) + " -e " + j.environment + " (or the workflow Run: resume)"})
	}
	j.summarize(func(page *bytes.Buffer) error {
		if err := report.Job(page, b); err != nil || v.Result == nil || v.State() != ops.StateEnded {
			return err
		}
		page.WriteByte('\n')
		return report.Markdown(page, v.Result)
	})
}

// took tells how long a run took, or has been going on.
func (j *job) took(v *launcher.View) (string, error) {
	began := v.Run.Time()
	if len(v.Attempts) > 0 {
		began = v.Attempts[0].At
	}
	switch {
	case began.IsZero():
		return "", errors.New("it has not begun")
	case v.State() == ops.StateEnded:
		return report.Length(v.Result.Ended.Sub(began)), nil
	}
	return report.Length(j.now().Sub(began)) + " so far", nil
}
