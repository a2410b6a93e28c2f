//go:build !race

package cli_test

import "testing"

// unraced leaves a test of a whole account out under the race detector.
func unraced(*testing.T) {}
