package trial

import (
	"fmt"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
	"os"
	"testing"
)

func TestDebug(t *testing.T) {
	sit := os.Getenv("SIT")
	r, err := Run(Config{Config: sim.Config{Seed: 1, Profile: "R", Situation: sit, Scale: 1}, Schedule: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(r.Makespan)
	b := epoch.UnixMilli()
	for i, x := range r.Stretches {
		if x.End-x.Began > 30000 || i > len(r.Stretches)-90 {
			fmt.Println(i, x.Kind, x.Side, x.Type, x.Span, x.Rows, float64(x.Began-b)/1000, float64(x.End-x.Began)/1000, x.Twin)
		}
	}
}
