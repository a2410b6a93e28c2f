//go:build race

package worker_test

// portion: under the race detector, which slows everything tenfold, the exhaustive
// proofs take each fourth case. Which of them breaks a promise is found without it;
// it looks for races, and those are in the code that all cases share.
const portion = 4
