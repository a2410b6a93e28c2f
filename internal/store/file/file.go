// Package file keeps a store's documents as files: the key is the path below one
// folder. Documents are private to the user (0600, folders 0700).
//
// A new document is written under a hidden temporary name, made durable, and then
// linked to its name: link(2) fails when the name is taken, for any number of
// processes on any POSIX file system, without a lock. A process that dies on the
// way leaves a hidden file behind that no method shows.
//
// What is not here: what documents mean.
package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Driver keeps documents below one folder. Safe for concurrent use.
type Driver struct {
	dir string
}

// Open returns the driver for a folder, which it makes if need be. A relative
// path is taken from the working folder, once.
func Open(dir string) (*Driver, error) {
	if err := checkPath(dir); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmtErr("finding the store's folder", err)
	}
	if err := makeFolders(abs); err != nil {
		return nil, explain("making the store's folder", abs, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, explain("opening the store's folder", abs, err)
	}
	if !info.IsDir() {
		return nil, &ops.Error{Code: ops.Invalid, Message: "the store " + ops.Quote(abs) + " is not a folder.", Hint: "Name a folder, or a name that is free."}
	}
	return &Driver{dir: abs}, nil
}

// URL returns the folder as a file URL, odd characters percent-encoded.
func (d *Driver) URL() string {
	return (&url.URL{Scheme: "file", Path: d.dir}).String()
}

// Path returns the file that holds a key's document. The key must be a valid one.
func (d *Driver) Path(key string) string {
	return filepath.Join(d.dir, filepath.FromSlash(key))
}

// Get returns the document; NotFound when absent.
func (d *Driver) Get(ctx context.Context, key string) ([]byte, error) {
	f, err := d.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, explain("reading document", key, err)
	}
	data := make([]byte, info.Size())
	// A document never changes once it has its name, so its size is final.
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, explain("reading document", key, err)
	}
	return data, nil
}

// Open returns the document to read; NotFound when absent.
func (d *Driver) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	f, err := d.open(ctx, key)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

func (d *Driver) open(ctx context.Context, key string) (*os.File, error) {
	if err := ready(ctx, "reading", key); err != nil {
		return nil, err
	}
	f, err := os.Open(d.Path(key))
	if err != nil {
		return nil, explain("reading document", key, err)
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		f.Close()
		if err == nil {
			err = fs.ErrNotExist // a folder is no document
		}
		return nil, explain("reading document", key, err)
	}
	return f, nil
}

// Age tells how long ago the document was written, by this machine's clock.
func (d *Driver) Age(ctx context.Context, key string) (time.Duration, error) {
	if err := ready(ctx, "reading", key); err != nil {
		return 0, err
	}
	info, err := os.Stat(d.Path(key))
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, explain("reading the age of document", key, err)
	}
	return max(0, time.Since(info.ModTime())), nil
}

// List returns the names of a folder's direct children, sorted, folders with a
// "/" behind.
func (d *Driver) List(ctx context.Context, folder string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmtErr("listing "+ops.Quote(folder), err)
	}
	if folder != "" {
		if err := ops.CheckKey(folder); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(d.Path(folder))
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("listing folder", folder, err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if absent(err) {
		return nil, nil // a document is no folder
	}
	if err != nil {
		return nil, explain("listing folder", folder, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.Name()[0] == '.': // a document in the making, or not ours
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// ready refuses a key that is not one, and any work once ctx has ended.
func ready(ctx context.Context, doing, key string) error {
	if err := ops.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmtErr(doing+" document "+ops.Quote(key), err)
	}
	return nil
}

// absent tells whether err says that there is nothing at a path, also because a
// document stands where a folder would have to be.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder)
}

// RemoveFolder removes a folder and all documents below it; an absent one is fine.
// Only what has a term, such as personal before-images, is ever removed.
func (d *Driver) RemoveFolder(ctx context.Context, folder string) error {
	if err := ops.CheckKey(folder); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.RemoveAll(d.Path(folder)); err != nil {
		return explain("removing", folder, err)
	}
	return nil
}
