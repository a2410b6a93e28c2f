package migration

import (
	"math"
)

func (p *Pair) scheduleWrite() {
	if p.writesDue--; p.writesDue < 0 {
		p.nextWrite = math.Inf(1)
		return
	}
	mean := map[string]float64{"initial": 60, "nightly": 2}[p.config.Situation]
	p.nextWrite += mean * p.writes.ExpFloat64()
}

// write is a user of the source changing, deleting or adding a row.
func (p *Pair) write() {
	at := p.nextWrite
	p.scheduleWrite()
	t := p.types[p.writes.IntN(len(p.types))]
	if p.writes.IntN(2) == 0 && p.kinds["NODE"].Name != "" {
		t = p.kinds["NODE"]
	}
	src, ok := p.tables[Source][t.Name].(*rows)
	if !ok || len(src.rows) == 0 {
		return
	}
	if p.writes.IntN(3) == 0 && t.Name != "CHANGE" {
		x := row{id: src.next()}
		if t.Unique || t.Moves {
			x.key = mix(seedOf(p.config.Seed, t.Name, "new") ^ uint64(x.id))
			src.keys[x.key] = x.id
		}
		src.insert(x)
		src.changed[x.id] = changed{at}
		p.tell(t.Name, x.id, at)
		return
	}
	id := src.rows[p.writes.IntN(len(src.rows))].id
	src.happens(p.writes, id, at)
	p.tell(t.Name, id, at)
}

// tell adds the CHANGE that follows a write to a NODE.
func (p *Pair) tell(name string, id int64, at float64) {
	ch, ok := p.tables[Source]["CHANGE"].(*rows)
	if !ok || name != "NODE" || len(ch.rows) == 0 {
		return
	}
	x := row{id: ch.next(), object: id}
	x.key = mix(seedOf(p.config.Seed, "told") ^ uint64(x.id))
	ch.insert(x)
	ch.changed[x.id] = changed{at}
}
