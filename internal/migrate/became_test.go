package migrate

import (
	"strings"
	"testing"
	"time"
)

// became tells of each range that failed what the report says of it.
func became(r Report) map[Span]string {
	out := map[Span]string{}
	for _, f := range r.Failures {
		out[f.Span] = f.Became
	}
	return out
}

// TestWhatBecameOf a comparison that failed is told: halved, copied whole, or never
// compared; and while a part is copied for that, progress names it.
func TestWhatBecameOf(t *testing.T) {
	bin := Span{50, 54}
	for name, c := range map[string]struct {
		o       Options
		fails   func(j Job, restored bool) bool
		want    map[Span]string
		copying string // in the progress, at some time
		summary string
	}{
		"a part too large": {
			fails: func(j Job, _ bool) bool { return j.Max-j.Min > 20_000 },
			want:  map[Span]string{{1, 31_999}: "compared by halves"},
		},
		"a bin, until it was copied": {
			fails:   func(_ Job, restored bool) bool { return !restored },
			want:    map[Span]string{{1, 31_999}: "compared by halves, and copied whole where that failed too", bin: "copied whole, then compared equal"},
			copying: "copied whole because it could not be compared: ACL from 50 to 54",
			summary: "1 ranges were copied whole because they could not be compared",
		},
		"a bin, always": {
			fails:   func(Job, bool) bool { return true },
			want:    map[Span]string{{1, 31_999}: "compared by halves, but not all of it", bin: "not compared"},
			copying: "copied whole because it could not be compared: ACL from 50 to 54",
			summary: "1 ranges could not be compared",
		},
		"a bin that is only compared": {
			o:       Options{NoRestore: true},
			fails:   func(Job, bool) bool { return true },
			want:    map[Span]string{{1, 31_999}: "compared by halves, but not all of it", bin: "not compared"},
			summary: "1 ranges could not be compared",
		},
		"a bin, until all is compared once more": {
			o:       Options{Full: true},
			fails:   func(j Job, _ bool) bool { return !strings.HasSuffix(j.Salt, "-full") },
			want:    map[Span]string{bin: "compared later"},
			copying: "copied whole because it could not be compared: ACL from 50 to 54",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.o
			o.Types, o.AllTypes, o.Salt, o.Batch, o.Frozen = []string{"ACL", "TEAM"}, []string{"ACL", "TEAM"}, "salt", 100, true
			s := NewScheduler(o)
			restored, said := false, ""
			failing(t, s, func(j Job) bool {
				if p := s.Progress(time.Now()); p.Blind != "" {
					if said = p.Blind; !strings.Contains(p.String(), said) || !strings.Contains(p.Brief(), said) {
						t.Errorf("neither %q nor %q says %q", p, p.Brief(), said)
					}
				}
				restored = restored || j.Kind == Restore
				return j.Kind == Checksum && j.Side == Source && j.Type == "ACL" && j.Min <= 50 && 50 <= j.Max && c.fails(j, restored)
			})
			r := s.Report(time.Now())
			got := became(r)
			for x, want := range c.want {
				if got[x] != want {
					t.Errorf("%v: %q, want %q", x, got[x], want)
				}
			}
			if said != c.copying {
				t.Errorf("while it went on: %q, want %q", said, c.copying)
			}
			if p := s.Progress(time.Now()); p.Blind != "" {
				t.Errorf("in the end: %q", p.Blind)
			}
			if !strings.Contains(r.Summary(), c.summary) {
				t.Errorf("%q does not say %q", r.Summary(), c.summary)
			}
		})
	}
}

// TestWhatBecameOfWhatIsCopied: a row that cannot be copied, and what lies around it.
func TestWhatBecameOfWhatIsCopied(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL"}, AllTypes: []string{"ACL"}, Salt: "salt", Batch: 100, Frozen: true})
	wide := map[Span]bool{}
	failingWith(t, s, func(side Side) Mark {
		if side == Destination {
			return Mark{}
		}
		return Mark{Span{1, 1000}, true}
	}, func(j Job) bool {
		fails := j.Kind == Backup && j.Min <= 50 && 50 <= j.Max
		if fails && j.Min < j.Max {
			wide[j.Span] = true
		}
		return fails
	})
	got := became(s.Report(time.Now()))
	if got[Span{50, 50}] != "not copied" || len(wide) < 5 {
		t.Errorf("it became %v", got)
	}
	for x := range wide {
		if got[x] != "copied by halves, but not all of it" {
			t.Errorf("%v became %q", x, got[x])
		}
	}
}

// TestWhatIsLeftToCompare is told once a type is compared, is never nothing while parts are
// left, and has nothing to do with what would be restored.
func TestWhatIsLeftToCompare(t *testing.T) {
	s := NewScheduler(Options{Types: []string{"ACL", "TEAM"}, AllTypes: []string{"ACL", "TEAM"}, Salt: "salt", Batch: 100, NoRestore: true})
	told := 0
	failing(t, s, func(Job) bool {
		p, parts := s.Progress(time.UnixMilli(s.news)), s.tables[0].open+s.tables[1].open
		if parts == 0 || !s.marked {
			return false
		}
		if p.Done == 0 {
			if p.Left[1] > 0 {
				t.Errorf("no type is compared, and it says %q", p)
			}
			return false
		}
		told++
		least, most := time.Duration(parts)*time.Second/8, time.Duration(parts)*3*time.Second
		if p.Left[1] < least || p.Left[0] > most || !strings.Contains(p.String(), " rows compared, ") {
			t.Errorf("%d parts are left, and it says %q", parts, p)
		}
		return false
	})
	p := s.Progress(time.UnixMilli(s.news))
	if told < 5 || p.Left[1] > 0 {
		t.Errorf("told %d times, in the end %q", told, p)
	}
}
