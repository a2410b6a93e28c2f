package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// cut tells how much of an answer reaches the caller.
type cut int

const (
	whole   cut = iota
	half        // half the body, then the connection closes
	nothing     // the connection closes without an answer
)

// answer is one response before it is written.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    cut
}

func newAnswer(status int, contentType string, body []byte) answer {
	a := answer{status: status, header: http.Header{}, body: body}
	if len(body) > 0 {
		a.header.Set("Content-Type", contentType)
	}
	return a
}

const jsonType = "application/json;charset=UTF-8"

// success renders what a handler returned; nil is an empty body, as the service's
// void methods have.
func success(status int, v any) answer {
	if v == nil {
		return newAnswer(status, "", nil)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return failed(http.StatusInternalServerError, "The answer could not be written: %v", err).answer("")
	}
	return newAnswer(status, jsonType, b)
}

// raw renders what the service's filters write: no concreteType, a line end.
func raw(status int, reason string) answer {
	return newAnswer(status, "application/json", fmt.Appendf(nil, "{\"reason\": %q}\n", reason))
}

func (a answer) write(w http.ResponseWriter) {
	if a.cut == nothing {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if a.cut == half {
		w.Write(a.body[:len(a.body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(a.body)
}

// RoundTrip answers req in process: no socket, so it works inside a synctest
// bubble. Dropped connections come back as io.ErrUnexpectedEOF.
func (s *Synapse) RoundTrip(req *http.Request) (*http.Response, error) {
	r := req.Clone(req.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	r.RemoteAddr = "127.0.0.1:0"
	a := s.answer(r)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if a.cut == nothing {
		return nil, io.ErrUnexpectedEOF
	}
	if req.Method == http.MethodHead {
		a.body = nil
	}
	var body io.Reader = bytes.NewReader(a.body)
	if a.cut == half {
		body = io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), brokenReader{})
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(body), ContentLength: int64(len(a.body)), Request: req,
	}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// failure is an error answer of the service.
type failure struct {
	status int
	body   synapse.ErrorResponse
}

// Error makes a failure an error, so that handlers can return it.
func (f *failure) Error() string { return fmt.Sprintf("%d: %s", f.status, f.body.Reason) }

// failed is the ErrorResponse of most failures.
func failed(status int, format string, args ...any) *failure {
	return &failure{status, synapse.ErrorResponse{ConcreteType: synapse.ErrorType, Reason: fmt.Sprintf(format, args...)}}
}

// oauthFailed is the OAuthErrorResponse of failures about tokens and scopes.
func oauthFailed(status int, code, reason string) *failure {
	return &failure{status, synapse.ErrorResponse{ConcreteType: synapse.OAuthErrorType, Reason: reason, Error: code, ErrorDescription: reason}}
}

// answer renders the failure; a caller who accepts only plain text gets the bare
// reason.
func (f *failure) answer(accept string) answer {
	if accept == "text/plain" {
		return newAnswer(f.status, "text/plain;charset=UTF-8", []byte(f.body.Reason))
	}
	b, _ := json.Marshal(f.body) // a struct of strings cannot fail
	a := newAnswer(f.status, jsonType, b)
	if f.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Bearer realm="Synapse Repository Services"`)
	}
	return a
}
