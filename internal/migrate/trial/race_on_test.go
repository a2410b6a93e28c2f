//go:build race

package trial

// racing: a trial is one goroutine in virtual time, so there is little for the race
// detector to find, and it slows all of it tenfold. Under it a few trials at small
// scale run; those at full scale are judged without it.
const racing = true
