package migration

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Batch is the production batch size: rows per backup, and IDs per checksum bin.
const Batch = 50_000

// Config says what is simulated. Profile and Situation are required.
type Config struct {
	Seed      int64
	Profile   string // R: restores dominate, B: backups, E: neither
	Situation string // initial, nightly or final
	// Scale 1: all 279 million rows, as intervals. Above: so many times fewer rows,
	// real ones, with the service's own checksums; batches shrink and costs per row
	// grow alike, so that everything takes as long.
	Scale int64
	// Faults: errors on polls, jobs that fail, a lost worker, jobs delivered twice.
	Faults bool
	// Writes: users change the source meanwhile (Scale above 1, source READ_WRITE).
	Writes bool
	Slots  int     // workers per stack; 0: 8
	Slow   float64 // the destination's database is so many times slower; 0: 1
	// Types keeps to the types named; nil: all.
	Types []string
	// Broken names one row by type that no backup can read.
	Broken map[string]int64
	// Unsummed names one ID by type that no checksum job gets past, and Uncut types of
	// which no ranges job goes well.
	Unsummed map[string]int64
	Uncut    []string
	// Outage: jobs that a side's workers begin within it fail, as while a database fails
	// over; the zero value: none.
	Outage Outage
	// Instances are the names by which the two answer; zero: 543 and 544.
	Instances [2]string
	// Once: a checksum's answer is given once and not kept, so that the stacks hold
	// less than whoever is judged. It must not be killed then.
	Once bool
	// ChangeBeside allows CHANGE's restores beside other types'.
	ChangeBeside bool
}

// An Outage is when, in seconds, all jobs of a side fail.
type Outage struct {
	Side        Side
	From, Until float64
}

// factors of the profiles: backup and restore.
var profiles = map[string][2]float64{"R": {1.6, 1.65}, "B": {3.2, 0.8}, "E": {2.6, 1.2}}

// A situation says what a run finds.
type situation struct {
	readOnly   bool    // the source
	fresh      bool    // the destination is empty
	top        float64 // share of the rows that are new at the top of each type
	bad        func(t Type) float64
	sourceRate float64 // capacity of the source's database
}

var situations = map[string]situation{
	"initial": {fresh: true, top: 1, sourceRate: 5, bad: shares(0.05, 0.012, 0.20, 0.60, 0.10, 0.05)},
	"nightly": {top: 0.0035, sourceRate: 5, bad: shares(0.04, 0.01, 0.15, 0.50, 0.10, 0.04)},
	"final":   {readOnly: true, top: 0.00005, sourceRate: 6, bad: shares(0.003, 0.0003, 0.02, 0.20, 0.10, 0.01)},
}

// shares are the bad bins of FILE_HANDLE, CHANGE, NODE and ACL, what logins touch,
// small types, and others.
func shares(files, changes, nodes, logins, little, others float64) func(Type) float64 {
	return func(t Type) float64 {
		switch {
		case t.Name == "FILE_HANDLE":
			return files
		case t.Name == "CHANGE":
			return changes
		case t.Name == "NODE" || t.Name == "ACL":
			return nodes
		case loginTouched[t.Name]:
			return logins
		case t.Small:
			return little
		}
		return others
	}
}

// Valid tells what is wrong with the configuration.
func (c Config) Valid() error {
	if _, ok := profiles[c.Profile]; !ok {
		return fmt.Errorf("profile %q is none of R, B and E", c.Profile)
	}
	if _, ok := situations[c.Situation]; !ok {
		return fmt.Errorf("situation %q is none of initial, nightly and final", c.Situation)
	}
	if c.Scale < 1 || c.Scale > Batch/10 {
		return fmt.Errorf("scale %d is not between 1 and %d", c.Scale, Batch/10)
	}
	known, _ := Types()
	for _, name := range c.Types {
		if !slices.ContainsFunc(known, func(t Type) bool { return t.Name == name }) {
			return fmt.Errorf("%q is no primary type", name)
		}
	}
	return nil
}

// BatchSize is the batch size at this scale.
func (c Config) BatchSize() int64 { return Batch / c.Scale }

// pairOf builds a type on both sides.
func (c Config) pairOf(t Type, s situation) (source, destination table) {
	r := random(c.Seed, "rows", t.Name)
	n, span := max(1, t.Primary/c.Scale), max(2, t.Span/c.Scale)
	n = min(n, span)
	base := newLattice(r, n, span)
	old := int64(0)
	if !s.fresh {
		old = max(1, n-int64(math.Ceil(float64(n)*s.top)))
	}
	if c.Scale == 1 {
		return c.intervalsOf(t, s, r, base, old)
	}
	return c.rowsOf(t, s, r, base, old)
}

// badBins calls fn for each bin that changes touch, with how many rows.
func (c Config) badBins(t Type, s situation, r *rand.Rand, base *lattice, below int64, fn func(ranks []int64)) {
	bin := c.BatchSize()
	share := s.bad(t)
	if below == 0 {
		return
	}
	for id := base.id(0); ; {
		b := id / bin
		lo, hi := base.rank(b*bin), min(base.rank((b+1)*bin), below)
		if lo < hi && r.Float64() < share {
			fn(clustered(r, lo, hi))
		}
		if hi >= below {
			return
		}
		id = base.id(hi)
	}
}

