package migration

import (
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strconv"
)

// A row is one row of a primary table with its secondaries. What it holds follows
// from its version alone.
type row struct {
	id      int64
	version uint32
	key     uint64 // of its extra unique key or, where it moves, its primary key; 0: none
	more    uint16 // rows of its secondaries
	object  int64  // CHANGE: the NODE it is about
}

// A rows table holds real rows, by ID, and sums real CRCs.
type rows struct {
	kind Type
	rows []row
	keys map[uint64]int64 // destination: who holds a key

	changed map[int64]changed // source: when a row last changed
	top     int64             // source: the highest ID of a row that is gone
}

type changed struct {
	at float64
}

func (t *rows) mark() (Span, bool) {
	if len(t.rows) == 0 {
		return Span{}, false
	}
	return Span{t.rows[0].id, t.rows[len(t.rows)-1].id}, true
}

func (t *rows) at(id int64) (int, bool) {
	i := sort.Search(len(t.rows), func(i int) bool { return t.rows[i].id >= id })
	return i, i < len(t.rows) && t.rows[i].id == id
}

func (t *rows) slice(s Span) (i, j int) {
	i, _ = t.at(s.Min)
	j, _ = t.at(s.Max + 1)
	return i, max(i, j)
}

func (t *rows) count(s Span) (primary, group int64) {
	i, j := t.slice(s)
	for _, r := range t.rows[i:j] {
		group += 1 + int64(r.more)
	}
	return int64(j - i), group
}

func (t *rows) pack(s Span, most int64) []Span {
	i, j := t.slice(s)
	var out []Span
	var n int64
	for k := i; k < j; k++ {
		c := 1 + int64(t.rows[k].more)
		if k == i || n+c > most {
			if k > i {
				out[len(out)-1].Max = t.rows[k-1].id
			}
			out = append(out, Span{t.rows[k].id, s.Max})
			n = 0
		}
		n += c
	}
	if len(out) > 0 {
		out[len(out)-1].Max = t.rows[j-1].id
	}
	return out
}

// etag is what the checksum reads of a row besides its ID.
func etag(kind string, r row) string {
	return strconv.FormatUint(mix(uint64(r.id)^uint64(r.version)<<40^uint64(len(kind))), 16)
}

func (t *rows) sums(s Span, bin int64, salt string) []Bin {
	i, j := t.slice(s)
	var out []Bin
	var sum, xor uint64
	var text []byte
	done := func() {
		if len(out) > 0 {
			out[len(out)-1].Checksum = fmt.Sprintf("%d%%%d", sum, xor)
		}
		sum, xor = 0, 0
	}
	for _, r := range t.rows[i:j] {
		if b := r.id / bin; len(out) == 0 || out[len(out)-1].Number != b {
			done()
			out = append(out, Bin{Number: b, Min: r.id})
		}
		e := &out[len(out)-1]
		e.Count++
		e.Max = r.id
		tag := ""
		if t.kind.Etag {
			tag = etag(t.kind.Name, r)
		}
		text = appendSummed(text[:0], r.id, tag, t.kind.Etag, salt)
		c := crc(text)
		sum += c
		xor ^= c
	}
	done()
	return out
}

func crc(text []byte) uint64 { return uint64(crc32.ChecksumIEEE(text)) }

// appendSummed is the text whose CRC stands for a row.
func appendSummed(b []byte, id int64, etag string, has bool, salt string) []byte {
	b = strconv.AppendInt(b, id, 10)
	if has {
		b = append(b, '@')
		b = append(b, etag...)
	}
	b = append(b, "@@"...)
	return append(b, salt...)
}

func (t *rows) read(s Span, moment int64) file {
	i, j := t.slice(s)
	_, g := t.count(s)
	return file{span: s, moment: moment, group: g, rows: slices.Clone(t.rows[i:j])}
}

// write inserts with ON DUPLICATE KEY UPDATE: a row whose unique value another row
// still holds overwrites that row's other columns, and is missing itself. Where
// the clash is on the primary key, that row takes the new ID.
func (t *rows) write(f file) (inserted, deleted int64) {
	i, j := t.slice(f.span)
	for _, r := range t.rows[i:j] {
		deleted += 1 + int64(r.more)
		if r.key != 0 && t.keys[r.key] == r.id {
			delete(t.keys, r.key)
		}
	}
	put := make([]row, 0, len(f.rows))
	var gone []int64
	var over []row
	for _, r := range f.rows {
		if r.key != 0 {
			holder, clash := t.keys[r.key]
			if clash && holder != r.id {
				if !t.kind.Moves {
					over = append(over, row{holder, r.version, r.key, r.more, r.object})
					continue
				}
				gone = append(gone, holder)
			}
			t.keys[r.key] = r.id
		}
		put = append(put, r)
	}
	t.rows = slices.Replace(t.rows, i, j, put...)
	for _, id := range gone {
		if k, ok := t.at(id); ok {
			t.rows = slices.Delete(t.rows, k, k+1)
		}
	}
	for _, r := range over {
		if k, ok := t.at(r.id); ok {
			r.version |= 1 << 31 // another row's content: no version of this one
			t.rows[k] = r
		}
	}
	return f.group, deleted
}

// insert, update and remove are what users do at the source.
func (t *rows) insert(r row) {
	if k, ok := t.at(r.id); !ok {
		t.rows = slices.Insert(t.rows, k, r)
	}
}

func (t *rows) remove(id int64) (row, bool) {
	k, ok := t.at(id)
	if !ok {
		return row{}, false
	}
	r := t.rows[k]
	t.rows = slices.Delete(t.rows, k, k+1)
	t.top = max(t.top, id)
	return r, true
}

// next is a new row's ID: the service's generator gives none twice.
func (t *rows) next() int64 {
	m, _ := t.mark()
	return max(t.top, m.Max) + 1
}
