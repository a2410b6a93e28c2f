package emulator

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

type s3Entry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
	StorageClass string
}

type s3Prefix struct{ Prefix string }

// listKeys are the condition keys of a listing: the prefix as it was sent, absent
// when it was not.
func (c *s3Call) listKeys() map[string][]string {
	keys := map[string][]string{}
	for _, name := range []string{"prefix", "delimiter", "max-keys"} {
		if c.query.Has(name) {
			keys["s3:"+name] = []string{c.query.Get(name)}
		}
	}
	return keys
}

// pageSize is at most 1,000 entries, whatever is asked for.
func (c *s3Call) pageSize() (int, error) {
	if !c.query.Has("max-keys") {
		return 1000, nil
	}
	n, err := strconv.Atoi(c.query.Get("max-keys"))
	if err != nil || n < 0 {
		return 0, fault("InvalidArgument", "max-keys %q is not a number.", c.query.Get("max-keys"))
	}
	return min(n, 1000), nil
}

// encode returns how keys are written in the answer.
func (c *s3Call) encode() (func(string) string, error) {
	switch c.query.Get("encoding-type") {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return url.QueryEscape, nil
	}
	return nil, fault("InvalidArgument", "Invalid Encoding Method specified in Request")
}

func (c *s3Call) listObjects(w http.ResponseWriter) error {
	if err := c.may("s3:ListBucket", "", c.listKeys()); err != nil {
		return err
	}
	if c.query.Get("list-type") != "2" {
		return notModeled("ListObjects", "list-type "+c.query.Get("list-type"))
	}
	most, err := c.pageSize()
	if err != nil {
		return err
	}
	encode, err := c.encode()
	if err != nil {
		return err
	}
	after := c.query.Get("start-after")
	if t := c.query.Get("continuation-token"); t != "" {
		b, err := base64.RawURLEncoding.DecodeString(t)
		if err != nil {
			return fault("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	out := c.page(after, most, encode)
	writeXML(w, http.StatusOK, "ListBucketResult", out)
	return nil
}

type s3Page struct {
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []s3Entry
	CommonPrefixes        []s3Prefix
}

// page gathers keys after the one named, and what they have in common up to the
// delimiter. A token names the last key or prefix given.
func (c *s3Call) page(after string, most int, encode func(string) string) s3Page {
	prefix, delimiter := c.query.Get("prefix"), c.query.Get("delimiter")
	out := s3Page{
		Name: c.bucket, Prefix: encode(prefix), Delimiter: encode(delimiter),
		EncodingType: c.query.Get("encoding-type"), MaxKeys: most,
	}
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	last := ""
	for _, key := range c.state.keys(prefix) {
		common := commonPrefix(key, prefix, delimiter)
		if key <= after || common != "" && (common <= after || common == last) {
			continue
		}
		if out.KeyCount == most {
			out.IsTruncated = true
			out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		out.KeyCount++
		if common != "" {
			out.CommonPrefixes = append(out.CommonPrefixes, s3Prefix{encode(common)})
			last = common
			continue
		}
		versions := c.state.objects[key]
		v := versions[len(versions)-1]
		out.Contents = append(out.Contents, s3Entry{encode(key), stamp(v.modified), v.etag, len(v.body), "STANDARD"})
		last = key
	}
	return out
}

// commonPrefix returns the key up to and with the delimiter after prefix; "" when
// it has none there.
func commonPrefix(key, prefix, delimiter string) string {
	if delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(prefix)+i+len(delimiter)]
}

type s3VersionEntry struct {
	s3Entry
	VersionID string `xml:"VersionId"`
	IsLatest  bool
}

type s3VersionPage struct {
	Name                string
	Prefix              string
	EncodingType        string `xml:",omitempty"`
	MaxKeys             int
	IsTruncated         bool
	NextKeyMarker       string           `xml:",omitempty"`
	NextVersionIDMarker string           `xml:"NextVersionIdMarker,omitempty"`
	Version             []s3VersionEntry `xml:",omitempty"`
	DeleteMarker        []s3VersionEntry `xml:",omitempty"`
}

// listVersions lists versions by key, newest first.
func (c *s3Call) listVersions(w http.ResponseWriter) error {
	if err := c.may("s3:ListBucketVersions", "", c.listKeys()); err != nil {
		return err
	}
	most, err := c.pageSize()
	if err != nil {
		return err
	}
	encode, err := c.encode()
	if err != nil {
		return err
	}
	out := s3VersionPage{Name: c.bucket, Prefix: encode(c.query.Get("prefix")), EncodingType: c.query.Get("encoding-type"), MaxKeys: most}
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	n := 0
	for _, v := range c.versionsAfter() {
		if n == most {
			out.IsTruncated = true
			break
		}
		n++
		versions := c.state.objects[v.key]
		e := s3VersionEntry{s3Entry{encode(v.key), stamp(v.modified), v.etag, len(v.body), "STANDARD"}, v.id, v == versions[len(versions)-1]}
		out.NextKeyMarker, out.NextVersionIDMarker = e.Key, v.id
		if v.deleted {
			out.DeleteMarker = append(out.DeleteMarker, e)
		} else {
			out.Version = append(out.Version, e)
		}
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextVersionIDMarker = "", ""
	}
	writeXML(w, http.StatusOK, "ListVersionsResult", out)
	return nil
}

// versionsAfter returns all versions under the prefix behind the markers of the
// call. It is called under the lock.
func (c *s3Call) versionsAfter() []*objectVersion {
	prefix, key, id := c.query.Get("prefix"), c.query.Get("key-marker"), c.query.Get("version-id-marker")
	var out []*objectVersion
	for _, k := range slices.Sorted(maps.Keys(c.state.objects)) {
		if !strings.HasPrefix(k, prefix) || k < key || k == key && id == "" {
			continue
		}
		versions := slices.Clone(c.state.objects[k])
		slices.Reverse(versions)
		if k == key {
			i := slices.IndexFunc(versions, func(v *objectVersion) bool { return v.id == id })
			versions = versions[i+1:]
		}
		out = append(out, versions...)
	}
	return out
}
