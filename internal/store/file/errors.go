package file

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var errNotFolder error = syscall.ENOTDIR

// mostPart bounds one part of a key: file systems take 255 bytes. mostKey bounds
// all of it: S3 takes 1,024 bytes, its prefix included.
const (
	mostPart = 200
	mostKey  = 800
)

// checkKey refuses what is not a key. Nothing is encoded or cleaned: a key is its
// path, so a key that would need it is somebody's mistake or attack.
func checkKey(key string) error {
	if len(key) > mostKey {
		return ops.Errorf(ops.Invalid, "the document key %s is above %d bytes.", ops.Quote(key), mostKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		reason := ""
		switch {
		case part == "":
			reason = "has an empty part"
		case part[0] == '.':
			reason = `has a part that begins with "."`
		case len(part) > mostPart:
			reason = fmt.Sprintf("has a part of %d bytes, above %d", len(part), mostPart)
		case !utf8.ValidString(part):
			reason = "is not valid UTF-8"
		case strings.ContainsFunc(part, unicode.IsControl):
			reason = "has a control character"
		}
		if reason != "" {
			return ops.Errorf(ops.Invalid, "the document key %s %s.", ops.Quote(key), reason)
		}
	}
	return nil
}

func checkPath(dir string) error {
	if dir == "" || strings.ContainsRune(dir, 0) {
		return &ops.Error{Code: ops.Invalid, Message: ops.Quote(dir) + " is not a folder's path.", Hint: "Name a folder, such as /var/lib/synops."}
	}
	return nil
}

// explain turns the system's error into ours. The path in it is dropped: the key
// says where.
func explain(doing, name string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	what := doing + " " + ops.Quote(name)
	switch {
	case absent(err):
		return &ops.Error{Code: ops.NotFound, Message: what + ": it is not there.", Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &ops.Error{Code: ops.Denied, Message: what + ": this user may not.", Hint: "The store belongs to the user who made it.", Err: err}
	}
	return fmtErr(what, err)
}

func fmtErr(doing string, err error) error { return fmt.Errorf("%s: %w", doing, err) }

func taken(key string) error {
	return ops.Errorf(ops.Conflict, "the document %s is there already.", ops.Quote(key))
}
