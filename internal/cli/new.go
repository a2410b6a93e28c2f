package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

func (a *app) newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new", Short: "Begin something new in the core repository", Args: noArgs,
		Long: "new begins something new in a checkout of the core repository.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "task NAME", Short: "Write a task and its test, to be filled in",
		Long: "task writes a task and its test into a checkout of the core repository, this folder. They compile,\n" +
			"and the test fails with \"describe me\" until all of it is said.",
		Example: "  synops new task rename-team",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &ops.Error{Code: ops.Invalid, Message: "synops new task takes the task's name.", Hint: "Such as synops new task rename-team"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.newTask(cmd.Context(), ops.TaskName(args[0]))
		},
	})
	return cmd
}

func (a *app) newTask(_ context.Context, name ops.TaskName) error {
	root, err := coreCheckout(".")
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := tasks.Catalog().Task(name); err == nil {
		return &ops.Error{Code: ops.Conflict, Message: fmt.Sprintf("There is a task %s already.", name), Hint: "Choose another name."}
	}
	files, entry, err := render.NewTask(name)
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := root.Stat(f.Path); !errors.Is(err, fs.ErrNotExist) {
			return &ops.Error{Code: ops.Conflict, Message: f.Path + " is there already.", Hint: "Choose another name, or remove it first.", Err: err}
		}
	}
	var paths []string
	for _, f := range files {
		if err := root.WriteFile(f.Path, f.Data, 0o644); err != nil {
			return fmt.Errorf("writing the task: %w", err)
		}
		paths = append(paths, f.Path)
	}
	doc := struct {
		Task  ops.TaskName `json:"task"`
		Files []string     `json:"files"`
		Entry string       `json:"entry"` // for the list in internal/tasks/catalog.go
	}{name, paths, entry}
	return a.print(doc, func(w io.Writer) error {
		var b bytes.Buffer
		for _, p := range paths {
			fmt.Fprintln(&b, "wrote ", p)
		}
		fmt.Fprintf(&b, `
Next:
  1. Add it to the list in internal/tasks/catalog.go:
       %s,
  2. Fill in %s: what it changes, for whom, how each effect settles when its
     answer is lost, which fields decide, which are personal, and how to undo it.
  3. Make its test say the same: go test ./internal/tasks
  4. Render forms, pages and schema, and commit them with the task:
       go run ./cmd/synops render
CONTRIBUTING.md has the rest.
`, entry, paths[0])
		_, err := w.Write(b.Bytes())
		return err
	})
}
