package migrate

import (
	"fmt"
	"strings"
	"time"
)

// Progress is what can be said while it runs.
type Progress struct {
	Done, Total int64 // types
	Rows        int64 // restored so far, secondaries included
	Ranges      int
	Rate        float64 // rows a second, over all so far
	Share       map[Kind]float64
	InFlight    [2]int
	Left        [2]time.Duration // at least, at most
	Critical    string           // "waiting for FILE_HANDLE's restores"
	Silent      time.Duration    // since something was heard; 0 unless that is alarming
}

// Progress tells how far it is, and what it waits for.
func (s *Scheduler) Progress(now time.Time) Progress {
	p := Progress{Total: int64(len(s.tables)), Share: map[Kind]float64{}, InFlight: s.given}
	var longest *table
	var serial, work, last float64
	for _, t := range s.tables {
		p.Rows, p.Ranges = p.Rows+t.copied, p.Ranges+t.restores
		if t.stage == stageDone {
			p.Done++
			continue
		}
		c := s.chain(t)
		work += c
		if t.name == Change {
			last = c
			continue
		}
		if c > serial || longest == nil {
			serial, longest = c, t
		}
	}
	if longest == nil {
		longest = s.byName[Change]
	}
	if s.began > 0 {
		if d := now.Sub(time.UnixMilli(s.began)).Seconds(); d > 0 {
			p.Rate = float64(p.Rows) / d
		}
	}
	// No order of the work is shorter than its longest chain, nor than all of it on
	// all slots; and none that leaves no slot idle is longer than both together.
	lo := max(serial+last, work/float64(max(s.o.Restores, 1)))
	hi := serial + last + work/float64(max(s.o.Restores, 1))
	p.Left = [2]time.Duration{seconds(lo), seconds(hi)}
	if longest != nil && s.marked && longest.stage != stageDone {
		p.Critical = fmt.Sprintf("waiting for %s: %s", longest.name, doing(longest))
	}
	if why := s.outages(milli(now)); why != "" {
		p.Critical = why
	}
	total := time.Duration(0)
	spent := map[Kind]time.Duration{}
	for _, x := range s.times.stretches {
		d := time.Duration(x.End-x.Began) * time.Millisecond
		spent[x.Kind] += d
		total += d
	}
	for k, d := range spent {
		if total > 0 {
			p.Share[k] = float64(d) / float64(total)
		}
	}
	if d := now.Sub(time.UnixMilli(s.news)); s.news > 0 && d > stallAfter {
		p.Silent = d
	}
	return p
}

func doing(t *table) string {
	if t.copies() {
		return fmt.Sprintf("%s, %d of %d ranges restored", t.stage, t.head, len(t.pieces))
	}
	return fmt.Sprintf("%s, %d of %d parts", t.stage, len(t.sums)-t.open, len(t.sums))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// String is one line for a terminal.
func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d types, %d rows in %d ranges, %.0f rows/s", p.Done, p.Total, p.Rows, p.Ranges, p.Rate)
	if share := p.shares(); share != "" {
		fmt.Fprintf(&b, " (%s)", share)
	}
	fmt.Fprintf(&b, "; in flight %d + %d", p.InFlight[0], p.InFlight[1])
	if p.Done < p.Total {
		fmt.Fprintf(&b, "; %s to %s left", short(p.Left[0]), short(p.Left[1]))
	}
	if p.Critical != "" {
		fmt.Fprintf(&b, "; %s", p.Critical)
	}
	if p.Silent > 0 {
		fmt.Fprintf(&b, "; STALLED: nothing heard for %s", short(p.Silent))
	}
	return b.String()
}

// Brief is what fits beside a count of types, the most urgent first.
func (p Progress) Brief() string {
	var parts []string
	if p.Silent > 0 {
		parts = append(parts, "STALLED: nothing heard for "+short(p.Silent))
	}
	if p.Done < p.Total {
		parts = append(parts, short(p.Left[0])+" to "+short(p.Left[1])+" left")
	}
	if p.Critical != "" {
		parts = append(parts, p.Critical)
	}
	return strings.Join(append(parts, fmt.Sprintf("%d rows, %.0f a second", p.Rows, p.Rate)), "; ")
}

func (p Progress) shares() string {
	var parts []string
	for _, k := range []Kind{Backup, Restore, Checksum} {
		if x := p.Share[k]; x > 0 {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", k, 100*x))
		}
	}
	return strings.Join(parts, ", ")
}

func short(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
