package proof_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator/emulatortest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
)

// An account is a rig whose environment dev is an emulated account that is served:
// launchers, and the workers in its builds, are processes of their own.
type account struct {
	*rig
	*emulatortest.World
	launchers *door // where launchers ask the account
	builds    *door // where builds do
}

// A door is where calls to an account arrive. It takes its time, notes them, and may
// keep the answer of one.
type door struct {
	cloud   http.Handler
	latency time.Duration

	mu    sync.Mutex
	calls []arrival
	keep  string        // of the first call of this name; "": none
	kept  chan struct{} // closed when it is kept
}

// An arrival is a call and when its answer left.
type arrival struct {
	name     string
	answered time.Time
}

// ServeHTTP answers in the account's place.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.latency > 0 {
		<-time.After(d.latency)
	}
	d.cloud.ServeHTTP(w, r)
	d.mu.Lock()
	d.calls = append(d.calls, arrival{nameOf(r), time.Now()})
	keep := d.keep != "" && d.keep == nameOf(r)
	if keep {
		d.keep = ""
		close(d.kept)
	}
	d.mu.Unlock()
	if keep {
		<-r.Context().Done() // the caller is gone
	}
}

// keepAnswer has the answer of the first call of that name never leave.
func (d *door) keepAnswer(name string) (kept <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep, d.kept = name, make(chan struct{})
	return d.kept
}

// since lists the calls from the nth on.
func (d *door) since(n int) []arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls[n:])
}

// newAccount makes an account whose every call takes the latency.
func newAccount(t testing.TB, latency time.Duration) *account {
	t.Helper()
	a := &account{rig: newRig(t, sandbox.Config{}), World: emulatortest.New(t)}
	a.launchers, a.builds = &door{cloud: a.Cloud, latency: latency}, &door{cloud: a.Cloud, latency: latency}
	serve := func(d *door) string {
		s := httptest.NewServer(d)
		t.Cleanup(s.Close)
		return s.URL
	}
	a.Lane("admin", a.host)
	a.Cloud.SetURL(serve(a.builds))
	bucket, file := a.Resource("StoreBucket"), fmt.Sprintf(`environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    account: %q
    region: us-east-1
    secret: /synapse/admin-pat
    lanes: [plan, admin]
`, a.host, emulatortest.Account)
	exe, err := os.Executable()
	a.ok(err)
	a.ok(os.WriteFile(a.rig.config(), []byte(file), 0o600))
	a.Bundle(map[string]string{"environments.yaml": file, "synops": "#!/bin/sh\nexec " + ops.ShellQuote(exe) + " \"$@\"\n"})
	a.ok(a.Dev.Secrets.Put("/synapse/admin-pat", sandbox.AdminToken))
	a.rig.store = store.New(s3.New(a.Admin(), bucket))
	k := a.Keys("synops-perform")
	a.environ = []string{
		"AWS_ENDPOINT_URL=" + serve(a.launchers), "AWS_EC2_METADATA_DISABLED=true", "SYNAPSE_ADMIN_PAT=",
		"AWS_ACCESS_KEY_ID=" + k.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + k.SecretAccessKey, "AWS_SESSION_TOKEN=" + k.SessionToken,
		"SYNOPS_BUNDLE_BUCKET=" + a.Resource("BundleBucket"),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.Denials())
			for _, stream := range a.Dev.Logs.Streams("/synops/admin") {
				t.Logf("%s:\n%s", stream, strings.Join(a.Dev.Logs.Lines("/synops/admin", stream), "\n"))
			}
		}
	})
	return a
}

func (a *account) ok(err error) {
	a.rig.t.Helper()
	a.rig.ok(err)
}

// clients is a run over n clients in the account.
func (a *account) clients(n int, more ...string) []string {
	return append([]string{"run", "verify-oauth-client", bulks[0].args(n)[0], "-e", "dev", "--rate", "0"}, more...)
}

// theRun is the only run there is.
func (a *account) theRun() ops.RunRef {
	a.rig.t.Helper()
	runs := map[string]bool{}
	for _, key := range a.Dev.S3.Keys(a.Resource("StoreBucket"), "admin/runs/") {
		runs[strings.Split(key, "/")[2]] = true
	}
	if len(runs) != 1 {
		a.rig.t.Fatalf("there are %d runs", len(runs))
	}
	for run := range runs {
		return ops.RunRef{Lane: ops.LaneAdmin, Run: ops.RunID(run)}
	}
	return ops.RunRef{}
}

