package migration

import "encoding/json"

// Kind is what a job does.
type Kind string

// The kinds of job.
const (
	Counts   Kind = "counts"
	Ranges   Kind = "ranges"
	Checksum Kind = "checksum"
	Backup   Kind = "backup"
	Restore  Kind = "restore"
)

// Kinds lists all.
func Kinds() []Kind { return []Kind{Counts, Ranges, Checksum, Backup, Restore} }

// A Request asks for a job.
type Request struct {
	Kind  Kind
	Type  string
	Types []string // Counts
	Span  Span     // as sent; a restore's comes from its file
	Size  int64    // batch, bin or rows per range
	Salt  string
	Key   string
	Sent  json.RawMessage // as it came over HTTP; a look at the job shows it again
}

// Mark is one type's bounds.
type Mark struct {
	Type string
	Span Span
	Any  bool
}

// A Status is what a poll of a job tells.
type Status struct {
	Done   bool
	Error  string // of a failed job
	Marks  []Mark
	Ranges []Span // both ends inclusive here
	Bins   []Bin
	Key    string
	Rows   int64
	Took   float64 // seconds, waiting included
}

type job struct {
	id        int64
	side      Side
	req       Request
	submitted float64
	starts    float64 // when its worker picks it up, or its message comes back
	ends      float64 // while its worker is lost
	begun     float64
	remaining float64 // seconds of work
	again     bool    // delivered twice
	told      bool    // a counts job whose marks the client knows
	fails     string
	status    Status
}
