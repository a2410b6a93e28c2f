//go:build race

package proof_test

// raced: the race detector makes a bubble ten times as dear. It is asked for fewer
// places: what they do is the same.
const raced = true