// worker waits for the nth attempt's worker, a process on this machine.
func (a *account) worker(ref ops.RunRef, n int) (w *ops.Attempt) {
	a.rig.t.Helper()
	a.await(fmt.Sprintf("attempt %d", n), func() bool {
		var err error
		_, w, err = a.rig.store.Started(a.rig.t.Context(), ref, n)
		a.ok(err)
		return w != nil
	})
	return w
}

// ended waits until the run's builds have ended, and returns when the last did.
func (a *account) ended(ref ops.RunRef, n int) (last time.Time) {
	a.rig.t.Helper()
	w := a.worker(ref, n)
	a.await("the build to end", func() bool {
		out, err := codebuild.NewFromConfig(a.Admin()).BatchGetBuilds(a.rig.t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{w.Build}})
		a.ok(err)
		if out.Builds[0].EndTime != nil {
			last = *out.Builds[0].EndTime
		}
		return out.Builds[0].BuildComplete
	})
	return last
}

// launchCalls are all that a launch asks of an account, in order, once it is signed
// in: six up to the answer of the start, none of which changes infrastructure.
var launchCalls = []string{
	"s3 GET current.json", "s3 PUT admin/requests/*", "s3 PUT admin/claims/*", "s3 LIST leases/dev/oauth-clients/",
	"s3 PUT admin/runs/*/starts/0001.json", "StartPipelineExecution", "s3 PUT admin/runs/*/starts/0001.engine",
}

// TestLaunchAsksLittle counts what arrives of a launch, by a process of its own.
func TestLaunchAsksLittle(t *testing.T) {
	t.Parallel()
	a := newAccount(t, 0)
	a.want(0, a.clients(1, "--detach")...)
	var got []string
	for _, c := range a.launchers.since(0) {
		got = append(got, c.name)
	}
	// Who we are is asked first where STS has not told it in exchange for a token.
	if len(got) == 0 || got[0] != "s3 POST" {
		t.Fatalf("a launch begins with %q, want the question who we are", got)
	}
	if diff := cmp.Diff(launchCalls, starred(got[1:])); diff != "" {
		t.Errorf("a launch asks (-want +got):\n%s", diff)
	}
	ref := a.theRun()
	a.ended(ref, 1)
	for _, ask := range a.Cloud.Asked() {
		service, action, _ := strings.Cut(ask.Action, ":")
		if strings.Contains(ask.Principal, "synops-perform") && !(service == "s3" && (action == "GetObject" || action == "PutObject" || action == "ListBucket")) && ask.Action != "codepipeline:StartPipelineExecution" {
			t.Errorf("a launch asked for %s on %s", ask.Action, ask.Resource)
		}
	}
}

// starred puts a star in the place of what differs from run to run.
func starred(names []string) (out []string) {
	for _, name := range names {
		parts := strings.Split(name, "/")
		for i, p := range parts {
			if i > 0 && (parts[i-1] == "runs" || parts[i-1] == "requests" || parts[i-1] == "claims") && p != "" {
				parts[i] = "*"
			}
		}
		out = append(out, strings.Join(parts, "/"))
	}
	return out
}

