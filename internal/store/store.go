// Package store holds the documents that runs are made of: requests, claims,
// starts, attempts, journals, plans, results, artifacts, leases, freezes and the
// index. They are the only state of synops; everything else is derived from them.
//
// A document is JSON under a key (keys.go lists them all) and, but for the
// heartbeat, is created once and never changed: where two want the same key, one
// wins and the other learns of it. Reading is strict: a document with a field that
// this release does not know, or that is cut, is a Conflict naming its key, never
// taken for what it seems to say, and a key that cannot be read is an error, never
// taken for absent.
//
// What is not here: deciding anything. Guards, takeover, resuming and retention
// are the worker's and the command line's. Nothing is deleted but private documents
// whose term is over (expire.go).
package store

import (
	"context"
	"net/url"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
)

// Store reads and writes documents through a driver. Safe for concurrent use.
type Store struct {
	driver Driver
}

// New returns the store over a driver.
func New(d Driver) *Store { return &Store{driver: d} }

var scheme = ops.Pattern(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// Open returns the store that a URL names and makes its folder if need be:
// file:///abs/dir, percent-encoded where it must be, or a path as it is. The error
// is Invalid when it is neither.
func Open(ctx context.Context, place string) (*Store, error) {
	dir := place
	if scheme().MatchString(place) {
		var err error
		if dir, err = folderOf(place); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := file.Open(dir)
	if err != nil {
		return nil, err
	}
	return New(d), nil
}

// folderOf returns the path that a file URL names.
func folderOf(place string) (string, error) {
	u, err := url.Parse(place)
	known := `Stores known are file:///abs/dir and a folder's path.`
	switch {
	case err != nil:
		return "", &ops.Error{Code: ops.Invalid, Message: ops.Quote(place) + " is not a URL.", Hint: known}
	case u.Scheme != "file":
		return "", &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(u.Scheme+"://…") + " has a scheme that is not known.", Hint: known}
	case u.Host != "" && u.Host != "localhost" || u.User != nil:
		return "", &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(place) + " names another machine.", Hint: "Three slashes begin a file URL: file:///abs/dir."}
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(place, "#"):
		return "", &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(place) + ` has a "?" or "#", which end a URL's path.`, Hint: "Write them as %3F and %23, or give the plain path."}
	case u.Path == "":
		return "", &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(place) + " names no folder.", Hint: known}
	}
	return u.Path, nil
}

// URL names the store in the form that Open takes.
func (s *Store) URL() string { return s.driver.URL() }

// LogFile returns the path of the file that attempt n of a run prints to under the
// local engine, and "" where the store is not on disk. Nothing is made.
func (s *Store) LogFile(ref ops.RunRef, n int) string {
	if d, ok := s.driver.(interface{ Path(key string) string }); ok {
		return d.Path(runKey(ref, "logs/"+number4(n)+".log"))
	}
	return ""
}
