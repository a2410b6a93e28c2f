package emulatortest

import (
	"net/http"
	"net/http/httptest"
)

// Carrier returns a transport that takes requests to a handler in this process, as
// they would arrive over a connection from this machine.
func Carrier(to http.Handler) http.RoundTripper { return carrier{to} }

type carrier struct{ to http.Handler }

// RoundTrip answers what the handler does; the end of the request's context is an
// error, as over the network.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer func() { _ = in.Body.Close() }()
	answer := httptest.NewRecorder()
	c.to.ServeHTTP(answer, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	out := answer.Result()
	out.Request = r
	return out, nil
}
