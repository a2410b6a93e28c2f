package migrate

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestCover: what the service answers is sparse and in any order; what is copied
// must cover the range, each ID once.
func TestCover(t *testing.T) {
	for _, c := range []struct {
		name   string
		span   Span
		sparse []Span
		want   []Span
	}{
		{"no rows: one range that only deletes", Span{5, 90}, nil, []Span{{5, 90}}},
		{"gaps before, between and after", Span{1, 100}, []Span{{60, 70}, {10, 20}}, []Span{{1, 20}, {21, 100}}},
		{"one row", Span{7, 7}, []Span{{7, 7}}, []Span{{7, 7}}},
		{"answers beyond what was asked for", Span{10, 20}, []Span{{1, 5}, {8, 12}, {13, 40}, {50, 60}}, []Span{{10, 12}, {13, 20}}},
	} {
		if got := cover(c.span, slices.Clone(c.sparse)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s := Span{r.Int64N(50), 50 + r.Int64N(50)}
		var sparse []Span
		for at := r.Int64N(60); at < 110; at += 1 + r.Int64N(20) {
			end := at + r.Int64N(15)
			sparse = append(sparse, Span{at, end})
			at = end
		}
		r.Shuffle(len(sparse), func(i, j int) { sparse[i], sparse[j] = sparse[j], sparse[i] })
		next := s.Min
		for _, x := range cover(s, sparse) {
			if x.Min != next || x.Max < x.Min {
				t.Fatalf("%v of %v does not go on at %d", x, s, next)
			}
			next = x.Max + 1
		}
		if next != s.Max+1 {
			t.Fatalf("the cover of %v ends at %d", s, next-1)
		}
	}
}

func TestPair(t *testing.T) {
	bin := func(n, count int64, sum string) Bin {
		return Bin{Number: n, Count: count, Checksum: sum, Min: n * 10, Max: n*10 + 9}
	}
	source := []Bin{bin(3, 5, "c"), bin(1, 5, "a"), bin(7, 2, "x")}
	destination := []Bin{bin(1, 5, "a"), bin(3, 5, "other"), bin(5, 9, "gone")}
	want := []pairing{{1, 5, true, false}, {3, 5, false, false}, {5, 0, false, false}, {7, 2, false, true}}
	if got := pair(source, destination); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	moved := bin(1, 5, "a")
	moved.Max--
	if pair([]Bin{bin(1, 5, "a")}, []Bin{moved})[0].same {
		t.Error("bins with another last ID count as the same")
	}
}

// TestJoinKeepsWhatDiffers: whatever is joined, every differing ID is in exactly one
// range, and no range is larger than allowed unless one bin is.
func TestJoinKeepsWhatDiffers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		const size = 10
		var bins []pairing
		for n := range int64(30) {
			if r.IntN(4) > 0 {
				bins = append(bins, pairing{n, r.Int64N(10), r.IntN(3) > 0, false})
			}
		}
		within := Span{r.Int64N(10), 290 + r.Int64N(10)}
		bad := differing(bins, size, within)
		small, large := split(bad, func(b Bad) bool { return b.Rows < 5 })
		j := joining{gap: r.Int64N(20), rows: 5 + r.Int64N(40), ids: 1000}
		for _, list := range [][]Bad{bad, small, large} {
			holds := map[int64]int{}
			joined := join(slices.Clone(list), j)
			for _, b := range joined {
				for id := b.Min; id <= b.Max; id++ {
					holds[id]++
				}
			}
			for _, b := range list {
				for id := b.Min; id <= b.Max; id++ {
					if holds[id] != 1 {
						t.Fatalf("ID %d, which differs, is in %d ranges of %v", id, holds[id], joined)
					}
				}
			}
			for _, b := range joined {
				var rows int64
				for _, x := range bins {
					if x.number*size >= b.Min/size*size && x.number*size <= b.Max {
						rows += x.rows
					}
				}
				if rows != b.Rows {
					t.Fatalf("%v says %d rows, and has %d, of %v", b, b.Rows, rows, bins)
				}
				if b.Rows > j.rows && b.Max-b.Min >= size {
					t.Fatalf("%v was joined to more than %d rows", b, j.rows)
				}
			}
		}
	}
}

func TestPollAfter(t *testing.T) {
	for _, c := range []struct {
		elapsed, expected, least, most time.Duration
	}{
		{0, 0, 400 * time.Millisecond, 400 * time.Millisecond},
		{0, time.Second, 250 * time.Millisecond, time.Second},
		{0, time.Hour, 30 * time.Second, 30 * time.Second},
		{50 * time.Minute, time.Hour, 250 * time.Millisecond, 2 * time.Minute},
		{2 * time.Hour, time.Hour, 10 * time.Second, 10 * time.Second},
	} {
		if got := (Job{Expected: c.expected}).PollAfter(c.elapsed); got < c.least || got > c.most {
			t.Errorf("after %v of %v: %v, want %v to %v", c.elapsed, c.expected, got, c.least, c.most)
		}
	}
	// Whoever waits a little less than it is told comes ever closer to ten minutes,
	// and must not stand still there, asking without end.
	for left := redelivery; left > 0; left /= 2 {
		for _, urgent := range []bool{true, false} {
			if got := (Job{Urgent: urgent}).PollAfter(redelivery - left); got < 120*time.Millisecond {
				t.Fatalf("%v before ten minutes: %v, want 120ms at least", left, got)
			}
		}
	}
	looks := 0
	for at := time.Duration(0); at < time.Hour; at += (Job{Expected: time.Hour}).PollAfter(at) {
		looks++
	}
	if looks > 180 {
		t.Errorf("a job of an hour is looked at %d times: each costs the service two password hashes", looks)
	}
}

// TestARowThatDoesNotStay: when the destination still lacks rows after the last
// repair, the whole type is compared once more, and once only.
func TestARowThatDoesNotStay(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"NODE"}, Salt: "salt"})
	node := s.tables[0]
	node.lower, node.upper, node.compared, node.repairs = 1, 900, true, 2
	left := []Bad{{Span: Span{5, 9}, Rows: 1, Lacks: true}}
	node.bad = left
	s.repair(node)
	if node.stage != stageCheck || node.sums[0].Min != 1 || node.sums[len(node.sums)-1].Max != 900 {
		t.Fatalf("%s %v, want all of 1 to 900 compared", node.stage, node.sums)
	}
	node.bad, node.repairs = left, 2
	s.repair(node)
	if node.stage != stageDone || len(node.differs) != 1 {
		t.Errorf("%s, differs %v, want it done, and the difference told", node.stage, node.differs)
	}
}

// TestCutAtTheEnd: the largest ID there can be is in the last part, and there is one.
func TestCutAtTheEnd(t *testing.T) {
	s := Span{math.MaxInt64 - 2500, math.MaxInt64}
	next := s.Min
	for _, x := range cut(s, 1000) {
		if x.Min != next || x.Max < x.Min {
			t.Fatalf("%v does not go on at %d", x, next)
		}
		next = x.Max + 1
	}
	if next != math.MinInt64 {
		t.Errorf("it ends before %d", next)
	}
}
