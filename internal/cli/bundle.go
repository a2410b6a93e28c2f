package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// mostBinary bounds a program that is bundled.
const mostBinary = 200 << 20

// binary returns the program to bundle: the file named, else this program where it
// is fit for it, else one built from the checkout in this folder.
func (a *app) binary(ctx context.Context, file, architecture string) (*deploy.Binary, error) {
	if file != "" {
		return readBinary(file, architecture)
	}
	if len(a.p.Command) == 1 {
		if b, err := readBinary(a.p.Command[0], architecture); err == nil {
			a.say("bundling this program")
			return b, nil
		}
	}
	return a.compile(ctx, architecture)
}

func readBinary(file, architecture string) (*deploy.Binary, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > mostBinary {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The program %s cannot be read: %v.", ops.Quote(file), err), Hint: "Check the path given to --binary.", Err: err}
	}
	b, err := deploy.ReadBinary(data)
	if err != nil {
		return nil, err
	}
	if architecture != "" && b.Architecture != architecture {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The program %s is for %s and builds run on %s.", ops.Quote(file), b.Architecture, architecture),
			Hint: "Give the other one, or change all lanes with --architecture " + b.Architecture + "."}
	}
	return b, nil
}

// compile builds the program of the checkout we are in: static, and the same bytes
// for the same commit wherever it is built.
func (a *app) compile(ctx context.Context, architecture string) (*deploy.Binary, error) {
	if architecture == "" {
		architecture = "arm64"
	}
	dir, err := os.MkdirTemp("", "synops-bundle-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "synops")
	a.say("building synops for linux/%s (about a minute the first time)", architecture)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w", "-o", out, "github.com/Sage-Bionetworks/synapse-ops-core/cmd/synops")
	cmd.Env = append(a.goEnviron(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, notCompiled(ctx, string(text), err)
	}
	return readBinary(out, architecture)
}

// goEnviron is what the Go tool needs of our environment: no token is among it.
func (a *app) goEnviron() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOPATH", "GOCACHE", "GOMODCACHE", "GOROOT", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOTOOLCHAIN",
		"GOPRIVATE", "XDG_CACHE_HOME", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := a.p.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func notCompiled(ctx context.Context, text string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		text = "there is no Go tool on this machine"
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 600 {
		text = text[:600] + "…"
	}
	return &ops.Error{Code: ops.Invalid, Message: "synops cannot be built here: " + text + ".", Err: err,
		Hint: "Run it in a checkout of the core repository, or give a release's file with --binary."}
}