// clustered picks 1 to 50 rows that lie close: an eighth of the bin holds them.
func clustered(r *rand.Rand, lo, hi int64) []int64 {
	width := max(1, (hi-lo)/10)
	from := lo + r.Int64N(hi-lo-width+1)
	picked := map[int64]bool{}
	for range min(1+r.Int64N(50), width) {
		picked[from+r.Int64N(width)] = true
	}
	out := make([]int64, 0, len(picked))
	for x := range picked {
		out = append(out, x)
	}
	slices.Sort(out)
	return out
}

func (c Config) intervalsOf(t Type, s situation, r *rand.Rand, base *lattice, old int64) (table, table) {
	src := &intervals{base: base, salt: seedOf(c.Seed, t.Name), limit: base.total(), fresh: s.fresh,
		ratio: 1 + float64(t.Secondary)/float64(max(t.Primary, 1))}
	below := old
	if s.fresh {
		below = base.total()
	}
	c.badBins(t, s, r, base, below, func(ranks []int64) {
		for _, k := range ranks {
			ch := change{id: base.id(k), moment: 0, deleted: !t.Etag || r.Float64() < 0.02}
			if s.fresh {
				ch.moment = never
			}
			src.changes = append(src.changes, ch)
		}
	})
	dst := &intervals{base: base, salt: src.salt, ratio: src.ratio, changes: src.changes, source: src}
	if old > 0 {
		dst.pieces = []piece{{Span{1, base.id(old - 1)}, -1}}
	}
	return src, dst
}

func (c Config) rowsOf(t Type, s situation, r *rand.Rand, base *lattice, old int64) (table, table) {
	src := &rows{kind: t, changed: map[int64]changed{}, keys: map[uint64]int64{}}
	ratio := float64(t.Secondary) / float64(max(t.Primary, 1))
	for k := range base.total() {
		x := row{id: base.id(k), more: uint16(ratio*2*r.Float64() + 0.5)}
		if t.Unique || t.Moves {
			x.key = mix(seedOf(c.Seed, t.Name) ^ uint64(x.id))
			src.keys[x.key] = x.id
		}
		src.rows = append(src.rows, x)
	}
	dst := &rows{kind: t, keys: map[uint64]int64{}}
	if s.fresh {
		return src, dst
	}
	dst.rows = slices.Clone(src.rows[:old])
	for _, x := range dst.rows {
		if x.key != 0 {
			dst.keys[x.key] = x.id
		}
	}
	c.badBins(t, s, r, base, old, func(ranks []int64) {
		for _, k := range ranks {
			src.happens(r, base.id(k), never)
		}
	})
	for id := range src.changed {
		src.changed[id] = changed{at: -1}
	}
	return src, dst
}

// happens changes one row of a source, as users do: mostly an update, sometimes a
// deletion, and sometimes one whose unique value another row takes at once.
func (t *rows) happens(r *rand.Rand, id int64, at float64) {
	k, ok := t.at(id)
	if !ok {
		return
	}
	touched := func(id int64) { t.changed[id] = changed{at} }
	touched(id)
	switch x := &t.rows[k]; {
	case t.kind.Moves: // the row gets another ID, at the top
		y := *x
		t.remove(id)
		y.id, y.version = t.next(), y.version+1
		t.insert(y)
		t.keys[y.key] = y.id
		touched(y.id)
	case !t.kind.Etag || r.Float64() < 0.02:
		gone, _ := t.remove(id)
		if gone.key != 0 && len(t.rows) > 0 && r.Float64() < 0.5 { // reused, at a higher or a lower ID
			other := &t.rows[r.IntN(len(t.rows))]
			if t.kind.Etag {
				delete(t.keys, other.key)
				other.key, other.version = gone.key, other.version+1
				t.keys[other.key] = other.id
				touched(other.id)
			}
		}
	default:
		x.version++
		if x.key != 0 && r.Float64() < 0.05 {
			x.key = mix(x.key ^ 77)
			t.keys[x.key] = x.id
		}
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// describeObjects makes each CHANGE row about a NODE that exists.
func (p *Pair) describeObjects() {
	ch, ok := p.tables[Source]["CHANGE"].(*rows)
	nodes, both := p.tables[Source]["NODE"].(*rows)
	if !ok || !both || len(nodes.rows) == 0 {
		return
	}
	r := random(p.config.Seed, "objects")
	about := func(t *rows) {
		for i := range t.rows {
			t.rows[i].object = nodes.rows[r.IntN(len(nodes.rows))].id
		}
	}
	about(ch)
	dst := p.tables[Destination]["CHANGE"].(*rows)
	known := map[int64]int64{}
	for _, x := range ch.rows {
		known[x.id] = x.object
	}
	for i := range dst.rows {
		dst.rows[i].object = known[dst.rows[i].id]
	}
}
