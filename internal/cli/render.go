package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func (a *app) renderCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "render", Short: "Write dashboards, task pages and schema from the catalog", Args: noArgs,
		Long: "render writes what is made from the catalog and the environments file into a checkout of the core\n" +
			"repository, this folder: dashboards/, docs/tasks/ and schema/. Files there that are not rendered are\n" +
			"removed. With --check it writes nothing and tells what is stale, with exit code 1. The catalog is\nthis program's: run it as \"go run ./cmd/synops render\".",
		Example: "  go run ./cmd/synops render\n  go run ./cmd/synops render --check",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.render(cmd.Context(), check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; say what is stale")
	return cmd
}

// renderSource is what everything is rendered from: the catalog, and the
// environments file in force.
func (a *app) renderSource() (*render.Source, *environments.File, error) {
	file, err := a.environments()
	if err != nil {
		return nil, nil, err
	}
	return &render.Source{Catalog: tasks.Catalog(), Environments: file.Environments, Core: core(file), Release: file.Release, CodeOwners: file.CodeOwners}, file, nil
}

func (a *app) render(ctx context.Context, check bool) error {
	root, err := coreCheckout(".")
	if err != nil {
		return err
	}
	defer root.Close()
	source, _, err := a.renderSource()
	if err != nil {
		return err
	}
	files, err := source.All()
	if err != nil {
		return err
	}
	changes, err := render.Compare(root.FS(), files)
	if err != nil {
		return err
	}
	if !check {
		if err := write(ctx, root, files, changes); err != nil {
			return err
		}
	}
	doc := struct {
		Files   int             `json:"files"`
		Written bool            `json:"written"`
		Changes []render.Change `json:"changes"`
	}{len(files), !check, append([]render.Change{}, changes...)}
	err = a.print(doc, func(w io.Writer) error { return printLines(w, renderLines(len(files), changes, check)) })
	if err == nil && check && len(changes) > 0 {
		return errDrift
	}
	return err
}

func renderLines(files int, changes []render.Change, check bool) []string {
	if len(changes) == 0 {
		return []string{fmt.Sprintf("All of %d rendered files are as the catalog says.", files)}
	}
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%-8s %s", c.Kind, c.Path))
	}
	if check {
		return append(lines, "", fmt.Sprintf("%d of %d rendered files are stale. Render them anew and commit: go run ./cmd/synops render", len(changes), files))
	}
	return append(lines, "", fmt.Sprintf("%d of %d rendered files were written or removed; look at them, then commit.", len(changes), files))
}

// coreCheckout opens dir, which must be the top of a checkout of this module. Nothing
// outside it can be read or written through it.
func coreCheckout(dir string) (*os.Root, error) {
	const module = "module github.com/Sage-Bionetworks/synapse-ops-core"
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	first, _, _ := strings.Cut(string(data), "\n")
	if err != nil || strings.TrimSpace(first) != module {
		return nil, &ops.Error{Code: ops.Invalid, Message: "This folder is not the top of a checkout of synapse-ops-core.", Hint: "Change to it and try again.", Err: err}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the checkout: %w", err)
	}
	return root, nil
}

// write makes a checkout's rendered files so.
func write(ctx context.Context, root *os.Root, files []render.File, changes []render.Change) error {
	data := map[string][]byte{}
	for _, f := range files {
		data[f.Path] = f.Data
	}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.Kind == "gone" {
			if err := root.Remove(c.Path); err != nil {
				return fmt.Errorf("removing a file that is no longer rendered: %w", err)
			}
			removeEmpty(root, path.Dir(c.Path))
			continue
		}
		if err := root.MkdirAll(path.Dir(c.Path), 0o755); err != nil {
			return fmt.Errorf("writing what was rendered: %w", err)
		}
		if err := root.WriteFile(c.Path, data[c.Path], 0o644); err != nil {
			return fmt.Errorf("writing what was rendered: %w", err)
		}
	}
	return nil
}

// removeEmpty removes folders that removing a file has left empty.
func removeEmpty(root *os.Root, dir string) {
	for dir != "." && root.Remove(dir) == nil {
		dir = path.Dir(dir)
	}
}
