package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

// A checkout is a git checkout of an ops repository. Commits are made beside its
// work tree and index: whatever fails half-way leaves it as it was, and no hook, link
// or filter of the checkout has a say in what is committed.
type checkout struct {
	*app
	folder string
	index  string // an index of our own; "" is the checkout's
}

// git runs git in the checkout and returns what it printed, without the last line
// end.
func (c *checkout) git(ctx context.Context, in []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", c.folder}, args...)...)
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "USER", "LOGNAME", "SSH_AUTH_SOCK", "GNUPGHOME", "GPG_TTY",
		"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"} {
		if v := c.p.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	if c.index != "" {
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+c.index)
	}
	cmd.Stdin = bytes.NewReader(in)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &ops.Error{Code: ops.Internal, Message: fmt.Sprintf("git %s: %v: %s", args[0], err, oneLine(trouble.String())), Hint: "Look at the checkout " + ops.Quote(c.folder) + " with git.", Err: err}
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// commit puts the files on a new branch, unless they are what is there. What was
// rendered before and is no longer is removed; other files stay.
func (c *checkout) commit(ctx context.Context, doc *synced, files []render.File, held *render.Manifest) error {
	dir, err := os.MkdirTemp("", "synops-index-")
	if err != nil {
		return fmt.Errorf("making a folder for an index: %w", err)
	}
	defer os.RemoveAll(dir)
	own := *c
	own.index = filepath.Join(dir, "index")
	if _, err := own.git(ctx, nil, "read-tree", "HEAD"); err != nil {
		return err
	}
	entries, err := own.entries(ctx, files, held)
	if err != nil {
		return err
	}
	if _, err := own.git(ctx, entries, "update-index", "-z", "--index-info"); err != nil {
		return err
	}
	tree, err := own.git(ctx, nil, "write-tree")
	if err != nil {
		return err
	}
	if doc.Changes, err = own.changes(ctx, tree); err != nil || len(doc.Changes) == 0 {
		return err
	}
	branch := fmt.Sprintf("synops-dashboard-%s-%s", doc.Release, tree[:8])
	if _, err := own.git(ctx, nil, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		return &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("The branch %s is there already, with these files.", branch),
			Hint: fmt.Sprintf("Push it, or remove it first: git -C %s branch -D %s", ops.ShellQuote(c.folder), branch)}
	}
	commit, err := own.git(ctx, []byte(commitMessage(doc)), own.committing(ctx, tree)...)
	if err != nil {
		return err
	}
	// The empty last argument is the value expected: none, so that nobody's branch is moved.
	if _, err := own.git(ctx, nil, "update-ref", "-m", "synops dashboards sync", "refs/heads/"+branch, commit, ""); err != nil {
		return err
	}
	doc.Branch, doc.Commit = branch, commit
	doc.Next = fmt.Sprintf("git -C %s push -u origin %s, then open a pull request", ops.ShellQuote(c.folder), branch)
	return nil
}

// entries are the lines that make an index hold the files and not what was rendered
// before.
func (c *checkout) entries(ctx context.Context, files []render.File, held *render.Manifest) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range files {
		id, err := c.git(ctx, f.Data, "hash-object", "-w", "--stdin")
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "100644 %s\t%s\x00", id, f.Path)
	}
	if held == nil {
		return b.Bytes(), nil
	}
	for _, name := range held.Files {
		if !slices.ContainsFunc(files, func(f render.File) bool { return f.Path == name }) {
			fmt.Fprintf(&b, "0 %040d\t%s\x00", 0, strings.ReplaceAll(name, "\x00", ""))
		}
	}
	return b.Bytes(), nil
}

// changes tells what a tree has otherwise than HEAD.
func (c *checkout) changes(ctx context.Context, tree string) ([]render.Change, error) {
	out, err := c.git(ctx, nil, "diff-tree", "-r", "-z", "--no-renames", "--name-status", "HEAD", tree)
	if err != nil {
		return nil, err
	}
	changes := []render.Change{}
	parts := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		kind := map[string]string{"A": "new", "D": "gone"}[parts[i]]
		if kind == "" {
			kind = "changed"
		}
		changes = append(changes, render.Change{Path: parts[i+1], Kind: kind})
	}
	return changes, nil
}

// committing are git's arguments for a commit of tree, signed where the checkout
// signs its commits.
func (c *checkout) committing(ctx context.Context, tree string) []string {
	args := []string{"commit-tree", tree, "-p", "HEAD"}
	if sign, err := c.git(ctx, nil, "config", "--type=bool", "commit.gpgsign"); err == nil && sign == "true" {
		args = append(args, "-S")
	}
	return args
}

func commitMessage(s *synced) string {
	text := fmt.Sprintf("Dashboard of synapse-ops-core %s\n\nRendered by synops dashboards sync.\n", s.Release)
	if s.Was != "" && s.Was != s.Release {
		text += fmt.Sprintf("It called %s before.\n", s.Was)
	}
	return text
}
