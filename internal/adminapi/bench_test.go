package adminapi_test

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkCall is one call against a server on loopback. BenchmarkBare is the
// same with net/http alone: the difference is the client's own.
func BenchmarkCall(b *testing.B) {
	s := serve(b, say(200, `{"feature":"A","enabled":true}`))
	c, _ := client(b, s.URL)
	b.ReportAllocs()
	for b.Loop() {
		if err := readOne(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBare(b *testing.B) {
	s := serve(b, say(200, `{"feature":"A","enabled":true}`))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := s.Client().Get(s.URL + "/repo/v1/admin/feature/A/status")
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	b.StopTimer()
	s.Client().CloseIdleConnections()
}
