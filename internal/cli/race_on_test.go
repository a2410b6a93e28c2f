//go:build race

package cli_test

import "testing"

// unraced leaves a test of a whole account out under the race detector: it waits for
// minutes for what the suites of the pipeline engine, the store and the launcher, the
// bubbles of internal/proof and this package's scripts play under it.
func unraced(t *testing.T) {
	t.Helper()
	t.Skip("an account's stories are played without the race detector")
}
