package worker_test

import (
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// few types are enough where a pair is only looked at: comparing CHANGE takes the test
// half a second, and ten times that under the race detector.
var few = []string{"TEAM", "ACL"}

// looks makes the run one of a task that only looks at the pair.
func (m *migrating) looks(name ops.TaskName, inputs ...string) {
	m.again(inputs...)
	m.req.Task = name
	if name == "migrate-status" {
		delete(m.req.Inputs, "batch-size")
	}
}

// document is one that the run kept, whose name ends so.
func (m *migrating) document(end string) string {
	for key, doc := range m.docs.docs {
		if strings.HasSuffix(key, end) {
			return string(doc)
		}
	}
	m.Errorf("no document ends with %s", end)
	return ""
}

// TestMigrationIsLookedAt before, during and after one: what somebody who is tired
// must know is in the first sentence.
func TestMigrationIsLookedAt(t *testing.T) {
	bubble(t, "before a final pass", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few})
		m.looks("migrate-status")
		r := m.ends(ops.StartRun, ops.Succeeded, "", "a migration would be a final pass", "the source is 543 543.0, READ_ONLY", "the destination 544 544.0, READ_WRITE", "2 of 2 types reach differently far")
		contains(t, "the table", m.document("migrate-status.md"), "the source reaches ", " further |")
		if left, ok := r.Effects[0].After["left-out"].([]any); r.Effects[0].After["mode"] != "final" || !ok || len(left) > 0 {
			t.Errorf("the state is %v", r.Effects[0].After)
		}
	})
	bubble(t, "while the destination is closed", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 2, Situation: "nightly"})
		m.set(sim.Destination, "READ_ONLY")
		m.looks("migrate-status")
		m.ends(ops.StartRun, ops.Succeeded, "", "a migration would be a nightly pass", "The destination is READ_ONLY: it answers its users with 503", "a migration into it may be under way")
	})
	bubble(t, "while the destination is down", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 2, Situation: "nightly"})
		m.stacks.Look(func(p *sim.Pair) { p.SetStackStatus(sim.Destination, "DOWN") })
		m.looks("migrate-status")
		r := m.ends(ops.StartRun, ops.Succeeded, "", "The destination is DOWN: it answers its users with 503")
		if text := r.Effects[0].Message + m.document("migrate-status.md"); strings.Contains(text, "under way") || strings.Contains(text, `It says: ""`) {
			t.Errorf("it says what nobody knows: %s", text)
		}
	})
	bubble(t, "when both are the same", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few})
		m.ends(ops.StartRun, ops.Succeeded, "")
		m.looks("migrate-status")
		m.ends(ops.StartRun, ops.Succeeded, "", "all 2 types reach equally far")
		if text := m.document("migrate-status.md"); strings.Contains(text, "further") {
			t.Errorf("the table says otherwise:\n%s", text)
		}
	})
	bubble(t, "a stack that is down", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few})
		m.looks("migrate-status")
		m.away[sim.Destination].Store(true)
		began := time.Now()
		m.ends(ops.StartRun, ops.RunFailed, ops.Unavailable, "asking which instance answers at https://repo-staging.prod.example.org, the destination")
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("it took %v to say so", took)
		}
	})
	bubble(t, "credentials or hosts that are exchanged", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few})
		m.looks("migrate-status")
		m.secret = [2]string{sim.DestinationSecret, sim.SourceSecret}
		r := m.ends(ops.StartRun, ops.RunRefused, ops.Denied)
		contains(t, "the result", r.Message+r.Next, "the source, does not accept its credential", "source-host and destination-host exchanged", "migration_source")
	})
}

// TestMigrationIsVerified: the command that makes both the same is said, and a few
// types are named.
func TestMigrationIsVerified(t *testing.T) {
	bubble(t, "before a final pass", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: []string{"TEAM", "ACL", "PRINCIPAL", "ACTIVITY", "FAVORITE", "EVALUATION", "DOI", "FORUM", "CHALLENGE"}})
		m.looks("migrate-verify")
		r := m.ends(ops.StartRun, ops.RunFailed, ops.Conflict, "types differ although the source is READ_ONLY", "more. The report is",
			"synops run migrate source-host=https://repo-prod.prod.example.org destination-host=https://repo-staging.prod.example.org mode=final -e prod")
		if n := strings.Count(r.Effects[0].Message, ","); n > 10 {
			t.Errorf("it names %d types: %s", n, r.Effects[0].Message)
		}
		contains(t, "the log", m.out.String(), " rows compared")
		if strings.Contains(m.out.String(), "rows in ") {
			t.Errorf("it tells of what is restored:\n%s", m.said())
		}
	})
	bubble(t, "while the destination is closed", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few})
		m.set(sim.Destination, "READ_ONLY")
		m.looks("migrate-verify")
		m.ends(ops.StartRun, ops.RunFailed, ops.Conflict, "If a migration into the destination is under way, compare once it has ended")
		contains(t, "the log", m.out.String(), "the destination is READ_ONLY: if a migration into it is under way")
	})
	bubble(t, "what cannot be compared", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 1, Situation: "final", Types: few, Unsummed: map[string]int64{"ACL": 77}})
		m.looks("migrate-verify")
		m.ends(ops.StartRun, ops.RunFailed, ops.Conflict, "1 ranges could not be compared, so they are not verified: ACL from ")
		contains(t, "the report", m.document("migrate-verify.md"), "| not compared |", "| ACL | ", "**not compared**")
	})
}

// TestMigrationTellsSoon: whoever watches sees within a minute that it goes on.
func TestMigrationTellsSoon(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		m := newMigrating(t, sim.Config{Seed: 4, Situation: "initial"})
		m.ends(ops.StartRun, ops.Succeeded, "")
		first := 0
		for line := range strings.Lines(m.out.String()) {
			if strings.Contains(line, " of 3 types, ") {
				first++
			}
		}
		if first < 4 || first > 30 {
			t.Errorf("it told %d times how far it is\n%s", first, m.said())
		}
	})
}