// TestLauncherProcessKilled kills the process of a launcher that has started an
// execution and never hears of it. Asked again by the same job, the run goes on,
// and the service's own log has each client once.
func TestLauncherProcessKilled(t *testing.T) {
	t.Parallel()
	a := newAccount(t, 0)
	started := a.launchers.keepAnswer("StartPipelineExecution")
	cmd := a.job(1, a.clients(3)...)
	a.ok(cmd.Start())
	a.await("the start to be answered", closed(started))
	a.ok(cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	if o := a.finish(a.job(1, a.clients(3)...)); o.code != 0 {
		t.Fatalf("asked again: ended with %d\n%s%s", o.code, o.out, o.err)
	}
	ref := a.theRun()
	if sent := len(a.gate.all()); sent != 3 {
		t.Errorf("the service was sent %d calls for 3 clients", sent)
	}
	a.intact(ref)
}

// TestBuildProcessKilled kills the worker of a build with a call in hand. Whoever
// follows is told, and resume does the rest.
func TestBuildProcessKilled(t *testing.T) {
	t.Parallel()
	a := newAccount(t, 0)
	held := a.gate.hold(2, afterApplied)
	follower := a.background(a.clients(4, "--in-flight", "1")...)
	a.await("a call to be held", closed(held))
	ref := a.theRun()
	a.signal(pidOf(a.worker(ref, 1)), syscall.SIGKILL)
	a.ended(ref, 1)
	a.gate.open()
	if o := follower(); o.code != 1 || !strings.Contains(o.err, "synops resume "+string(ref.Run)) {
		t.Errorf("whoever followed was told, with %d:\n%s%s", o.code, o.out, o.err)
	}
	atDeath, sent := a.ledger(ref), len(a.gate.all())
	a.want(0, "resume", string(ref.Run), "-e", "dev")
	a.outcomes(ref, bulks[0].effects(4), ops.EffectDone, ops.EffectUnchanged)
	a.ok(bulks[0].done(a.synapse, 4))
	for effect := range atDeath.recorded {
		for _, w := range a.gate.all()[sent:] {
			if w.effect == effect {
				t.Errorf("%s was sent again although its outcome was recorded", effect)
			}
		}
	}
	a.want(0, "verify", string(ref.Run), "-e", "dev")
}

// TestBuildProcessStarved stops the worker of a build with SIGSTOP: resume leaves it
// alone, and with --force its build is stopped and another goes on.
func TestBuildProcessStarved(t *testing.T) {
	t.Parallel()
	a := newAccount(t, 0)
	held := a.gate.hold(2, afterApplied)
	a.want(0, a.clients(4, "--in-flight", "1", "--detach")...)
	a.await("a call to be held", closed(held))
	ref := a.theRun()
	w := a.worker(ref, 1)
	a.signal(pidOf(w), stopped)
	a.want(4, "resume", string(ref.Run), "-e", "dev", "--until", "50ms")
	end := a.background("resume", string(ref.Run), "-e", "dev", "--force")
	a.gone(w)
	a.gate.open()
	if o := end(); o.code != 0 {
		t.Fatalf("ended with %d\n%s%s", o.code, o.out, o.err)
	}
	sent := map[string]int{}
	for _, w := range a.gate.all() {
		sent[w.effect]++
	}
	for _, e := range bulks[0].effects(4) {
		if sent[e] != 1 { // the one in hand was applied: it is read
			t.Errorf("%s was sent %d times", e, sent[e])
		}
	}
	a.want(0, "verify", string(ref.Run), "-e", "dev")
}

// BenchmarkOverhead is what a run in an account costs beside its build, where every
// call takes 50 ms: from the launcher's process to the answer of the start, and from
// the end of the build to the verdict on the screen.
func BenchmarkOverhead(b *testing.B) {
	a := newAccount(b, 50*time.Millisecond)
	var before, after, afterResult []float64
	calls := 0
	for i := range b.N {
		from, builds := len(a.launchers.since(0)), len(a.builds.since(0))
		client := fmt.Sprint("client-ids=", 200001+2*i)
		began := time.Now()
		o := a.want(0, "run", "verify-oauth-client", client, "-e", "dev", "--format", "json")
		verdict := time.Now()
		var started time.Time
		for n, c := range a.launchers.since(from) {
			if c.name == "StartPipelineExecution" {
				started, calls = c.answered, n // the sign-in is not counted, the start is
			}
		}
		var result time.Time
		for _, c := range a.builds.since(builds) {
			if strings.Contains(c.name, "/results/") && strings.HasPrefix(c.name, "s3 PUT") {
				result = c.answered
			}
		}
		ref := a.runOf(o)
		before = append(before, started.Sub(began).Seconds())
		after = append(after, verdict.Sub(a.ended(ref, 1)).Seconds())
		afterResult = append(afterResult, verdict.Sub(result).Seconds())
	}
	b.ReportMetric(middle(before), "s-to-start")
	b.ReportMetric(float64(calls), "calls-to-start")
	b.ReportMetric(middle(after), "s-from-build-end")
	b.ReportMetric(slices.Max(after), "s-from-build-end-at-most")
	b.ReportMetric(middle(afterResult), "s-from-result")
	b.ReportMetric(0, "ns/op")
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// runOf is the run whose result was printed.
func (a *account) runOf(o outcome) ops.RunRef {
	a.rig.t.Helper()
	_, rest, ok := strings.Cut(o.out, `"run":"`)
	if !ok {
		_, rest, ok = strings.Cut(o.out, `"run": "`)
	}
	run, _, _ := strings.Cut(rest, `"`)
	if !ok {
		a.rig.t.Fatalf("no run in %s", o.out)
	}
	return ops.RunRef{Lane: ops.LaneAdmin, Run: ops.RunID(run)}
}
