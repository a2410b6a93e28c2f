package emulator

import (
	"context"
	"net/http"
	"time"
)

// A patientWriter keeps a long answer back for a moment. The SDK closes a request's
// body as soon as an answer begins, and net/http, which closes it as well once it is
// sent, takes the second closing for a failure and drops the connection under the
// answer. A service takes longer to answer than a client to notice that it has sent
// its question; on loopback that must be arranged.
type patientWriter struct {
	http.ResponseWriter
	ctx   context.Context
	begun bool
}

const (
	patience  = 10 * time.Millisecond
	shortText = 2 << 10 // what a client has read by the time it sees an answer
)

// patient returns w as the call needs it: without a body there is nothing to drop.
func patient(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if r.ContentLength == 0 {
		return w
	}
	return &patientWriter{ResponseWriter: w, ctx: r.Context()}
}

// Write waits before the first bytes of a long answer.
func (p *patientWriter) Write(b []byte) (int, error) {
	if !p.begun && len(b) > shortText {
		wait(p.ctx, patience)
	}
	p.begun = true
	return p.ResponseWriter.Write(b)
}
