package migrate

import (
	"strconv"
	"testing"
	"time"
)

// TestOneSlowJobIsNoRule: a job that waited for a lost worker does not make others
// look slow, be it the first or one of many, and a service that is slower for good is
// learned.
func TestOneSlowJobIsNoRule(t *testing.T) {
	took := func(c costs, d time.Duration, times int) {
		for range times {
			c.learn(Restore, 5_000, 500, d, firstGuess[Restore])
		}
	}
	expected := func(c costs) time.Duration {
		return time.Duration((fixedCost + 5_000*c.perRow(Restore)) * float64(time.Second))
	}
	first := costs{}
	took(first, 10*time.Minute, 1)
	if d := expected(first); d > 12*time.Second {
		t.Errorf("after one of ten minutes, the first, %v are expected", d)
	}
	took(first, 3*time.Second, 3)
	if d := expected(first); d > 6*time.Second {
		t.Errorf("after three more of 3 s %v are expected", d)
	}
	many := costs{}
	took(many, 3*time.Second, 10)
	took(many, 10*time.Minute, 1)
	if d := expected(many); d > 5*time.Second {
		t.Errorf("after ten of 3 s and one of ten minutes %v are expected", d)
	}
	took(many, time.Minute, 40)
	if d := expected(many); d < 40*time.Second {
		t.Errorf("after forty of a minute %v are expected", d)
	}
}

// TestATwinComesSoon: a reading job whose worker is lost gets its twin by what is
// known at that time of jobs like it, not by the guess it was begun with.
func TestATwinComesSoon(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	s := NewScheduler(Options{Types: []string{"NODE"}, Salt: "salt", Frozen: true})
	all := Mark{Span: Span{1, 63_999_999}, Any: true}
	s.Replay(Record{Op: opMarked, At: milli(now), Marks: map[string][2]Mark{"NODE": {all, all}}})
	jobs := s.Next(now)
	if len(jobs) < 4 {
		t.Fatalf("began with %d jobs", len(jobs))
	}
	lost := jobs[0]
	for _, j := range jobs {
		s.Take(Event{N: j.N, At: now, ServerID: strconv.FormatInt(j.N, 10)})
	}
	for _, j := range jobs[1:] {
		s.Take(Event{N: j.N, At: now.Add(10 * time.Second), Answer: &Answer{Took: 10 * time.Second, Bins: []Bin{{Number: j.Min / 1000, Count: 1_700_000, Min: j.Min, Max: j.Max}}}})
	}
	for after := 10 * time.Second; after < time.Hour; after += time.Second {
		for _, j := range s.Next(now.Add(after)) {
			if j.Twin {
				if j.Span != lost.Span || j.Side != lost.Side {
					t.Errorf("a twin of %v %v, want of %v %v", j.Side, j.Span, lost.Side, lost.Span)
				}
				if after > time.Minute {
					t.Errorf("it came after %v while others took 10 s", after)
				}
				return
			}
			s.Take(Event{N: j.N, At: now.Add(after), ServerID: strconv.FormatInt(j.N, 10)})
		}
	}
	t.Error("there was none")
}
