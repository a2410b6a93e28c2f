package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

// The SDK sends bodies it cannot read twice in chunks, unsigned, with a checksum
// behind them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
const streamingUnsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

// unchunk returns what a call's body carries once chunks are joined and its
// trailing headers, which count as headers, are added to those of the call.
func unchunk(r *http.Request, body []byte) ([]byte, error) {
	said := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case said == streamingUnsigned:
	case strings.HasPrefix(said, "STREAMING-"):
		return nil, notModeled("PutObject", "x-amz-content-sha256: "+said)
	default:
		return body, nil
	}
	whole, err := joinChunks(r, body)
	if err != nil {
		return nil, &Fault{Code: "IncompleteBody", Status: http.StatusBadRequest, Message: err.Error()}
	}
	if n := r.Header.Get("X-Amz-Decoded-Content-Length"); n != strconv.Itoa(len(whole)) {
		return nil, &Fault{Code: "IncompleteBody", Status: http.StatusBadRequest,
			Message: fmt.Sprintf("The body has %d bytes and was announced with %q.", len(whole), n)}
	}
	return whole, nil
}

func joinChunks(r *http.Request, body []byte) ([]byte, error) {
	var whole []byte
	for {
		line, rest, ok := bytes.Cut(body, []byte("\r\n"))
		size, err := strconv.ParseUint(string(line), 16, 31)
		if !ok || err != nil {
			return nil, fmt.Errorf("a chunk has no size")
		}
		if size == 0 {
			return whole, trailers(r, rest)
		}
		if uint64(len(rest)) < size+2 || string(rest[size:size+2]) != "\r\n" {
			return nil, fmt.Errorf("a chunk is cut short")
		}
		whole = append(whole, rest[:size]...)
		body = rest[size+2:]
	}
}

func trailers(r *http.Request, text []byte) error {
	announced := strings.Split(strings.ToLower(r.Header.Get("X-Amz-Trailer")), ",")
	for line := range strings.SplitSeq(string(text), "\r\n") {
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !contains(announced, strings.ToLower(name)) {
			return fmt.Errorf("trailer %q was not announced", name)
		}
		r.Header.Set(name, strings.TrimSpace(value))
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if strings.TrimSpace(l) == s {
			return true
		}
	}
	return false
}

// crc32Of is a body's checksum as the SDK sends it by default.
func crc32Of(b []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))
}
