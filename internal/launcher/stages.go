package launcher

import (
	"context"
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Enter writes down a staged run: request, claim and first start, once per claim
// key, as Launch does; no engine is asked, since its stages are runs of their own.
func (l *Launcher) Enter(ctx context.Context, key string, req *ops.Request, answers Answers) (ref ops.RunRef, attached bool, err error) {
	ref, digest, created, err := l.claim(ctx, key, req)
	if err != nil {
		return ref, false, err
	}
	if err := l.Documents.CreateStart(ctx, l.start(answers, ops.StartRun, 1, ref, digest)); err != nil && ops.CodeOf(err) != ops.Conflict {
		return ref, !created, fmt.Errorf("writing the start: %w", err)
	}
	return ref, !created, nil
}

// A StageView is a stage of a staged run, and its newest run.
type StageView struct {
	Stage ops.Stage
	N     int // runs of this stage so far
	*View     // of the newest; nil while none was started
}

// Next is the claim key of the stage's next run. It is the same for whoever asks:
// of several that go on with a staged run, one starts the stage and the others
// attach.
func (v *StageView) Next(whole ops.RunID) string { return stageKey(whole, v.Stage.Name, v.N+1) }

// Done tells whether the stage has succeeded.
func (v *StageView) Done() bool {
	return v.View != nil && v.State() == ops.StateEnded && v.Result.Outcome == ops.Succeeded
}

func stageKey(whole ops.RunID, stage string, n int) string {
	return ops.DigestOf(fmt.Appendf(nil, "stage %q %q %d", whole, stage, n)).Hex()[:32]
}

// Stage finds the newest run of a stage, whose task runs in lane. Its state is read
// from that run's documents; nothing else says how far a staged run is.
func (l *Launcher) Stage(ctx context.Context, whole ops.RunID, stage ops.Stage, lane ops.Lane) (*StageView, error) {
	v := &StageView{Stage: stage}
	for {
		claim, err := l.Documents.FindClaim(ctx, lane, stageKey(whole, stage.Name, v.N+1))
		if err != nil {
			return nil, fmt.Errorf("looking for stage %s: %w", stage.Name, err)
		}
		if claim == nil {
			return v, nil
		}
		look, err := l.Look(ctx, ops.RunRef{Lane: claim.Lane, Run: claim.Run})
		if ops.CodeOf(err) == ops.NotFound && look == nil && strings.Contains(err.Error(), "never started") {
			return v, nil // its launcher died in between: asked again, the claim is its run's
		}
		if err != nil {
			return nil, err
		}
		v.N, v.View = v.N+1, look
	}
}
