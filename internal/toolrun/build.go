package toolrun

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// buildFormat counts up when what is kept of a build changes.
const buildFormat = 1

// buildKey names what the recipe makes of the source here: the same only where
// commit, commands, kept paths, machine and toolchain are the same.
func (r *Runner) buildKey(ctx context.Context, dir string, src Source, recipe Recipe) (ops.Digest, error) {
	if err := CheckSource(src); err != nil {
		return "", err
	}
	versions := make([]string, len(recipe.Toolchain))
	for i, argv := range recipe.Toolchain {
		var said strings.Builder
		exit, err := r.run(ctx, Program{Dir: dir, Home: dir, Argv: argv}, func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) })
		if err != nil {
			return "", fmt.Errorf("asking %s for its version: %w", argv[0], err)
		}
		if !exit.OK() {
			return "", ops.Errorf(ops.Unavailable, "%s %s, so the toolchain is not known: %s.", strings.Join(argv, " "), exit, ops.Quote(said.String()))
		}
		versions[i] = said.String()
	}
	b, err := ops.CanonicalJSON(map[string]any{
		"format": buildFormat, "repository": src.Repository, "commit": src.Commit, "recipe": recipe,
		"toolchain": versions, "machine": runtime.GOOS + "/" + runtime.GOARCH,
	})
	if err != nil {
		return "", err
	}
	return ops.DigestOf(b), nil
}

// build runs the recipe's commands in the source's folder. They get no
// credentials: what they fetch is public.
func (r *Runner) build(ctx context.Context, dir, source string, recipe Recipe, say Say) error {
	home := filepath.Join(dir, "home")
	for _, argv := range recipe.Build {
		say("building: %s", ShowArgv(argv))
		exit, err := r.run(ctx, Program{Dir: source, Home: home, Argv: argv}, say)
		if err != nil {
			return fmt.Errorf("building: %w", err)
		}
		if !exit.OK() {
			return &ops.Error{Code: ops.Internal, Message: fmt.Sprintf("the build's command %s %s.", ShowArgv(argv), exit), Hint: "Nothing was run. The log has what it printed."}
		}
	}
	return nil
}

// ShowArgv renders an argument vector as a shell would read it, for people only:
// nothing is ever run from it.
func ShowArgv(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = ops.ShellQuote(a)
	}
	return clean(strings.Join(words, " "))
}
