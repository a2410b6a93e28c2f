package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Release is the version that the program is built as: prod takes releases only.
const Release = "v1.0.0"

// release is what the checkout is released as.
func (s *Stage) release() string {
	if s.config.Release != "" {
		return s.config.Release
	}
	return Release
}

const modulePath = "github.com/Sage-Bionetworks/synapse-ops-core"

// Build makes a release of the checkout that the working directory is in, files that
// are not committed included, and builds synops from it as a bundle holds it:
// static, and for this machine. It needs Go and git.
func (s *Stage) Build(ctx context.Context) error {
	source, err := checkout()
	if err != nil {
		return err
	}
	release := filepath.Join(s.Dir, "release")
	if err := s.tag(ctx, source, release); err != nil {
		return err
	}
	out := filepath.Join(s.Dir, "bin", "synops")
	// The same flags for whoever builds a bundle: the second time all is built.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=true", "-o", out, "./cmd/synops")
	cmd.Dir, cmd.Env = release, append(s.toolEnviron(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building synops: %w\n%s", errors.Join(ctx.Err(), err), text)
	}
	s.Synops = out
	return nil
}

// checkout is the folder with this module's go.mod, from the working directory up.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("this is no checkout of synapse-ops-core: run it in one")
		}
		dir = up
	}
}

// tag commits the files of source in a repository of its own and tags them. Nothing
// in source is touched.
func (s *Stage) tag(ctx context.Context, source, release string) error {
	git := filepath.Join(release, ".git")
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main", release},
		{"--git-dir=" + git, "--work-tree=" + source, "add", "--all"},
		{"--git-dir=" + git, "commit", "--quiet", "--message=rehearsal"},
		{"--git-dir=" + git, "tag", s.release()},
		{"-C", release, "reset", "--quiet", "--hard"},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = source
		cmd.Env = append(s.toolEnviron(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=rehearsal", "GIT_AUTHOR_EMAIL=rehearsal@example.org",
			"GIT_COMMITTER_NAME=rehearsal", "GIT_COMMITTER_EMAIL=rehearsal@example.org")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making a release to rehearse with: git %s: %w\n%s", args[0], errors.Join(ctx.Err(), err), text)
		}
	}
	return nil
}

// toolEnviron is what Go and git need of this process's variables.
func (s *Stage) toolEnviron() []string {
	return s.handedOn("PATH", "HOME", "TMPDIR", "GOPATH", "GOCACHE", "GOMODCACHE", "GOROOT", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOTOOLCHAIN", "GOPRIVATE",
		"XDG_CACHE_HOME", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
}

func (s *Stage) handedOn(names ...string) (env []string) {
	for _, name := range names {
		if v := s.config.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
