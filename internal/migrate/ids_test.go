package migrate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const top = math.MaxInt64

// TestTheLargestID is an ID as any other: nothing wraps around behind it.
func TestTheLargestID(t *testing.T) {
	near := Span{top - 9, top}
	equal := func(what string, got, want []Span) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	spans := func(bad []Bad) (out []Span) {
		for _, b := range bad {
			out = append(out, b.Span)
		}
		return out
	}
	for _, size := range []int64{1, 5, 7, 1000, top} {
		var parts []Span
		for _, b := range differing([]pairing{{number: top / size, lacks: true}}, size, near) {
			parts = append(parts, b.Span)
		}
		equal("the last bin", parts, []Span{{max(near.Min, top/size*size), top}})
	}
	equal("cut", cut(near, 4), []Span{{top - 9, top - 8}, {top - 7, top - 4}, {top - 3, top}})
	equal("covered", cover(near, []Span{{top - 5, top}, {top - 9, top - 7}, {top, top}}), []Span{{top - 9, top - 7}, {top - 6, top}})
	equal("covered, of nonsense", cover(near, []Span{{5, 2}, {-9, 3}, {top, top - 1}}), []Span{near})
	equal("without the last", spans(without([]Bad{{Span: near}}, []Span{{top, top}})), []Span{{top - 9, top - 1}})
	equal("without all", spans(without([]Bad{{Span: near}}, []Span{near})), nil)
	equal("joined", spans(join([]Bad{{Span: near}, {Span: Span{top - 3, top}}, {Span: Span{top, top}}}, joining{ids: 1 << 62})), []Span{near})
	equal("added", addSpan([]Span{{0, 5}, {top - 9, top - 1}}, Span{top, top}), []Span{{0, 5}, near})
	for _, x := range []struct {
		s    Span
		want int64
	}{{Span{3, 3}, 1}, {Span{0, top}, top}, {Span{1, top}, top}, {Span{0, top - 1}, top}, {Span{4, 3}, 0}} {
		if got := x.s.IDs(); got != x.want {
			t.Errorf("%v has %d IDs, want %d", x.s, got, x.want)
		}
	}
	table := &table{lower: 0, upper: top, rows: top, costs: costs{}, usual: costs{}, ratio: 1}
	for _, table.seen = range []int64{0, 1, top} {
		table.summed = table.seen
		if n := table.guess(Span{0, top}); n < top/4 {
			t.Errorf("after %d, %d rows are guessed", table.seen, n)
		}
	}
	for _, d := range []float64{1, 1e9, 1e300} {
		if x := seconds(d); x <= 0 || 30*x < x {
			t.Errorf("%g s are %v", d, x)
		}
	}
}

// TestNoIDIsLeftOut of what is cut, covered, or joined, nor is any there twice.
func TestNoIDIsLeftOut(t *testing.T) {
	id := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(top-50, top), rapid.Int64Range(0, top))
	span := rapid.Custom(func(t *rapid.T) Span {
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		return Span{min(a, b), max(a, b)}
	})
	rapid.Check(t, func(t *rapid.T) {
		s := span.Draw(t, "span")
		whole := func(what string, parts []Span) {
			next, over := s.Min, false
			for _, p := range parts {
				if over || p.Min != next || p.Max < p.Min || p.Max > s.Max {
					t.Fatalf("%s: %v of %v", what, parts, s)
				}
				if over = p.Max == s.Max; !over {
					next = p.Max + 1
				}
			}
			if !over {
				t.Fatalf("%s: %v of %v", what, parts, s)
			}
		}
		whole("cut", cut(s, rapid.Int64Range(s.IDs()/20+1, top).Draw(t, "width")))
		sparse := rapid.SliceOfN(rapid.OneOf(span, rapid.Custom(func(t *rapid.T) Span { return Span{rapid.Int64().Draw(t, "from"), rapid.Int64().Draw(t, "to")} })), 0, 6).Draw(t, "sparse")
		whole("covered", cover(s, slices.Clone(sparse)))

		var bad []Bad
		for _, x := range rapid.SliceOfN(span, 1, 6).Draw(t, "bad") {
			bad = append(bad, Bad{Span: x, Rows: 1, Gap: unknownGap})
		}
		probes := []int64{0, top}
		for _, b := range bad {
			probes = append(probes, b.Min, b.Max)
		}
		covers := func(list []Bad, id int64) (n int) {
			for _, b := range list {
				if b.Min <= id && id <= b.Max {
					n++
				}
			}
			return n
		}
		joined := join(slices.Clone(bad), joining{ids: 1 << 62})
		kept := without(joined, []Span{s})
		for _, id := range probes {
			is, in := covers(bad, id) > 0, s.Min <= id && id <= s.Max
			if n := covers(joined, id); n > 1 || is != (n == 1) {
				t.Fatalf("%d is in %v, and %d times in %v", id, bad, n, joined)
			}
			if n := covers(kept, id); n > 1 || (is && !in) != (n == 1) {
				t.Fatalf("without %v, %d is %d times in %v", s, id, n, kept)
			}
		}
	})
}

// TestTheLargestIDIsComparedFinely, and once.
func TestTheLargestIDIsComparedFinely(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL"}, Batch: 1000, Salt: "salt"})
	acl := s.tables[0]
	acl.lower, acl.upper = top-1000, top
	s.sumFine(acl, []Bad{{Span: Span{top - 9, top - 8}}, {Span: Span{top - 5, top - 4}}, {Span: Span{top - 1, top}}})
	var got []Span
	for _, c := range acl.sums {
		got = append(got, c.Span)
	}
	if want := []Span{{top - 27, top - 8}, {top - 7, top}}; !slices.Equal(got, want) { // bins of 20 IDs
		t.Errorf("%v, want %v", got, want)
	}
}
