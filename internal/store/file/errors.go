package file

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var errNotFolder error = syscall.ENOTDIR

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
