package trial

import (
	"context"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestALostRestoreIsFound in virtual time too: that of a client that was killed, behind
// other jobs and other stacks' IDs; and none where there is none.
func TestALostRestoreIsFound(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			p, err := sim.New(sim.Config{Seed: 1, Profile: "E", Situation: "initial", Scale: 1000, Types: []string{"TEAM"}})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(side sim.Side, r sim.Request) (id int64) {
				t.Helper()
				if id, err = p.Submit(side, r); err != nil {
					t.Fatal(err)
				}
				return id
			}
			p.SetStackStatus(sim.Destination, "READ_ONLY")
			span := sim.Span{Min: 1, Max: 2000}
			backup := ask(sim.Source, sim.Request{Kind: sim.Backup, Type: "TEAM", Span: span, Size: 50})
			p.Advance(100)
			st, err := p.Poll(sim.Source, backup)
			if err != nil || st.Key == "" {
				t.Fatalf("the backup is %+v, %v", st, err)
			}
			j := migrate.Job{N: 1, Kind: migrate.Restore, Side: migrate.Destination, Type: "TEAM", Span: migrate.Span(span), Size: 50, Key: st.Key, Sought: "its client was killed"}
			j.After = ask(sim.Destination, sim.Request{Kind: sim.Counts, Types: []string{"TEAM"}})
			ask(sim.Source, sim.Request{Kind: sim.Counts, Types: []string{"TEAM"}})
			ask(sim.Destination, sim.Request{Kind: sim.Checksum, Type: "TEAM", Span: span, Size: 50, Salt: "salt"})
			want := ""
			if taken {
				want = number(ask(sim.Destination, request(j)))
			}
			v := newVirtual(p, 1, func(error) {})
			v.Start(context.Background(), j)
			var got string
			for {
				events := v.Wait(context.Background(), moment(p.Now()+3600))
				if len(events) == 0 {
					t.Fatal("nothing is heard of it")
				}
				e := events[0]
				if e.Over() {
					if taken != (e.Answer != nil) || taken == (e.Lost != "") {
						t.Errorf("it ended with %+v", e)
					}
					break
				}
				got = e.ServerID
			}
			if got != want {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}
