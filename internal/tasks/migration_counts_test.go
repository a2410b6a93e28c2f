package tasks

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
)

// TestSpanned: what IDs span is a number that a plan can be bound to, however far they
// lie apart.
func TestSpanned(t *testing.T) {
	for _, c := range []struct {
		marks []migrate.Mark
		want  int64
	}{
		{nil, 0},
		{[]migrate.Mark{{}}, 0},
		{[]migrate.Mark{mark(1, 10), mark(0, 4), {}}, 15},
		{[]migrate.Mark{mark(0, math.MaxInt64)}, math.MaxInt64},
		{[]migrate.Mark{mark(1, math.MaxInt64), mark(1, math.MaxInt64), mark(1, 3)}, math.MaxInt64},
	} {
		marks, types := map[string]migrate.Mark{}, []string{}
		for i, m := range c.marks {
			types = append(types, string(rune('A'+i)))
			marks[types[i]] = m
		}
		if got := spanned(marks, types); got != c.want {
			t.Errorf("%v span %d IDs, want %d", c.marks, got, c.want)
		}
	}
}

func mark(lo, hi int64) migrate.Mark {
	return migrate.Mark{Span: migrate.Span{Min: lo, Max: hi}, Any: true}
}

// TestAbout: two figures, never further off than a plan allows, and in order.
func TestAbout(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 99: 99, 100: 100, 104: 100, 105: 110, 999: 1000, 1000: 1000, 1_249_999: 1_200_000, math.MaxInt64: 9_200_000_000_000_000_000} {
		if got := about(n); got != want {
			t.Errorf("about %d is %d, want %d", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, math.MaxInt64), rapid.Int64Range(math.MaxInt64-1000, math.MaxInt64)).Draw(t, "n")
		got := about(n)
		if off := math.Abs(float64(got) - float64(n)); got < 0 || off > countTolerance/100.0*float64(n) {
			t.Errorf("about %d is %d", n, got)
		}
		if m := rapid.Int64Range(0, n).Draw(t, "less"); about(m) > got {
			t.Errorf("about %d is %d, and about %d is %d", n, got, m, about(m))
		}
	})
}
