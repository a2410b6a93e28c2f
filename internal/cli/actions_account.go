package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// deployForm is the step that brings an account up to date. With mode plan it says
// what differs and changes nothing, and that something does is no failure.
func (j *job) deployForm(ctx context.Context) error {
	fields, err := j.fields(ops.FieldMode, fieldLanes, fieldLowest, fieldInterrupt, ops.FieldReason)
	if err != nil {
		return err
	}
	lanes := strings.Fields(strings.ReplaceAll(fields[fieldLanes], ",", " "))
	if err := lanesOnly(nil, lanes); err != nil {
		return err
	}
	choice, err := j.choose()
	if err != nil {
		return err
	}
	j.settled(choice.Environment.Name)
	perform := fields[ops.FieldMode] == ops.ModePerform
	f := &deployFlags{applyFlags: applyFlags{yes: true}, check: !perform, interrupt: fields[fieldInterrupt] == "true", lowest: fields[fieldLowest]}
	r, err := j.rollout(ctx, choice, lanes, f)
	if err != nil {
		return err
	}
	if f.binary, err = j.released(ctx, r); err != nil {
		return err
	}
	do, title := r.checkAll, "as deployed"
	if perform {
		do, title = r.run, "deployed"
	}
	err = do(ctx)
	if errors.Is(err, errDrift) {
		title, err = "something differs", nil
		_ = j.console.Warning(j.marked("deploy"), "The account is not as a deployment would leave it; the log says where. Mode perform deploys.")
	}
	if err == nil {
		b := report.Brief{Environment: choice.Environment.Name, Title: "account of " + string(choice.Environment.Name) + ": " + title,
			Facts: []report.Fact{{Label: "By", Text: j.who()}, {Label: "Reason", Text: oneLine(fields[ops.FieldReason])}, {Label: "Release", Text: version(), Code: true}}}
		j.summarize(func(page *bytes.Buffer) error { return report.Job(page, b) })
	}
	return err
}

// released is the release's program for what the lanes run on; "" where the runner
// has none, and then the deployment finds its own.
func (j *job) released(ctx context.Context, r *rollout) (string, error) {
	dir := j.p.Getenv(varStepBinaries)
	if dir == "" {
		return "", nil
	}
	architecture, err := r.architecture(ctx)
	if err != nil {
		return "", err
	}
	if architecture == "" {
		architecture = deploy.Architectures()[0]
	}
	return filepath.Join(dir, "synops-linux-"+architecture), nil
}

// doctorStep is the step that looks at an account. A line that fails fails the job.
func (j *job) doctorStep(ctx context.Context) error {
	choice, err := j.chooseAny()
	if err != nil {
		return err
	}
	err = j.doctor(ctx, choice)
	if errors.Is(err, errDrift) {
		_ = j.console.Error(j.marked("doctor"), "Something of the account is not as runs need it; the log says what, and what to do.")
	}
	return err
}

// secrets of a repository that may be put into its account, by the name they have in
// GitHub.
var repositorySecrets = map[string]string{"GH_PAT": deploy.GitHubPAT}

// secretStep is the step that puts one of the repository's secrets into the account.
func (j *job) secretStep(ctx context.Context) error {
	if _, err := j.fields(ops.FieldReason); err != nil {
		return err
	}
	name := j.p.Getenv(varStepSecret)
	to, ok := repositorySecrets[name]
	if !ok {
		return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is no secret that a workflow may put.", ops.Quote(name)), Hint: "It puts GH_PAT; an administrator puts others with synops secret put."}
	}
	value := j.p.Getenv(name)
	if value == "" {
		return &ops.Error{Code: ops.Invalid, Message: "This repository has no secret " + name + ".", Hint: "Set it under Settings, Secrets and variables, Actions."}
	}
	if err := j.secrets.Add(value); err != nil {
		return err
	}
	j.p.In = strings.NewReader(value)
	choice, err := j.chooseAny()
	if err != nil {
		return err
	}
	j.settled(choice.Environment.Name)
	return j.app.putSecret(ctx, choice, to, varDeploymentRole, false)
}
