//go:build race

package cli_test

import "testing"

// unraced leaves a test out under the race detector: a long story of an account, whose
// parts smaller tests play under it. It is told whole without.
func unraced(t *testing.T) {
	t.Helper()
	t.Skip("played without the race detector; its parts are raced by smaller tests")
}
