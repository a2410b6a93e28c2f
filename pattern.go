package ops

import (
	"regexp"
	"sync"
)

// Pattern returns what compiles expr when it is first called, and returns the same
// expression ever after. A process needs few of the program's patterns, and every
// run starts two processes: compiled when they start, all of them took a third of
// the start. An invalid expr panics at the first call. Safe for concurrent use.
func Pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
