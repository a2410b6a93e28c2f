// Package toolruntest serves git repositories as a host of private ones does: over
// HTTP, for whoever shows the token, for tests of tools that are fetched from one.
//
// What is not here: anything of GitHub's API.
package toolruntest

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Token is what the server asks for.
const Token = "ghp_0123456789abcdefghijABCDEFGHIJ012345"

// A Server serves the repositories that Commit made.
type Server struct {
	T        testing.TB
	URL      string
	Requests atomic.Int64 // those that showed the token
	Refused  atomic.Int64
	dir      string
}

// Serve begins to serve; the server ends with the test.
func Serve(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{T: t, dir: t.TempDir()}
	backend := &cgi.Handler{Path: path, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + s.dir}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); !ok || password != Token {
			s.Refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "authentication required", http.StatusUnauthorized)
			return
		}
		s.Requests.Add(1)
		r.Header.Del("Authorization") // git's own backend asks for nothing
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Commit adds a commit with exactly these files to a branch of owner/name, and
// returns it. Files whose names end in ".sh" may be executed.
func (s *Server) Commit(repository, branch string, files map[string]string) string {
	s.T.Helper()
	bare := filepath.Join(s.dir, filepath.FromSlash(repository)+".git")
	if _, err := os.Stat(bare); err != nil {
		s.git("", "init", "--quiet", "--bare", "--initial-branch=main", bare)
		s.git(bare, "config", "uploadpack.allowReachableSHA1InWant", "true")
	}
	tree := s.T.TempDir()
	for name, text := range files {
		file := filepath.Join(tree, filepath.FromSlash(name))
		mode := os.FileMode(0o600)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o700
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			s.T.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			s.T.Fatal(err)
		}
	}
	s.git(tree, "init", "--quiet", "--initial-branch=work")
	s.git(tree, "add", "--all")
	s.git(tree, "commit", "--quiet", "--message=made for a test")
	s.git(tree, "push", "--quiet", "--force", bare, "work:refs/heads/"+branch)
	return strings.TrimSpace(s.git(tree, "rev-parse", "HEAD"))
}

// Tag names a commit of a repository; annotated tags are objects of their own.
func (s *Server) Tag(repository, tag, commit string, annotated bool) {
	s.T.Helper()
	args := []string{"tag", tag, commit}
	if annotated {
		args = []string{"tag", "--annotate", "--message=made for a test", tag, commit}
	}
	s.git(filepath.Join(s.dir, filepath.FromSlash(repository)+".git"), args...)
}

func (s *Server) git(dir string, args ...string) string {
	s.T.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + s.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.org", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.org"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.T.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
