//go:build !race

package store_test

// portion: every place is tampered with.
const portion = 1
