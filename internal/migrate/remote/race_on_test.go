//go:build race

package remote_test

// racing: a migration of all types is five times slower under the race detector, and
// that of a few has everything it can find.
const racing = true
