package cli

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// A Process is everything of the outside that a command may look at. It is made
// once, by main; a test makes its own.
type Process struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // Err is a terminal: progress may be drawn there
	Color    bool // of Out
	ErrColor bool // of Err
	Width    int  // of the terminal, in columns
	Getenv   func(string) string
	Command  []string // how to start this program again
	Host     string   // this machine's name
	OpenFD   func(n int) (io.Reader, error)
	Now      func() time.Time // nil: time.Now
}

// System returns the process as the operating system tells it.
func System() Process {
	p := Process{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Width: 100, Getenv: os.Getenv}
	p.Host, _ = os.Hostname()
	if exe, err := os.Executable(); err == nil {
		p.Command = []string{exe}
	} else {
		p.Command = os.Args[:1]
	}
	p.Terminal = term.IsTerminal(int(os.Stderr.Fd()))
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			p.Width = w
		}
	}
	colors := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	p.Color, p.ErrColor = colors && term.IsTerminal(int(os.Stdout.Fd())), colors && p.Terminal
	p.OpenFD = func(n int) (io.Reader, error) { return os.NewFile(uintptr(n), "pipe"), nil }
	return p
}

// Names of the process variables that synops reads or sets.
const (
	varContext     = "CONTEXT"
	varHost        = "SYNAPSE_HOST"
	varRepository  = "GITHUB_REPOSITORY"
	varConfig      = "SYNOPS_CONFIG"
	varInputs      = "SYNOPS_INPUTS"
	varTokenSource = "SYNOPS_TOKEN_SOURCE"
	varCall        = "SYNOPS_CALL"
)

// handedOn lists the variables that a worker process gets from its launcher:
// what programs need to run at all, never a secret.
var handedOn = []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ", "XDG_STATE_HOME", "XDG_CACHE_HOME",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "GOCOVERDIR", "GORACE", varRepository}

// environ returns the worker's environment: what is handed on, and own, as
// NAME=VALUE.
func (p *Process) environ(own ...string) []string {
	return append(p.only(handedOn), own...)
}

// only returns the variables named that are set, as NAME=VALUE.
func (p *Process) only(names []string) []string {
	var env []string
	for _, name := range names {
		if v := p.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// requester names who asks: the GitHub actor, or this machine's user.
func (p *Process) requester() string {
	if actor := p.Getenv("GITHUB_ACTOR"); actor != "" {
		return actor
	}
	if u, err := user.Current(); err == nil {
		return u.Username + "@" + p.Host
	}
	return "unknown@" + p.Host
}

// home returns an XDG folder of ours: the variable's, or fallback under HOME.
func (p *Process) home(variable string, fallback ...string) string {
	if dir := p.Getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "synops")
	}
	home := p.Getenv("HOME")
	if home == "" {
		home = os.TempDir()
	}
	return filepath.Join(append(append([]string{home}, fallback...), "synops")...)
}

// stateDir is where documents are kept when no store is named.
func (p *Process) stateDir() string { return p.home("XDG_STATE_HOME", ".local", "state") }

// cacheDir is where plans are kept to tell later what differs.
func (p *Process) cacheDir() string { return p.home("XDG_CACHE_HOME", ".cache") }

// oneLine makes declared text fit for a document: one line, bounded.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), 500)], "")
}
