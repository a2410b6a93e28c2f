package migrate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestWhateverHappens: jobs end in any order, fail, are refused or lost, the process
// dies anywhere, with the end of its record, and the destination is opened meanwhile:
// no rule is broken, what is written down makes the same state again, and in the end
// both sides are the same but for rows that nothing can read, each given up once.
func TestWhateverHappens(t *testing.T) {
	seeds := uint64(80)
	switch {
	case racing:
		seeds = 5
	case os.Getenv("SYNOPS_PROVE") != "":
		seeds = 4_000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t, seed, Options{
				Batch: []int64{10, 23, 60, 1000, 3000}[r.IntN(5)], Frozen: r.IntN(2) == 0, Full: r.IntN(3) == 0, Backups: 1 + r.IntN(5), Restores: 1 + r.IntN(4),
			}, 1+r.IntN(4))
			w.troubles = r.IntN(26)
			for _, name := range w.o.Types {
				w.table(name, shapes[r.IntN(len(shapes)-farShapes)])
				if ids := slices.Sorted(maps.Keys(w.rows[Source][name])); len(ids) > 0 && len(w.broken) < 3 && w.chance(15) {
					w.broken[name] = []int64{ids[r.IntN(len(ids))], ids[r.IntN(len(ids))]}
				}
			}
			if r.IntN(4) == 0 {
				w.uncut = w.o.Types[r.IntN(len(w.o.Types))]
			}
			if name := w.o.Types[r.IntN(len(w.o.Types))]; r.IntN(3) == 0 && len(w.broken) == 0 {
				w.unsummed[name] = int64(r.IntN(400))
			}
			w.live(r.IntN(5))
		})
	}
}

// TestShapes: however the rows of both sides lie, of a source at rest and of one that
// users write to.
func TestShapes(t *testing.T) {
	if racing {
		t.Skip("one goroutine")
	}
	for _, shape := range shapes {
		for _, frozen := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, at rest %t", shape, frozen), func(t *testing.T) {
				seeds := uint64(12)
				if strings.Contains(shape, "far apart") {
					seeds = 2
					if strings.Contains(shape, "largest") {
						seeds = 4
					}
				}
				for seed := range seeds {
					w := newWorld(t, seed, Options{Batch: []int64{10, 50, 3000, 100_000}[seed%4], Frozen: frozen}, 1)
					for _, name := range w.o.Types {
						w.table(name, shape)
					}
					w.live(0)
				}
			})
		}
	}
}
