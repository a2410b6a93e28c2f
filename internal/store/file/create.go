package file

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Create keeps data under a key that is free; Conflict when it is taken. The
// document is durable on return.
func (d *Driver) Create(ctx context.Context, key string, data []byte) error {
	return d.create(ctx, key, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// CreateFrom is Create with what write writes, through a small buffer.
func (d *Driver) CreateFrom(ctx context.Context, key string, write func(io.Writer) error) error {
	return d.create(ctx, key, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 64<<10)
		if err := write(b); err != nil {
			return err
		}
		return b.Flush()
	})
}

func (d *Driver) create(ctx context.Context, key string, write func(io.Writer) error) error {
	if err := ready(ctx, "creating", key); err != nil {
		return err
	}
	path := d.Path(key)
	// A look first spares the disk when the name is long taken; link decides.
	if _, err := os.Lstat(path); err == nil {
		return d.takenFor(key, path)
	}
	temp, err := d.writeTemp(key, path, write)
	if err != nil {
		return err
	}
	defer func() {
		if temp != "" {
			os.Remove(temp) // left behind it does no harm
		}
	}()
	if err := ctx.Err(); err != nil {
		return fmtErr("creating document "+ops.Quote(key), err)
	}
	if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) {
		return d.takenFor(key, path)
	} else if err != nil {
		return explain("creating document", key, linkReason(err))
	}
	os.Remove(temp) // before the folder is synced, so that one sync covers both
	temp = ""
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return explain("making durable document", key, err)
	}
	return nil
}

// takenFor returns Conflict once the document that is there is durable: whoever
// lost may act on what the winner wrote, before the winner got round to it.
func (d *Driver) takenFor(key, path string) error {
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return explain("making durable document", key, err)
	}
	return taken(key)
}

// Put replaces the document. It is not durable on return, but never half there:
// its content reaches the disk before its name does.
func (d *Driver) Put(ctx context.Context, key string, data []byte) error {
	if err := ready(ctx, "writing", key); err != nil {
		return err
	}
	path := d.Path(key)
	temp, err := d.writeTemp(key, path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return explain("writing document", key, linkReason(err))
	}
	return nil
}

// writeTemp writes a hidden file beside path, durably, and returns its name. On an
// error nothing is left.
func (d *Driver) writeTemp(key, path string, write func(io.Writer) error) (string, error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".new-*") // 0600
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolders(folder); err != nil {
			return "", explain("making the folder of document", key, err)
		}
		f, err = os.CreateTemp(folder, ".new-*")
	}
	if err != nil {
		return "", explain("writing document", key, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmtErr("writing document "+ops.Quote(key), err)
	}
	return f.Name(), nil
}

// makeFolders makes folder and what is missing above it, durably: the folder
// above each new one is synced, those that stood before are not touched. One that
// another process makes at the same moment is synced here too, since that process
// may not have got round to it.
func makeFolders(folder string) error {
	err := os.Mkdir(folder, 0o700)
	above := filepath.Dir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && above != folder:
		if err := makeFolders(above); err != nil {
			return err
		}
		err = os.Mkdir(folder, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncFolder(above)
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// linkReason drops the two paths that a link error carries.
func linkReason(err error) error {
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}
