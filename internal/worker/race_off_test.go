//go:build !race

package worker_test

import "testing"

// portion: the exhaustive proofs take every case.
const portion = 1

// playedByKills leaves a whole migration out under the race detector.
func playedByKills(*testing.T) {}
