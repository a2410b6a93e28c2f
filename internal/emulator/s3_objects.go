package emulator

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func (c *s3Call) putObject(w http.ResponseWriter) error {
	tags, err := url.ParseQuery(c.http.Header.Get("X-Amz-Tagging"))
	if err != nil || len(tags) > 10 {
		return fault("InvalidTag", "The tags %q cannot be read.", c.http.Header.Get("X-Amz-Tagging"))
	}
	if err := c.mayPut(tags); err != nil {
		return err
	}
	if err := c.checkBody(); err != nil {
		return err
	}
	v := c.version(tags)
	if err := c.write(v); err != nil {
		return err
	}
	c.describe(w, v)
	w.Header().Del("Last-Modified")
	w.WriteHeader(http.StatusOK)
	return nil
}

// mayPut asks for all that a put with these headers needs.
func (c *s3Call) mayPut(tags url.Values) error {
	// Multipart uploads are not modeled: every put creates an object.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
	keys := map[string][]string{"s3:ObjectCreationOperation": {"true"}}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		keys["s3:RequestObjectTag/"+name] = []string{tags.Get(name)}
		keys["s3:RequestObjectTagKeys"] = append(keys["s3:RequestObjectTagKeys"], name)
	}
	for _, name := range []string{"If-None-Match", "If-Match", "X-Amz-Server-Side-Encryption"} {
		if v := c.http.Header.Get(name); v != "" {
			keys["s3:"+strings.ToLower(name)] = []string{v}
		}
	}
	actions := []string{"s3:PutObject"}
	if len(tags) > 0 {
		actions = append(actions, "s3:PutObjectTagging")
	}
	if c.http.Header.Get("If-Match") != "" {
		// The header tells what is there, so S3 asks for permission to read as well.
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
		actions = append(actions, "s3:GetObject")
	}
	for _, action := range actions {
		if err := c.may(action, c.key, keys); err != nil {
			return err
		}
	}
	return nil
}

// version makes a version of what the call carries.
func (c *s3Call) version(tags url.Values) *objectVersion {
	h := c.http.Header
	v := &objectVersion{
		key: c.key, body: c.body, contentType: h.Get("Content-Type"), crc32: h.Get("X-Amz-Checksum-Crc32"),
		meta: map[string]string{}, tags: map[string]string{},
	}
	for name := range tags {
		v.tags[name] = tags.Get(name)
	}
	for name := range h {
		if meta, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			v.meta[meta] = h.Get(name)
		}
	}
	return v
}

