package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// hidden leaves the hosts of environments to subnets.
func hidden(c *rehearsal.Config, environments ...string) (err error) {
	c.NoThrottle = true
	c.Hosts, err = rehearsal.FreeHosts(environments...)
	return err
}

// hiddenDev is for the story of dev's subnet.
func hiddenDev(c *rehearsal.Config) error { return hidden(c, "dev") }

// rehearseSubnet is the story of why runs happen in builds at all: dev's Synapse
// listens in a network of its own. The launcher outside cannot ask it anything; the
// build inside can.
func rehearseSubnet(ctx context.Context, t *rehearsal.Story) error {
	t.Scene("dev's Synapse listens in a network of its own")
	dev := t.Stage.Dev
	subnet, err := openSubnet(ctx, t.Stage, dev)
	if err != nil {
		return err
	}
	defer subnet.Close()
	t.Say("Within it answers at %s. Builds are put there: %s\n", dev.Host, strings.Join(subnet.Enter(), " "))

	t.Scene("the account is stood up (cloudsim rehearse account shows how)")
	if err := quietly(t.Stage, func(t *rehearsal.Story) error { return t.StandUp(ctx, dev, "plan", "admin") }); err != nil {
		return err
	}
	buildWithin(t.Stage, dev, subnet)
	return insideOnly(ctx, t)
}

// openSubnet has the environment's Synapse listen in a network of its own, which this
// program opens.
func openSubnet(ctx context.Context, s *rehearsal.Stage, env *rehearsal.Environment) (*rehearsal.Subnet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return s.OpenSubnet(ctx, env, self)
}

// buildWithin puts the account's builds into the subnet. Its lanes are there.
func buildWithin(s *rehearsal.Stage, env *rehearsal.Environment, subnet *rehearsal.Subnet) {
	inside := emulator.Defaults().Builds
	inside.Prefix = subnet.Enter()
	for _, project := range []string{"synops-plan", adminProject} {
		s.Cloud.Account(env.Account).CodeBuild.Behave(project, inside)
	}
}

// insideOnly asks from both sides.
func insideOnly(ctx context.Context, t *rehearsal.Story) error {
	dev := t.Stage.Dev
	t.Scene("outside, nobody can ask it: not this program, and not synops with a good token")
	if err := unreachable(ctx, t, dev.Host); err != nil {
		return err
	}
	person := t.Stage.Administrator(dev)
	person.Who = "a person on this machine with an administrator's token, who leaves the account out"
	person.Vars["SYNAPSE_ADMIN_PAT"], person.Vars["SYNOPS_CONFIG"] = dev.Token, filepath.Join(t.Stage.Dir, "outside.yaml")
	text := fmt.Sprintf("environments: {dev: {repository: %s, synapse_hosts: [%q]}}\n", dev.Repository, dev.Host)
	if err := os.WriteFile(person.Vars["SYNOPS_CONFIG"], []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing an environments file: %w", err)
	}
	task := []string{"decertify-user", "users=3350396"}
	got, err := t.Do(ctx, person, 1, append(append([]string{"plan"}, task...), "-e", "dev")...)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(strings.Fields(got.Stderr), " "), "connect: connection refused") {
		return errors.New("it was something else that kept synops from the service")
	}

	t.Scene("a job plans and runs from outside; the builds are inside")
	planned, err := t.Do(ctx, t.Stage.Job(dev, rehearsal.Job{Workflow: "run-task.yml", Run: 1}), 0, append([]string{"plan"}, task...)...)
	if err != nil {
		return err
	}
	performer := t.Stage.Job(dev, rehearsal.Job{Workflow: "run-task.yml", Reviewed: true, Run: 2})
	if _, err := t.Do(ctx, performer, 0, append(append([]string{"run"}, task...), "--plan", digest.FindString(planned.Stdout))...); err != nil {
		return err
	}
	if u, _ := dev.Synapse.User("3350396"); u.Certified {
		return errors.New("the user is still certified")
	}
	again, err := t.Do(ctx, t.Stage.Job(dev, rehearsal.Job{Workflow: "run-task.yml", Run: 3}), 0, append([]string{"plan"}, task...)...)
	if err == nil && !strings.Contains(again.Stdout, "nothing to do") {
		err = errors.New("the service does not know of what was done")
	}
	return err
}

// unreachable is nil where nothing answers at host from here.
func unreachable(ctx context.Context, t *rehearsal.Story, host string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/repo/v1/version", nil)
	if err != nil {
		return fmt.Errorf("asking from outside: %w", err)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err == nil {
		resp.Body.Close()
		return fmt.Errorf("%s answers outside of its network: %s", host, resp.Status)
	}
	t.Say("%v\n", err)
	return nil
}
