package toolrun

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// What is kept lies under its own digest; a small manifest under the build's key
// names it.
func manifestKey(build ops.Digest) string { return "builds/" + build.Hex() + ".json" }
func productKey(d ops.Digest) string      { return "products/" + d.Hex() + ".tar.gz" }

type manifest struct {
	Repository string     `json:"repository"` // for whoever looks into the bucket
	Commit     string     `json:"commit"`
	Product    ops.Digest `json:"product"`
	Size       int64      `json:"size"`
}

// mostManifest bounds what is read of one.
const mostManifest = 64 << 10

// fromCache unpacks what was kept for a build into dir and returns its digest, ""
// when there is nothing of use. What cannot be trusted is said and not used; only
// the end of ctx and a full disk are errors.
func (r *Runner) fromCache(ctx context.Context, build ops.Digest, scratch, into string, say Say) (ops.Digest, error) {
	d, err := r.cached(ctx, build, scratch, into)
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case ops.CodeOf(err) == ops.NotFound:
		return "", nil
	}
	say("note: what the cache keeps of this build is not used (%v); it is built anew", err)
	return "", removeAll(into)
}

func (r *Runner) cached(ctx context.Context, build ops.Digest, scratch, into string) (ops.Digest, error) {
	doc := &bounded{most: mostManifest}
	if err := r.c.Cache.Get(ctx, manifestKey(build), doc); err != nil {
		return "", err
	}
	var m manifest
	if err := json.Unmarshal(doc.Bytes(), &m); err != nil {
		return "", ops.Errorf(ops.Conflict, "its manifest cannot be read: %w", err)
	}
	if _, err := ops.ParseDigest(string(m.Product)); err != nil {
		return "", err
	}
	archive, err := os.Create(filepath.Join(scratch, "cached.tar.gz"))
	if err != nil {
		return "", err
	}
	defer func() { archive.Close(); os.Remove(archive.Name()) }()
	sum := sha256.New()
	err = r.c.Cache.Get(ctx, productKey(m.Product), io.MultiWriter(&limited{w: archive, left: m.Size}, sum))
	switch {
	case ops.CodeOf(err) == ops.NotFound:
		return "", ops.Errorf(ops.Conflict, "its manifest names a product that is not there")
	case err != nil:
		return "", err
	}
	if got := ops.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))); got != m.Product {
		return "", ops.Errorf(ops.Conflict, "its digest is %s and should be %s", got.Short(), m.Product.Short())
	}
	if err := archive.Close(); err != nil {
		return "", err
	}
	return m.Product, unpack(archive.Name(), into)
}

// limited refuses more than was announced.
type limited struct {
	w    io.Writer
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, ops.Errorf(ops.Conflict, "it is longer than its manifest says")
	}
	return l.w.Write(p)
}

// keep puts a build into the cache, product first: a manifest never names what is
// not there. A cache that does not take it costs time and nothing else.
func (r *Runner) keep(ctx context.Context, build ops.Digest, src Source, archive string, size int64, d ops.Digest, say Say) {
	err := func() error {
		f, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := r.c.Cache.Put(ctx, productKey(d), f, size); err != nil {
			return err
		}
		doc, err := ops.CanonicalJSON(manifest{src.Repository, src.Commit, d, size})
		if err != nil {
			return err
		}
		return r.c.Cache.Put(ctx, manifestKey(build), bytes.NewReader(doc), int64(len(doc)))
	}()
	if err != nil {
		say("note: the build could not be kept (%v); the next run builds anew", err)
		return
	}
	say("kept the build: %s, %d bytes", d.Short(), size)
}

// pack writes the products, paths relative to folder, as a gzipped tar without
// times and owners, and returns its size and digest.
func pack(folder string, products []string, into string) (size int64, d ops.Digest, err error) {
	f, err := os.Create(into)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(f, sum)}
	zip, err := gzip.NewWriterLevel(count, gzip.BestSpeed)
	if err != nil {
		return 0, "", err
	}
	t := tar.NewWriter(zip)
	for _, product := range products {
		if err := packOne(t, folder, product); err != nil {
			return 0, "", err
		}
	}
	if err := errors.Join(t.Close(), zip.Close(), f.Close()); err != nil {
		return 0, "", err
	}
	return count.n, ops.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func packOne(t *tar.Writer, folder, product string) error {
	if !filepath.IsLocal(product) {
		return ops.Errorf(ops.Invalid, "the product %s is not within its source.", ops.Quote(product))
	}
	root := filepath.Join(folder, filepath.FromSlash(product))
	if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) {
		return &ops.Error{Code: ops.NotFound, Message: fmt.Sprintf("the build ended well but made no %s.", product), Hint: "The source builds something else than this task runs: compare the two."}
	}
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil || name == "." {
			return err
		}
		if name == ".git" {
			return fs.SkipDir
		}
		return packEntry(t, file, filepath.ToSlash(name), entry)
	})
}

func packEntry(t *tar.Writer, file, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm())}
	switch mode := info.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return t.WriteHeader(h)
	case mode&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(file); err != nil {
			return err
		}
		if path.IsAbs(h.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), h.Linkname)) {
			return nil // it leads out of the product and would lead nowhere, or elsewhere, later
		}
		return t.WriteHeader(h)
	case !mode.IsRegular():
		return nil
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, f)
	return err
}

// unpack puts the archive's entries below into, and nothing anywhere else:
// whatever its names and links say.
func unpack(archive, into string) (err error) {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(into, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer root.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return ops.Errorf(ops.Conflict, "reading what was built: %w", err)
	}
	t := tar.NewReader(zip)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackEntry(root, t, h)
		}
		if err != nil {
			return fmt.Errorf("unpacking what was built: %w", err)
		}
	}
}

func unpackEntry(root *os.Root, t *tar.Reader, h *tar.Header) error {
	name := strings.TrimSuffix(h.Name, "/")
	if !filepath.IsLocal(name) {
		return ops.Errorf(ops.Conflict, "it has the entry %s, which leads out of it", ops.Quote(h.Name))
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o700)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
	default:
		return ops.Errorf(ops.Conflict, "its entry %s is neither file, folder nor link", ops.Quote(h.Name))
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode).Perm()|0o600) //nolint:gosec // its permission bits are all that is taken
	if err != nil {
		return err
	}
	_, err = io.Copy(f, t) //nolint:gosec // as long as what we packed, whose digest was compared
	return errors.Join(err, f.Close())
}

// Missing returns the first of the entries that the zip archive (a jar) at file,
// relative to the tool's folder, does not have; "" when it has all.
func (t *Tool) Missing(file string, entries ...string) (string, error) {
	names, err := zipNames(filepath.Join(t.Dir, filepath.FromSlash(file)))
	if err != nil {
		return "", fmt.Errorf("looking into %s: %w", file, err)
	}
	for _, e := range entries {
		if _, found := slices.BinarySearch(names, e); !found {
			return e, nil
		}
	}
	return "", nil
}
