//go:build !race

package remote_test

const racing = false
