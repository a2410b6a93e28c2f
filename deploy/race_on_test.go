//go:build race

package templates_test

import "testing"

// unraced leaves a proof out under the race detector: it asks the judge of policies
// thousands of questions, one after the other, and shares nothing while it does.
func unraced(t *testing.T) {
	t.Helper()
	t.Skip("one goroutine asks everything")
}
