//go:build race

package migrate

// racing: a model is one goroutine, in which the race detector finds nothing.
const racing = true
