package toolrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var (
	repositoryPattern = ops.Pattern(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)
	commitPattern     = ops.Pattern(`^[0-9a-f]{40}$`)
	refPattern        = ops.Pattern(`^[A-Za-z0-9_][A-Za-z0-9._/-]*$`)
)

// mostRef is more than any branch or tag is called.
const mostRef = 200

// CheckSource refuses what names no repository or ref; the error is Invalid.
// Nothing that passes begins with "-" or holds what git reads as a pattern.
func CheckSource(src Source) error {
	switch {
	case !repositoryPattern().MatchString(src.Repository):
		return &ops.Error{Code: ops.Invalid, Message: ops.Quote(src.Repository) + " is not owner/name of a repository.", Hint: "Such as Sage-Bionetworks/Synapse-Stack-Builder."}
	case len(src.Ref) > mostRef || !refPattern().MatchString(src.Ref) || strings.Contains(src.Ref, "..") || strings.Contains(src.Ref, "//") || strings.HasSuffix(src.Ref, ".lock"):
		return &ops.Error{Code: ops.Invalid, Message: ops.Quote(src.Ref) + " is not a branch, a tag or a commit.", Hint: "Such as develop, or the 40 hex digits of a commit."}
	}
	return nil
}

func checkServer(server string) error {
	u, err := url.Parse(server)
	ok := err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && (u.Scheme == "https" || u.Scheme == "http" && ops.Loopback(server))
	if !ok {
		return &ops.Error{Code: ops.Invalid, Message: "the server of sources " + ops.Quote(server) + " is not an https URL.", Hint: "Such as https://github.com."}
	}
	return nil
}

// Commit resolves the source's ref to a commit: 40 hex digits are one already. A
// name that is both a branch and a tag is refused; NotFound: it is neither.
func (r *Runner) Commit(ctx context.Context, src Source) (string, error) {
	if err := CheckSource(src); err != nil {
		return "", err
	}
	if commitPattern().MatchString(src.Ref) {
		return src.Ref, nil
	}
	g, err := r.openGit(ctx)
	if err != nil {
		return "", err
	}
	defer g.close()
	out, err := g.run(ctx, "", "ls-remote", "--", g.url(src), "refs/heads/"+src.Ref, "refs/tags/"+src.Ref, "refs/tags/"+src.Ref+"^{}")
	if err != nil {
		return "", fmt.Errorf("asking %s for %s: %w", src.Repository, ops.Quote(src.Ref), err)
	}
	return pick(src, out)
}

// pick reads the answer of ls-remote. An annotated tag stands for the commit that
// it names.
func pick(src Source, out string) (string, error) {
	found := map[string]string{}
	for line := range strings.Lines(out) {
		commit, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if commitPattern().MatchString(commit) {
			found[ref] = commit
		}
	}
	branch, tag := found["refs/heads/"+src.Ref], found["refs/tags/"+src.Ref]
	if peeled := found["refs/tags/"+src.Ref+"^{}"]; peeled != "" {
		tag = peeled
	}
	switch {
	case branch != "" && tag != "" && branch != tag:
		return "", ops.Refuse("source", "Name the commit that is meant.", "%s is a branch of %s at %s and a tag at %s.", ops.Quote(src.Ref), src.Repository, branch, tag)
	case branch != "":
		return branch, nil
	case tag != "":
		return tag, nil
	}
	return "", &ops.Error{Code: ops.NotFound, Message: fmt.Sprintf("%s has no branch or tag %s.", src.Repository, ops.Quote(src.Ref)), Hint: "Check its spelling; the 40 hex digits of a commit are taken too."}
}

