package migration

import "testing"

// TestLatticeRanksAndIDs: rank and id are each other's inverse, for every type as
// it is assumed: everything else counts on it.
func TestLatticeRanksAndIDs(t *testing.T) {
	types, _ := Types()
	for _, x := range types {
		for _, scale := range []int64{1, 1000} {
			rows, span := max(1, x.Primary/scale), max(2, x.Span/scale)
			l := newLattice(random(1, x.Name), min(rows, span), span)
			if l.total() != min(rows, span) {
				t.Fatalf("%s: %d rows, want %d", x.Name, l.total(), rows)
			}
			last := int64(0)
			for k := int64(0); k < l.total(); k += 1 + l.total()/5000 {
				id := l.id(k)
				if id <= last || id > span {
					t.Fatalf("%s: row %d has ID %d after %d, in a span of %d", x.Name, k, id, last, span)
				}
				if l.rank(id) != k || l.rank(id+1) != k+1 {
					t.Fatalf("%s: row %d has ID %d, of rank %d and the next %d", x.Name, k, id, l.rank(id), l.rank(id+1))
				}
				last = id
			}
		}
	}
}
