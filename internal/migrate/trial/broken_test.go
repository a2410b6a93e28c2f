package trial

import (
	"strings"
	"testing"

	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestOneRowThatCannotBeCopied: it is found by halving and named, and everything
// else is copied.
func TestOneRowThatCannotBeCopied(t *testing.T) {
	c := Config{Config: sim.Config{Seed: 5, Profile: "E", Situation: "initial", Scale: 1000, Broken: map[string]int64{"ACTIVITY": 701}, Types: []string{"ACTIVITY", "TEAM", "CHANGE"}}, Schedule: "ours"}
	r := try(t, c)
	if !strings.Contains(r.Error, "1 ranges could not be copied") {
		t.Errorf("it ended with %q", r.Error)
	}
	if len(r.Violations) > 0 {
		t.Error(r.Violations)
	}
	if r.Wrong != 1 {
		t.Errorf("%d rows are wrong, want the one that cannot be read: %q", r.Wrong, r.WrongAre)
	}
	for _, x := range r.Report.Types {
		if x.Type == "ACTIVITY" && (len(x.GivenUp) != 1 || x.GivenUp[0].Min != 701 || x.GivenUp[0].Max != 701) {
			t.Errorf("given up: %v, want 701", x.GivenUp)
		}
		if x.Stage != "done" {
			t.Errorf("%s ended while %s", x.Type, x.Stage)
		}
	}
}

// TestFullVerification compares everything again, with another salt.
func TestFullVerification(t *testing.T) {
	c := Config{Config: sim.Config{Seed: 6, Profile: "R", Situation: "final", Scale: 1000, Types: []string{"NODE", "ACL", "PRINCIPAL", "CHANGE"}}, Schedule: "ours"}
	standard := try(t, c)
	sound(t, standard)
	c.Full = true
	full := try(t, c)
	sound(t, full)
	if a, b := standard.Jobs["source"]["checksum"], full.Jobs["source"]["checksum"]; b <= a {
		t.Errorf("%d checksums, and %d with everything compared again", a, b)
	}
}

// TestADatabaseThatFailsOver: for three minutes every job of a side fails. That is no
// range's fault: nothing is given up for it, and the rest is copied afterwards.
func TestADatabaseThatFailsOver(t *testing.T) {
	for _, side := range []sim.Side{sim.Source, sim.Destination} {
		t.Run(side.String(), func(t *testing.T) {
			t.Parallel()
			c := Config{Config: sim.Config{Seed: 3, Profile: "E", Situation: "nightly", Scale: 1000, Outage: sim.Outage{Side: side, From: 150, Until: 330}}, Schedule: "ours"}
			sound(t, try(t, c))
		})
	}
}
