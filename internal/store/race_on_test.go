//go:build race

package store_test

// portion: under the race detector, which slows everything tenfold, each seventh
// place is tampered with. Verify works in one goroutine: there is nothing for the
// detector to find in the others.
const portion = 7
