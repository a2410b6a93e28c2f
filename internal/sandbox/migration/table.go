package migration

import (
	"hash/fnv"
	"math/rand/v2"
)

// A Span is a range of IDs, both ends inclusive.
type Span struct{ Min, Max int64 }

// A Bin is one line of a batch checksum.
type Bin struct {
	Number, Count int64
	Checksum      string
	Min, Max      int64
}

// A table holds one primary type's rows, and its secondaries' by owner, on one
// stack. moment counts up with all that happens, so that it orders changes and
// reads.
type table interface {
	mark() (s Span, any bool)
	count(s Span) (primary, group int64)
	// pack cuts s into ranges of at most most rows of the group, as the service does:
	// each from its first row on, in order, and what has no rows may be in none.
	pack(s Span, most int64) []Span
	sums(s Span, bin int64, salt string) []Bin
	// read returns what a backup holds; it is inert.
	read(s Span, moment int64) file
	// write clears the file's range and inserts its rows.
	write(f file) (inserted, deleted int64)
}

// A file is a backup. Its range is the manifest's.
type file struct {
	span   Span
	moment int64
	group  int64 // rows, secondaries included
	rows   []row // small scale only
}

func mix(x uint64) uint64 { // splitmix64's last step
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func seedOf(seed int64, words ...string) uint64 {
	h := fnv.New64a()
	for _, w := range words {
		_, _ = h.Write([]byte(w))
		_, _ = h.Write([]byte{0})
	}
	return mix(h.Sum64() ^ mix(uint64(seed)))
}

func random(seed int64, words ...string) *rand.Rand {
	s := seedOf(seed, words...)
	return rand.New(rand.NewPCG(s, mix(s)))
}