// fetch checks the source out at its commit, without history.
func (r *Runner) fetch(ctx context.Context, dir, into string, src Source) error {
	if !commitPattern().MatchString(src.Commit) {
		return ops.Errorf(ops.Invalid, "%s is not a commit: resolve it first.", ops.Quote(src.Commit))
	}
	g, err := r.openGit(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	for _, args := range [][]string{
		{"init", "--quiet", "--template=", "--", into},
		{"-C", into, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", g.url(src), src.Commit},
		{"-C", into, "checkout", "--quiet", "--detach", src.Commit},
	} {
		if _, err := g.run(ctx, "", args...); err != nil {
			return fmt.Errorf("fetching %s at %s: %w", src.Repository, src.Commit, err)
		}
	}
	head, err := g.run(ctx, "", "-C", into, "rev-parse", "HEAD")
	if err != nil {
		return fmt.Errorf("reading what was fetched: %w", err)
	}
	if strings.TrimSpace(head) != src.Commit {
		return ops.Errorf(ops.Conflict, "the server gave %s where %s at %s was asked for.", ops.Quote(strings.TrimSpace(head)), src.Repository, src.Commit)
	}
	return nil
}

// A git runs git commands with the token in reach of git's credential protocol,
// and of nothing else: it goes to git's own in-memory helper over a pipe and is
// forgotten with it. It is in no URL, argument, file or environment.
type git struct {
	r    *Runner
	home string
}

// helperLife bounds how long the helper may keep the token should we die.
const helperLife = "600"

func (r *Runner) openGit(ctx context.Context) (*git, error) {
	home, err := os.MkdirTemp("", "synops-git-") // not under Dir: a socket's path is at most 104 bytes
	if err != nil {
		return nil, err
	}
	g := &git{r: r, home: home}
	if r.c.Token == nil {
		return g, nil
	}
	if err := g.handToken(ctx); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *git) handToken(ctx context.Context) error {
	token, err := g.r.c.Token(ctx)
	if err != nil {
		return fmt.Errorf("reading the token of %s: %w", g.r.c.Server, err)
	}
	if err := g.r.c.Mask(token); err != nil {
		return fmt.Errorf("masking the token of %s: %w", g.r.c.Server, err)
	}
	if token == "" || strings.ContainsAny(token, "\n\r\x00") {
		return ops.Errorf(ops.Invalid, "the token of %s is empty or has a line end.", g.r.c.Server)
	}
	u, _ := url.Parse(g.r.c.Server) // checked by New
	said := fmt.Sprintf("protocol=%s\nhost=%s\nusername=x-access-token\npassword=%s\n\n", u.Scheme, u.Host, token)
	if _, err := g.run(ctx, said, "credential", "approve"); err != nil {
		return fmt.Errorf("handing the token to git: %w", err)
	}
	return nil
}

// close ends the helper, which forgets the token, also when ctx has ended.
func (g *git) close() {
	if g.r.c.Token != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = g.run(ctx, "", "credential-cache", "--socket="+g.socket(), "exit") // it ends by itself too
	}
	_ = removeAll(g.home)
}

func (g *git) socket() string { return filepath.Join(g.home, "s", "s") }

func (g *git) url(src Source) string {
	return strings.TrimSuffix(g.r.c.Server, "/") + "/" + src.Repository + ".git"
}

// environment is git's: no configuration but ours, nobody to ask, no protocol but
// the server's, and no redirect that would take the token elsewhere.
func (g *git) environment() []string {
	scheme, _, _ := strings.Cut(g.r.c.Server, ":")
	config := [][2]string{
		{"credential.helper", ""}, // those of the machine are not asked
		{"credential.helper", "cache --timeout " + helperLife + " --socket " + ops.ShellQuote(g.socket())},
		{"http.followRedirects", "false"},
		{"protocol.allow", "never"}, {"protocol." + scheme + ".allow", "always"},
		{"core.hooksPath", os.DevNull}, {"core.fsmonitor", "false"}, {"gc.auto", "0"}, {"advice.detachedHead", "false"},
		{"init.defaultBranch", "main"},
	}
	env := append([]string{}, g.r.c.Env...)
	env = append(env, "HOME="+g.home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"GIT_HTTP_LOW_SPEED_LIMIT=1000", "GIT_HTTP_LOW_SPEED_TIME=60", fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
	for i, kv := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// mostGitOutput bounds what is read of one git command.
const mostGitOutput = 1 << 20

func (g *git) run(ctx context.Context, stdin string, args ...string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(g.socket()), 0o700); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env, cmd.Dir, cmd.Stdin = g.environment(), g.home, strings.NewReader(stdin)
	out, said := &bounded{most: mostGitOutput}, &bounded{most: 16 << 10}
	cmd.Stdout, cmd.Stderr = out, said
	cmd.WaitDelay = 5 * time.Second // the helper keeps our pipes open
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", &ops.Error{Code: ops.Unavailable, Message: "git is not on this machine.", Hint: "Install git, or use an image that has it.", Err: err}
	}
	return "", g.explain(said.String())
}

// explain turns what git says into our words.
func (g *git) explain(said string) error {
	e := &ops.Error{Code: ops.Unavailable, Message: "git says: " + ops.Quote(strings.Join(strings.Fields(said), " ")) + "."}
	lower := strings.ToLower(said)
	switch {
	case strings.Contains(lower, "authentication failed"), strings.Contains(lower, "could not read username"), strings.Contains(lower, "error: 403"):
		e.Code, e.Hint = ops.Denied, "Put a token that may read the repository into the secret /synops/gh-pat."
	case strings.Contains(lower, "not found"), strings.Contains(lower, "not our ref"), strings.Contains(lower, "couldn't find remote ref"):
		e.Code, e.Hint = ops.NotFound, "Check owner, repository and ref, and that the token may read it: a server hides what it may not."
	case strings.Contains(lower, "unable to update url base from redirection"), strings.Contains(lower, "error: 30"):
		e.Code, e.Hint = ops.Conflict, "The server sends elsewhere: the repository was renamed or moved. Name where it is now."
	}
	return e
}

// A bounded buffer keeps the first bytes and forgets the rest.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
