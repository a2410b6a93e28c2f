package proof_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// launch asks for three clients under the claim "job", as a process of its own.
func (b *bubble) launch(p *process) (ops.RunRef, bool, error) {
	l := b.launcher(p)
	// A lease is asked for before the start, as synops run does.
	l.Hold = &launcher.Hold{Environment: "dev", Lease: "oauth-clients"}
	return l.Launch(b.t.Context(), "job", b.request("verify-oauth-client", map[string]string{"client-ids": strings.Join(numbered("", 200001, 3), ",")}), launcher.Answers{By: "proof"})
}

// onceOnly wants the run to end well, and by the service's own log to have been
// performed once, by one execution.
func (b *bubble) onceOnly(ref ops.RunRef) {
	b.t.Helper()
	r, err := b.asker().Follow(b.t.Context(), ref, launcher.Follow{})
	b.ok(err)
	if r.Outcome != ops.Succeeded || r.Attempt != 1 {
		b.t.Errorf("attempt %d ended %s: %s", r.Attempt, r.Outcome, r.Message)
	}
	time.Sleep(10 * time.Minute) // whatever was begun too much has come and gone
	sent := map[string]int{}
	for _, w := range b.gate.all() {
		sent[w.effect]++
	}
	for _, e := range bulks[0].effects(3) {
		if sent[e] != 1 {
			b.t.Errorf("the service was sent %s %d times", e, sent[e])
		}
	}
	performed := 0
	for _, p := range b.workers() {
		p.mu.Lock()
		if len(p.writes) > 0 {
			performed++
		}
		if !p.ended {
			b.t.Error("a worker has not ended")
		}
		p.mu.Unlock()
	}
	if performed != 1 {
		b.t.Errorf("%d of %d executions performed", performed, len(b.workers()))
	}
	runs := map[string]bool{}
	for _, key := range b.keys("admin/runs/") {
		runs[strings.Split(key, "/")[2]] = true
	}
	if len(runs) != 1 {
		b.t.Errorf("there are %d runs", len(runs))
	}
	b.intact(ref)
}

// TestLauncherKilledBetweenCalls kills the launcher of a run in an account at each
// of its calls: before the call has arrived, or after, when nobody hears the
// answer. Whoever asks again under the same claim goes on, and one execution
// performs.
func TestLauncherKilledBetweenCalls(t *testing.T) {
	var calls []string
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Config{})
		p := newProcess(nil)
		ref, _, err := b.launch(p)
		b.ok(err)
		calls = p.sent()
		b.onceOnly(ref)
	})
	for n, name := range calls {
		for _, m := range []moment{beforeApplied, afterApplied} {
			kind, _, _ := strings.Cut(name, " admin/")
			t.Run(fmt.Sprintf("call %d of %d, %s, %s", n+1, len(calls), kind, m), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, sandbox.Config{})
					var p *process
					p = newProcess(func(c call) error {
						if c.n == n+1 && c.moment == m {
							p.kill()
						}
						return nil
					})
					if _, _, err := b.launch(p); !p.isDead() || !errors.Is(err, errKilled) && m == beforeApplied {
						t.Fatalf("the launcher was not killed: %v", err)
					}
					ref, _, err := b.launch(newProcess(nil))
					b.ok(err)
					b.onceOnly(ref)
				})
			})
		}
	}
}

// TestLaunchersAtOnce: however many ask at the same time under one claim, and after
// the run has ended, one run comes of it and one execution performs.
func TestLaunchersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Config{})
		var all sync.WaitGroup
		refs := make([]ops.RunRef, 4)
		attached := make([]bool, 4)
		for i := range refs {
			all.Go(func() {
				var err error
				if refs[i], attached[i], err = b.launch(newProcess(nil)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		first := 0
		for i := range refs {
			if refs[i] != refs[0] {
				t.Errorf("two runs of one claim: %s and %s", refs[0].Run, refs[i].Run)
			}
			if !attached[i] {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%d launchers say that they started the run", first)
		}
		b.onceOnly(refs[0])

		again, told, err := b.launch(newProcess(nil))
		b.ok(err)
		if again != refs[0] || !told {
			t.Errorf("asked again after its end: run %s, attached %t", again.Run, told)
		}
		b.onceOnly(refs[0])
	})
}

// TestStartDeliveredTwice: where CodePipeline begins two executions of one start,
// its token forgotten, one of them performs, whenever the other comes.
func TestStartDeliveredTwice(t *testing.T) {
	for _, late := range []time.Duration{0, 8 * time.Second, 16 * time.Second, 10 * time.Minute} {
		t.Run(late.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Config{})
				ref, _, err := b.launch(newProcess(nil))
				b.ok(err)
				starts, err := b.store.Starts(t.Context(), ref)
				b.ok(err)
				time.Sleep(late)
				for i := range 2 {
					_, err = codepipeline.NewFromConfig(b.Admin()).StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{
						Name: aws.String("synops-admin"), ClientRequestToken: aws.String(fmt.Sprint("forgotten-", i)),
						Variables: []types.PipelineVariable{
							{Name: aws.String("RUN"), Value: aws.String(string(ref.Run))}, {Name: aws.String("REQUEST"), Value: aws.String(starts[0].Request.Hex())},
						},
					})
					b.ok(err)
				}
				b.onceOnly(ref)
				if n := len(b.workers()); n != 3 {
					t.Errorf("%d executions came of it, want 3", n)
				}
			})
		})
	}
}
