package migration

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Wire carries requests to one of the served stacks within this process, so that a
// client of both can run where time is virtual. Each way takes half of delay. An
// answer is lost, as to a client that dies, when the request's context ends first.
func (s *Stacks) Wire(side Side, delay time.Duration) http.RoundTripper {
	return &wire{s.Handler(side), delay / 2}
}

type wire struct {
	to  http.Handler
	way time.Duration
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := w.travel(r); err != nil {
		return nil, err
	}
	var a written
	w.to.ServeHTTP(&a, r)
	if err := w.travel(r); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

func (w *wire) travel(r *http.Request) error {
	t := time.NewTimer(w.way)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

// A written is a response as a handler writes it.
type written struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *written) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *written) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *written) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}
