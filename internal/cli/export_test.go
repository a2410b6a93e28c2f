package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func newApp(p Process) *app {
	a := &app{p: p}
	a.out, a.err = a.secrets.Writer(p.Out), a.secrets.Writer(p.Err)
	return a
}

// Root returns the command tree as Main builds it.
func Root(p Process) *cobra.Command { return newApp(p).root() }

// CheckMigration asks an environment's hosts whether one accepts a credential.
func CheckMigration(ctx context.Context, env *ops.Environment, value string) error {
	return newApp(Process{Out: io.Discard, Err: io.Discard}).checkMigration(ctx, env, value)
}

// Agreed reads a typed answer.
var Agreed = agreed

// HandedOn lists the variables that a worker gets from its launcher.
var HandedOn = handedOn

// Yielded tells whether a refused run of a schedule is no failure.
var Yielded = yielded

// A Progress is what a follower prints to.
type Progress = progress

// NewProgress returns the progress of a run.
func NewProgress(p Process, run ops.RunID) *Progress {
	return newProgress(newApp(p), ops.RunRef{Lane: ops.LaneAdmin, Run: run})
}

// Heartbeat draws the bar, as following does.
func (p *progress) Heartbeat(hb ops.Heartbeat) { p.heartbeat(hb) }

// Clear takes the bar away.
func (p *progress) Clear() { p.clear() }

// AgeNotes tells how a dashboard stands to the deployed bundle.
var AgeNotes = ageNotes

// RepositoryOf is owner/name of a remote's address.
var RepositoryOf = repositoryOf