// checkBody compares the body with the sums sent along.
func (c *s3Call) checkBody() error {
	h := c.http.Header
	if said := h.Get("X-Amz-Checksum-Crc32"); said != "" && said != crc32Of(c.body) {
		return fault("BadDigest", "The CRC32 you specified did not match the calculated checksum.")
	}
	sum := md5.Sum(c.body)
	if said := h.Get("Content-Md5"); said != "" && said != base64.StdEncoding.EncodeToString(sum[:]) {
		return fault("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	if a := h.Get("X-Amz-Sdk-Checksum-Algorithm"); a != "" && !strings.EqualFold(a, "CRC32") {
		return notModeled("PutObject", "checksum algorithm "+a)
	}
	if e := h.Get("X-Amz-Server-Side-Encryption"); e != "" && e != "AES256" {
		return notModeled("PutObject", "server-side encryption "+e)
	}
	return nil
}

// write stores the version under the conditions of the call. Of several conditional
// writes to one key at a time one goes on and the others are refused at once with
// 409, as documented; once it is there, with 412.
func (c *s3Call) write(v *objectVersion) error {
	none, match := c.http.Header.Get("If-None-Match"), c.http.Header.Get("If-Match")
	if none != "" && none != "*" {
		return &Fault{"NotImplemented", "A header you provided implies functionality that is not implemented: If-None-Match takes * alone.", http.StatusNotImplemented}
	}
	s := c.owner
	s.mu.Lock()
	defer s.mu.Unlock()
	if none == "" && match == "" {
		s.add(c.state, v)
		return nil
	}
	if err := c.condition(none, match); err != nil {
		return err
	}
	if c.state.writing[v.key] {
		return &Fault{"ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation against this resource.", http.StatusConflict}
	}
	if window := c.cloud.settings.ConditionalWindow; window > 0 {
		c.state.writing[v.key] = true
		s.mu.Unlock()
		wait(c.http.Context(), window)
		s.mu.Lock()
		delete(c.state.writing, v.key)
		if err := c.condition(none, match); err != nil { // an unconditional write may have come between
			return err
		}
	}
	s.add(c.state, v)
	return nil
}

// condition is asked under the lock.
func (c *s3Call) condition(none, match string) error {
	failed := &Fault{"PreconditionFailed", "At least one of the pre-conditions you specified did not hold", http.StatusPreconditionFailed}
	versions := c.state.objects[c.key]
	there := len(versions) > 0 && !versions[len(versions)-1].deleted
	switch {
	case none != "" && there:
		return failed
	case match != "" && !there:
		return noSuchKey(c.key)
	case match != "" && strings.Trim(match, `"`) != strings.Trim(versions[len(versions)-1].etag, `"`):
		return failed
	}
	return nil
}

// describe sets the headers that tell of a version.
func (c *s3Call) describe(w http.ResponseWriter, v *objectVersion) {
	h := w.Header()
	h.Set("Etag", v.etag)
	h.Set("Last-Modified", v.modified.Format(http.TimeFormat))
	h.Set("X-Amz-Server-Side-Encryption", c.config.Encryption)
	if v.id != "null" {
		h.Set("X-Amz-Version-Id", v.id)
	}
	if v.crc32 != "" {
		h.Set("X-Amz-Checksum-Crc32", v.crc32)
		h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
}

// getObject answers GET and HEAD.
func (c *s3Call) getObject(w http.ResponseWriter) error {
	id := c.query.Get("versionId")
	action, keys := "s3:GetObject", map[string][]string(nil)
	if id != "" {
		action, keys = "s3:GetObjectVersion", map[string][]string{"s3:VersionId": {id}}
	}
	if err := c.may(action, c.key, c.tagged(keys, id)); err != nil {
		return err
	}
	v, err := c.owner.version(c.bucket, c.key, id)
	if err != nil {
		return c.missing(err)
	}
	if v.deleted {
		w.Header().Set("X-Amz-Delete-Marker", "true")
		return &Fault{"MethodNotAllowed", "The specified method is not allowed against this resource.", http.StatusMethodNotAllowed}
	}
	h := c.http.Header
	if match := h.Get("If-Match"); match != "" && strings.Trim(match, `"`) != strings.Trim(v.etag, `"`) {
		return &Fault{"PreconditionFailed", "At least one of the pre-conditions you specified did not hold", http.StatusPreconditionFailed}
	}
	if none := h.Get("If-None-Match"); none != "" && strings.Trim(none, `"`) == strings.Trim(v.etag, `"`) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.send(w, v)
}

// tagged adds the tags that the object has to keys.
func (c *s3Call) tagged(keys map[string][]string, id string) map[string][]string {
	v, err := c.owner.version(c.bucket, c.key, id)
	if err != nil {
		return keys
	}
	all := maps.Clone(keys)
	if all == nil {
		all = map[string][]string{}
	}
	for name, value := range v.tags {
		all["s3:ExistingObjectTag/"+name] = []string{value}
	}
	return all
}

func (c *s3Call) getTagging(w http.ResponseWriter) error {
	id := c.query.Get("versionId")
	action := "s3:GetObjectTagging"
	if id != "" {
		action = "s3:GetObjectVersionTagging"
	}
	if err := c.may(action, c.key, c.tagged(nil, id)); err != nil {
		return err
	}
	v, err := c.owner.version(c.bucket, c.key, id)
	if err != nil {
		return c.missing(err)
	}
	var out struct {
		Tags []xmlTag `xml:"TagSet>Tag"`
	}
	for _, name := range slices.Sorted(maps.Keys(v.tags)) {
		out.Tags = append(out.Tags, xmlTag{name, v.tags[name]})
	}
	writeXML(w, http.StatusOK, "Tagging", out)
	return nil
}

// missing: only who may list the bucket learns that a key is not there.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (c *s3Call) missing(err error) error {
	if f, ok := asFault(err); !ok || f.Code != "NoSuchKey" {
		return err
	}
	if denied := c.may("s3:ListBucket", "", nil); denied != nil {
		return denied
	}
	return err
}

func asFault(err error) (*Fault, bool) {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f, true
	}
	return &Fault{"InternalError", err.Error(), http.StatusInternalServerError}, false
}

// send writes the body, or the range of it that was asked for.
func (c *s3Call) send(w http.ResponseWriter, v *objectVersion) error {
	body, status := v.body, http.StatusOK
	first, last, part, err := readRange(c.http.Header.Get("Range"), len(body))
	if err != nil { // before any header of the object is set: its sum is not the error's
		return err
	}
	c.describe(w, v)
	if part {
		// A sum of the whole would not be that of the part.
		w.Header().Del("X-Amz-Checksum-Crc32")
		w.Header().Del("X-Amz-Checksum-Type")
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
		body, status = body[first:last+1], http.StatusPartialContent
	}
	for name, value := range v.meta {
		w.Header().Set("X-Amz-Meta-"+name, value)
	}
	if v.contentType != "" {
		w.Header().Set("Content-Type", v.contentType)
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if c.http.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller has gone; nobody is left to tell
	}
	return nil
}

// readRange reads "bytes=FIRST-" and "bytes=FIRST-LAST"; "" is no part.
func readRange(text string, size int) (first, last int, part bool, err error) {
	if text == "" {
		return 0, 0, false, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	first, err = strconv.Atoi(from)
	last = size - 1
	if err == nil && to != "" {
		last, err = strconv.Atoi(to)
	}
	if err != nil || !ok {
		return 0, 0, false, notModeled("GetObject", "range "+text)
	}
	if first >= size || first > last {
		return 0, 0, false, &Fault{"InvalidRange", "The requested range is not satisfiable", http.StatusRequestedRangeNotSatisfiable}
	}
	return first, min(last, size-1), true, nil
}

func (c *s3Call) deleteObject(w http.ResponseWriter) error {
	id := c.query.Get("versionId")
	action := "s3:DeleteObject"
	if id != "" {
		action = "s3:DeleteObjectVersion"
	}
	if err := c.may(action, c.key, nil); err != nil {
		return err
	}
	if c.http.Header.Get("If-Match") != "" {
		return notModeled("DeleteObject", "header If-Match")
	}
	version, marker, err := c.owner.remove(c.bucket, c.key, id)
	if err != nil {
		return err
	}
	if version != "" && version != "null" {
		w.Header().Set("X-Amz-Version-Id", version)
	}
	if marker {
		w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
