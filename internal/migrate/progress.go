package migrate

import (
	"fmt"
	"strings"
	"time"
)

// Progress is what can be said while it runs.
type Progress struct {
	Done, Total int64 // types
	Compares    bool  // and copies nothing
	Rows        int64 // restored so far, secondaries included; where it only compares, compared
	Ranges      int
	Rate        float64 // rows a second, over all so far
	Share       map[Kind]float64
	InFlight    [2]int
	Left        [2]time.Duration // at least, at most; 0 where that cannot be told yet
	Critical    string           // "waiting for FILE_HANDLE: repairing, 3 of 9 ranges restored"
	Overdue     string           // a restore that takes far longer than expected; "" where none does
	GivenUp     string           // what could not be copied or compared so far; "" where all could
	Away        []Absence        // of stacks; the scheduler knows of none
	Blind       string           // what is copied because it could not be compared; "" where nothing is
	Silent      time.Duration    // since something was heard; 0 unless that is alarming
}

// An Absence is of a stack that answers no call.
type Absence struct {
	Side Side
	For  time.Duration
	Most time.Duration // then it is given up
}

func (a Absence) String() string {
	return fmt.Sprintf("AWAY: the %s has not answered for %s; it is given up after %s", a.Side, short(a.For), short(a.Most))
}

// Progress tells how far it is, and what it waits for.
func (s *Scheduler) Progress(now time.Time) Progress {
	p := Progress{Total: int64(len(s.tables)), Compares: s.o.NoRestore, Share: map[Kind]float64{}, InFlight: s.given}
	var longest *table
	given, unsure := 0, 0
	// Seconds: with what is likely to differ, and with what is known to.
	var serial, work, last, leastSerial, least, leastLast, longestRank float64
	slots := float64(s.o.Restores)
	for _, t := range s.tables {
		given, unsure = given+len(t.givenUp), unsure+len(t.uncompared)
		p.Rows, p.Ranges = p.Rows+t.copied, p.Ranges+t.restores
		if s.o.NoRestore {
			p.Rows += t.summed
		}
		if t.stage == stageDone {
			p.Done++
			continue
		}
		c := s.chain(t)
		known := s.chainIf(t, 0)
		rank := c
		if s.o.NoRestore { // its comparison is all, and no type's waits for another's
			c, known, rank = 0, 0, s.toCompare(t)
		}
		work += c
		least += known
		if t.stage <= stageCheck {
			more := s.toCompare(t)
			if s.o.NoRestore {
				more += fixedCost * float64(t.open)
			} else {
				more -= more / slots
			}
			work += more
			least += more
		}
		if t.name == Change {
			last, leastLast = c, known
			continue
		}
		leastSerial = max(leastSerial, known)
		serial = max(serial, c)
		if rank > longestRank || longest == nil {
			longestRank, longest = rank, t
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
	// all slots; and none that leaves no slot idle is longer than the chain and the
	// rest on all slots. What is not compared yet may all be the same.
	lo := max(leastSerial+leastLast, least/slots)
	hi := serial + last + max(0, work-serial-last)/slots
	if s.o.NoRestore && s.began > 0 {
		// Of small tables nothing is learned about a row's cost, so that what is left may
		// take as long as types took so far.
		hi = max(hi, now.Sub(time.UnixMilli(s.began)).Seconds()*float64(p.Total-p.Done)/float64(max(p.Done, 1)))
	}
	if s.marked && (p.Done > 0 || !s.o.NoRestore) {
		p.Left = [2]time.Duration{seconds(lo * 0.8), seconds(hi * 1.2)}
	}
	s.overdue(&p, now)
	if given+unsure > 0 {
		p.GivenUp = fmt.Sprintf("%d ranges could not be copied, %d not compared (%d end the run)", given, unsure, s.o.MostBad)
	}
	p.Blind = s.copiesBlind()
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

// A message whose worker is gone comes back to the queue after ten minutes; until
// then nobody can tell the restore from a slow one, and no other of its type may run.
const (
	redelivery   = 10 * time.Minute
	overdueAfter = time.Minute
)

// overdue tells of the restore that is latest, and allows for another worker's
// having to begin it again.
func (s *Scheduler) overdue(p *Progress, now time.Time) {
	var latest *flight
	for _, f := range s.jobs {
		took := now.Sub(time.UnixMilli(f.began))
		if f.Kind == Restore && !f.missing() && took > max(overdueAfter, 5*f.expected) && (latest == nil || f.began < latest.began) {
			latest = f
		}
	}
	if latest == nil {
		return
	}
	took := now.Sub(time.UnixMilli(latest.began))
	p.Overdue = fmt.Sprintf("a restore of %s has taken %s where %s were expected", latest.Type, short(took), short(latest.expected))
	if took < redelivery {
		p.Overdue += "; if its worker is gone, another takes it up within " + short(redelivery-took)
		p.Left[1] += redelivery - took
	}
}

func doing(t *table) string {
	if t.copies() {
		return fmt.Sprintf("%s, %d of %d ranges restored", t.stage, t.head, len(t.pieces))
	}
	return fmt.Sprintf("%s, %d of %d parts", t.stage, len(t.sums)-t.open, len(t.sums))
}

// String is one line for a terminal.
func (p Progress) String() string {
	var b strings.Builder
	if p.Compares {
		fmt.Fprintf(&b, "%d of %d types, %d rows compared, %.0f rows/s", p.Done, p.Total, p.Rows, p.Rate)
	} else {
		fmt.Fprintf(&b, "%d of %d types, %d rows in %d ranges, %.0f rows/s", p.Done, p.Total, p.Rows, p.Ranges, p.Rate)
	}
	if share := p.shares(); share != "" {
		fmt.Fprintf(&b, " (%s)", share)
	}
	fmt.Fprintf(&b, "; in flight %d + %d", p.InFlight[0], p.InFlight[1])
	if p.Left[1] > 0 {
		fmt.Fprintf(&b, "; %s to %s left", short(p.Left[0]), short(p.Left[1]))
	}
	for _, a := range p.Away {
		fmt.Fprintf(&b, "; %s", a)
	}
	if p.Overdue != "" {
		fmt.Fprintf(&b, "; LATE: %s", p.Overdue)
	}
	if p.GivenUp != "" {
		fmt.Fprintf(&b, "; GIVEN UP: %s", p.GivenUp)
	}
	if p.Blind != "" {
		fmt.Fprintf(&b, "; %s", p.Blind)
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
	for _, a := range p.Away {
		parts = append(parts, a.String())
	}
	if p.Overdue != "" {
		parts = append(parts, "LATE: "+p.Overdue)
	}
	if p.GivenUp != "" {
		parts = append(parts, "GIVEN UP: "+p.GivenUp)
	}
	if p.Left[1] > 0 {
		parts = append(parts, short(p.Left[0])+" to "+short(p.Left[1])+" left")
	}
	if p.Critical != "" {
		parts = append(parts, p.Critical)
	}
	if p.Blind != "" {
		parts = append(parts, p.Blind)
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
