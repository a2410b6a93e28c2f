// Package toolrun runs a tool that lives in a source repository of its own: it
// fetches the source at one commit, builds it once and keeps the result, and runs
// it as an argument vector, in a process group of its own, with an environment
// that holds nothing it does not need, relaying what it prints line by line.
//
// What is not here: which tool it is, what its arguments mean, and AWS. Who
// imports this hands over the cache, the credentials and the token's source.
//
// What it cannot do: keep a tool from what its process can reach. The tool runs
// as the same user as the worker; in a build that is the lane's role.
package toolrun

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Source is where a tool's source lies.
type Source struct {
	Repository string // owner/name
	Ref        string // a branch, a tag or a commit of 40 hex digits
	Commit     string // 40 hex digits; "" until Commit resolved it
}

// A Recipe says how a tool is built. Its digest, with the commit and the
// toolchain's own words, names what was built.
type Recipe struct {
	// Toolchain are commands whose output tells the versions a build depends on.
	Toolchain [][]string `json:"toolchain"`
	// Build are the commands, in order, run in the source's folder.
	Build [][]string `json:"build"`
	// Products are the paths to keep, relative to it; "." is all but .git.
	Products []string `json:"products"`
}

// Keys are credentials of one AWS session.
type Keys struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expires                                    time.Time
}

// A Cache keeps what was built. Safe for concurrent use.
type Cache interface {
	// Get writes the object to w. It is NotFound when there is none.
	Get(ctx context.Context, key string, w io.Writer) error
	// Put keeps size bytes of r under key, over what was there.
	Put(ctx context.Context, key string, r io.ReadSeeker, size int64) error
}

// Config is what a runner is given.
type Config struct {
	Server string // where repositories are; "": https://github.com. Plain http on loopback only
	// Token gives what the server asks for, each time anew; nil: only public sources.
	Token func(ctx context.Context) (string, error)
	Cache Cache // nil: everything is built anew
	// Credentials gives the tool's credentials whenever it asks for them; nil: it gets none.
	Credentials func(ctx context.Context) (Keys, error)
	Region      string
	// Mask has a secret masked in all output from now on; Masked returns a writer that
	// does so. Both required.
	Mask   func(secret string) error
	Masked func(w io.Writer) io.WriteCloser
	// Env is what every program gets, as NAME=VALUE: what it needs to run at all.
	Env []string
	Dir string // for sources, builds and homes; removed piece by piece
	// Grace is what a program gets between being asked to end and being killed; 0: 20 s.
	Grace time.Duration
	// Relay is how many bytes of a program's output are relayed before lines are left
	// out; 0: 4 MiB.
	Relay int64
}

// A Runner fetches, builds and runs. Safe for concurrent use.
type Runner struct{ c Config }

// New returns a runner.
func New(c Config) (*Runner, error) {
	if c.Server == "" {
		c.Server = "https://github.com"
	}
	if err := checkServer(c.Server); err != nil {
		return nil, err
	}
	if c.Grace == 0 {
		c.Grace = 20 * time.Second
	}
	if c.Relay == 0 {
		c.Relay = 4 << 20
	}
	return &Runner{c}, nil
}

// Say takes one line for whoever follows.
type Say func(format string, args ...any)

// A Tool is a built tool on this machine.
type Tool struct {
	Dir    string // holds the products at their paths
	Digest ops.Digest
	Cached bool // taken from the cache

	remove func()
}

// At is a tool that is on this machine already, in dir. Closing it does nothing.
func At(dir string) *Tool { return &Tool{Dir: dir, remove: func() {}} }

// Close removes the tool from this machine.
func (t *Tool) Close() { t.remove() }

// Provide returns the tool that the recipe makes of the source, whose commit is
// resolved: from the cache where it was built before, else fetched and built now.
// What comes from the cache is compared with its digest; if it differs it is not
// used, and built anew.
func (r *Runner) Provide(ctx context.Context, src Source, recipe Recipe, say Say) (*Tool, error) {
	dir, err := r.folder("tool-")
	if err != nil {
		return nil, err
	}
	tool := &Tool{Dir: filepath.Join(dir, "tool"), remove: func() { _ = removeAll(dir) }}
	if err := r.provide(ctx, dir, tool, src, recipe, say); err != nil {
		tool.Close()
		return nil, err
	}
	return tool, nil
}

func (r *Runner) provide(ctx context.Context, dir string, tool *Tool, src Source, recipe Recipe, say Say) error {
	key, err := r.buildKey(ctx, dir, src, recipe)
	if err != nil {
		return err
	}
	if r.c.Cache != nil {
		if tool.Digest, err = r.fromCache(ctx, key, dir, tool.Dir, say); err != nil {
			return err
		}
		if tool.Cached = tool.Digest != ""; tool.Cached {
			return nil
		}
	}
	source := filepath.Join(dir, "source")
	say("fetching %s at %s", src.Repository, src.Commit)
	if err := r.fetch(ctx, dir, source, src); err != nil {
		return err
	}
	if err := r.build(ctx, dir, source, recipe, say); err != nil {
		return err
	}
	archive := filepath.Join(dir, "product.tar.gz")
	size, digest, err := pack(source, recipe.Products, archive)
	if err != nil {
		return err
	}
	tool.Digest = digest
	if r.c.Cache != nil {
		r.keep(ctx, key, src, archive, size, digest, say)
	}
	return unpack(archive, tool.Dir)
}

// folder makes a folder that only this user can look into.
func (r *Runner) folder(prefix string) (string, error) {
	if err := os.MkdirAll(r.c.Dir, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(r.c.Dir, prefix)
}

// removeAll removes a folder in which a build may have left folders that cannot be
// written to, as Go's module cache does.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // our own folder, on its way out
		}
		return nil
	})
	return os.RemoveAll(dir)
}
