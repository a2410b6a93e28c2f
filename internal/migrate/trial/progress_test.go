package trial

import (
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// TestTimeLeft: the range that is told holds the time that was left, within a half
// more or less, at nine looks of ten.
func TestTimeLeft(t *testing.T) {
	if racing {
		t.Skip("full scale; see racing")
	}
	for _, profile := range []string{"R", "B"} {
		for _, situation := range []string{"nightly", "final"} {
			if !proving && (profile == "R") != (situation == "final") {
				continue
			}
			type look struct {
				at   float64
				left [2]float64
			}
			var looks []look
			c := Config{Config: sim.Config{Seed: 2, Profile: profile, Situation: situation, Scale: 1}, Schedule: "ours"}
			c.Look = func(at float64, progress func() migrate.Progress) {
				if len(looks) > 0 && at < looks[len(looks)-1].at+5 {
					return
				}
				if p := progress(); p.Left[1] > 0 {
					looks = append(looks, look{at, [2]float64{p.Left[0].Seconds(), p.Left[1].Seconds()}})
				}
			}
			r := try(t, c)
			off := 0
			for _, x := range looks {
				if left := r.Makespan - x.at; left < x.left[0]/1.5 || left > x.left[1]*1.5 {
					off++
				}
			}
			if len(looks) < 40 || off > len(looks)/10 {
				t.Errorf("%s %s: %d of %d looks were far off", profile, situation, off, len(looks))
			}
		}
	}
}

// TestALostRestoreIsTold: while a restore waits for another worker the operator reads
// which, for how long, and until when.
func TestALostRestoreIsTold(t *testing.T) {
	if racing {
		t.Skip("full scale; see racing")
	}
	c := Config{Config: sim.Config{Seed: 3, Profile: "E", Situation: "final", Scale: 1, Faults: true}, Schedule: "ours"}
	for ; ; c.Seed++ {
		var told string
		var most time.Duration
		looked := 0.0
		c.Look = func(at float64, progress func() migrate.Progress) {
			if told != "" || at < looked+5 {
				return
			}
			looked = at
			if p := progress(); p.Overdue != "" {
				told, most = p.String(), p.Left[1]
			}
		}
		r := try(t, c)
		if r.Redone == 0 { // no restore was lost
			continue
		}
		for _, want := range []string{"LATE: a restore of ", " s were expected; if its worker is gone, another takes it up within "} {
			if !strings.Contains(told, want) {
				t.Errorf("%q does not say %q", told, want)
			}
		}
		if most < 8*time.Minute {
			t.Errorf("%q, at most %v left were told", told, most)
		}
		return
	}
}
