package main

import (
	"context"
	"errors"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// rehearseAccount is the story of two accounts: nothing is there at first, and at
// the end the doctor finds both well. In between a second deployment changes
// nothing, and a job of dev gets nowhere in prod.
func rehearseAccount(ctx context.Context, t *rehearsal.Story) error {
	for _, env := range t.Stage.Environments() {
		if err := t.StandUp(ctx, env); err != nil {
			return err
		}
		if err := deployAgain(ctx, t, env); err != nil {
			return err
		}
		t.Brief = true // prod's progress reads as dev's
	}
	t.Brief = false
	if err := wrongDoor(ctx, t); err != nil {
		return err
	}
	for _, env := range t.Stage.Environments() {
		t.Scene("%s: the doctor, from the ops repository's workflow", env.Name)
		if _, err := t.Do(ctx, t.Stage.Job(env, rehearsal.Job{Workflow: "doctor.yml"}), 0, "doctor", "-e", env.Name); err != nil {
			return err
		}
	}
	return nil
}

// deployAgain deploys what is deployed.
func deployAgain(ctx context.Context, t *rehearsal.Story, env *rehearsal.Environment) error {
	t.Scene("%s: the same deployment again changes nothing", env.Name)
	got, err := t.Do(ctx, t.Stage.Deployment(env), 0, "deploy", "-e", env.Name)
	if err != nil {
		return err
	}
	if n := strings.Count(got.Stdout, ": no change"); n != 4 {
		return errors.New("the second deployment does not say of four lanes that there is no change")
	}
	return nil
}

// wrongDoor has a job of dev ask in prod: the catastrophe that all of it is built
// against. synops refuses it as a courtesy; where synops is told a lie, AWS does.
func wrongDoor(ctx context.Context, t *rehearsal.Story) error {
	t.Scene("a reviewed job of dev's repository is given prod's variables")
	prod := t.Stage.Prod
	intruder := t.Stage.Deployment(t.Stage.Dev)
	intruder.Who += ", with prod's variables"
	theirs := t.Stage.Deployment(prod).Vars
	for _, name := range []string{"CONTEXT", "SYNAPSE_HOST", "ROLE_TO_ASSUME", "SYNAPSE_DEPLOYMENT_ROLE", "VPC_ID", "SUBNETS", "SECURITY_GROUP_IDS"} {
		intruder.Vars[name] = theirs[name]
	}
	if _, err := t.Do(ctx, intruder, 3, "deploy", "-e", prod.Name, "--yes"); err != nil {
		return err
	}
	intruder.Who += ", saying that it is of prod's repository"
	intruder.Vars["GITHUB_REPOSITORY"] = prod.Repository
	got, err := t.Do(ctx, intruder, 1, "deploy", "-e", prod.Name, "--yes")
	if err == nil && !strings.Contains(got.Stderr, "AccessDenied") {
		err = errors.New("prod's role was not what stopped it")
	}
	return err
}
