//go:build !race

package worker_test

// portion: the exhaustive proofs take every case.
const portion = 1
