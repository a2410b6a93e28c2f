package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The steps of a signature are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

const (
	algorithm   = "AWS4-HMAC-SHA256"
	timeFormat  = "20060102T150405Z"
	mostSkew    = 5 * time.Minute // S3 allows 15
	mostSkewS3  = 15 * time.Minute
	unsignedSum = "UNSIGNED-PAYLOAD"
)

// An authorization is what a call's Authorization header says.
type authorization struct {
	keyID, date, region, service string
	headers                      []string
	signature                    string
}

// parseAuthorization reads the header; false when it is not one of ours.
func parseAuthorization(header string) (authorization, bool) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, false
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return authorization{}, false
		}
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || fields["SignedHeaders"] == "" || fields["Signature"] == "" {
		return authorization{}, false
	}
	return authorization{
		keyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		headers:   strings.Split(fields["SignedHeaders"], ";"),
		signature: fields["Signature"],
	}, true
}

// A trouble is a reason why a call's sender is not believed. Each protocol has its
// own code for it.
type trouble int

const (
	noTrouble trouble = iota
	unknownKey
	badSignature
	badToken
	expired
	skewed
	badDigest
)

// verify tells whether the call was signed with the key, just now, and whole.
func (a *authorization) verify(r *http.Request, body []byte, k key, now time.Time) trouble {
	stamp, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	most := mostSkew
	if a.service == "s3" {
		most = mostSkewS3
	}
	if err != nil || stamp.Format("20060102") != a.date {
		return badSignature
	}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" {
		if len(said) == len(digest) && said != digest {
			return badDigest
		}
		digest = said
	} else if a.service == "s3" {
		return badSignature // S3 demands the header
	}
	want := a.sign(k.SecretAccessKey, stamp, canonicalRequest(r, a, digest))
	switch {
	case subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) != 1:
		return badSignature
	case !a.coversWhatMatters(r):
		return badSignature
	case stamp.Sub(now).Abs() > most:
		return skewed
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Amz-Security-Token")), []byte(k.SessionToken)) != 1:
		return badToken
	case !k.Expiration.IsZero() && !now.Before(k.Expiration):
		return expired
	}
	return noTrouble
}

// coversWhatMatters tells whether the host and every x-amz header were signed: one
// that is not could have been added on the way.
func (a *authorization) coversWhatMatters(r *http.Request) bool {
	if !slices.Contains(a.headers, "host") {
		return false
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.headers, name) {
			return false
		}
	}
	return true
}

func (a *authorization) sign(secret string, stamp time.Time, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{
		algorithm, stamp.Format(timeFormat),
		strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/"),
		hex.EncodeToString(sum[:]),
	}, "\n")
	k := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request", text} {
		k = mac(k, part)
	}
	return hex.EncodeToString(k)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func canonicalRequest(r *http.Request, a *authorization, digest string) string {
	var headers strings.Builder
	for _, name := range a.headers {
		headers.WriteString(name + ":" + signedHeader(r, name) + "\n")
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if a.service != "s3" {
		path = escape(path, true) // every service but S3 escapes twice
	}
	return strings.Join([]string{
		r.Method, path, canonicalQuery(query), headers.String(), strings.Join(a.headers, ";"), digest,
	}, "\n")
}

// signedHeader returns a header as it was signed. The server keeps some of them
// apart from the others.
func signedHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

func canonicalQuery(raw string) string {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return raw
	}
	var pairs []string
	for name, list := range values {
		for _, v := range list {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape escapes all but the unreserved characters of RFC 3986, and slashes when
// asked to leave them.
func escape(s string, slashes bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			strings.IndexByte("-_.~", c) >= 0, c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}
