package store

import (
	"context"
	"io"
	"time"
)

// A Driver keeps documents under keys: the one thing that differs between disk
// and S3. storetest.Run holds what each must do.
//
// A key is valid UTF-8 parts joined by "/"; a part is not empty, does not begin
// with ".", holds no control character and is at most 200 bytes long; the whole is
// at most 800. Other keys are Invalid. No key is at once a document and a folder of documents. Data is
// never in an error. Once ctx has ended, nothing further is written. Safe for
// concurrent use, within a process and between processes.
type Driver interface {
	// URL names the place, such as "file:///abs/dir", in the form that Open takes.
	URL() string

	// Create keeps data under a key that is free: of all processes that try, one
	// wins, and the others get Conflict. On return the document is durable, also
	// when it is another's and the error Conflict. No reader sees a part of it.
	// After any other error it may be there, whole, or not.
	Create(ctx context.Context, key string, data []byte) error

	// CreateFrom is Create with what write writes, in bounded memory. Where the
	// error is Conflict, write was not called or was called to its end. An error
	// from write comes back wrapped, and then nothing is kept.
	CreateFrom(ctx context.Context, key string, write func(io.Writer) error) error

	// Put replaces the document, so that a reader sees the old or the new one. The
	// new one need not be durable on return.
	Put(ctx context.Context, key string, data []byte) error

	// Get returns the document; NotFound when absent.
	Get(ctx context.Context, key string) ([]byte, error)

	// Open returns the document to read in bounded memory; NotFound when absent.
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// Age tells how long ago the document was written, by the store's own clock,
	// never negative; NotFound when absent.
	Age(ctx context.Context, key string) (time.Duration, error)

	// List returns the names of a folder's direct children, sorted; those that are
	// folders end in "/". The folder is a key, or "" for all. An absent folder is
	// empty. What was there before the call and is there after it is never missed.
	List(ctx context.Context, folder string) ([]string, error)
}

// A laterLister is a Driver that lists a folder from a name on without reading what
// comes before: S3 does, a disk does not.
type laterLister interface {
	// ListFrom is List without the names below from.
	ListFrom(ctx context.Context, folder, from string) ([]string, error)
}
