//go:build !race

package migrate

const racing = false
