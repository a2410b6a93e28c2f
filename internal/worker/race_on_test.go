//go:build race

package worker_test

import "testing"

// portion: under the race detector, which slows everything tenfold, the exhaustive
// proofs take each fourth case. Which of them breaks a promise is found without it;
// it looks for races, and those are in the code that all cases share.
const portion = 4

// playedByKills leaves a whole migration out under the race detector: it shows what a
// migration ends with, and TestMigrationIsKilled plays the same code under it.
func playedByKills(t *testing.T) {
	t.Helper()
	t.Skip("TestMigrationIsKilled plays it under the race detector")
}
