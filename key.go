package ops

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A document key's bounds: file systems take 255 bytes a part, S3 1,024 in all,
// its prefix included.
const (
	mostKeyPart = 200
	mostKey     = 800
)

// CheckKey refuses what is not a document key: valid UTF-8 parts joined by "/",
// none empty, none beginning with ".", without control characters, at most 200
// bytes a part and 800 in all. Nothing is encoded or cleaned: a key that would
// need it is somebody's mistake or attack. The error is Invalid.
func CheckKey(key string) error {
	if len(key) > mostKey {
		return Errorf(Invalid, "the document key %s is above %d bytes.", Quote(key), mostKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		reason := ""
		switch {
		case part == "":
			reason = "has an empty part"
		case part[0] == '.':
			reason = `has a part that begins with "."`
		case len(part) > mostKeyPart:
			reason = fmt.Sprintf("has a part of %d bytes, above %d", len(part), mostKeyPart)
		case !utf8.ValidString(part):
			reason = "is not valid UTF-8"
		case strings.ContainsFunc(part, unicode.IsControl):
			reason = "has a control character"
		}
		if reason != "" {
			return Errorf(Invalid, "the document key %s %s.", Quote(key), reason)
		}
	}
	return nil
}
