package render_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

// overlay lays files over the repository for the Go tool, so that nothing is written
// into it, and returns the tool's flag.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range files {
		at := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		full, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		replace[full] = at
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + file
}

// A new task compiles, in the catalog or not, and its test fails until everything is
// said.
func TestNewTaskCompilesAndFails(t *testing.T) {
	files, entry, err := render.NewTask("rename-team")
	if err != nil {
		t.Fatal(err)
	}
	if entry != "{renameTeamTask, renameTeam}" || len(files) != 2 || files[0].Path != "internal/tasks/rename_team.go" || files[1].Path != "internal/tasks/rename_team_test.go" {
		t.Fatalf("entry %s, files %+v", entry, files)
	}
	over := map[string]string{}
	for _, f := range files {
		over[f.Path] = string(f.Data)
	}
	run := func(name, flag string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", "test", flag, "-run=^TestRenameTeam$", "./internal/tasks")
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestRenameTeam") || !strings.Contains(string(out), "describe me") || strings.Contains(string(out), "build failed") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	run("not in the list yet", overlay(t, over))
	if os.Getenv("SYNOPS_PROVE") == "" {
		return // the Go tool links a test anew each time
	}
	catalog, err := os.ReadFile(filepath.Join(root, "internal/tasks/catalog.go"))
	if err != nil {
		t.Fatal(err)
	}
	const first = "return []entry{\n"
	if !strings.Contains(string(catalog), first) {
		t.Fatal("the list in catalog.go is written otherwise")
	}
	over["internal/tasks/catalog.go"] = strings.Replace(string(catalog), first, first+entry+",\n", 1)
	run("in the list", overlay(t, over))
}

func TestNewTaskTakesNamesOnly(t *testing.T) {
	for _, name := range []ops.TaskName{"", "RenameTeam", "rename_team", "-x", "x-", "a--b", "1st", "../x", "rename", ops.TaskName(strings.Repeat("x", 41))} {
		if _, _, err := render.NewTask(name); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("%q: %v, want Invalid", name, err)
		}
	}
	files, _, err := render.NewTask("move-windows")
	if err != nil || files[0].Path != "internal/tasks/move_windows_task.go" {
		t.Errorf("a name that Go would take for a system: %+v, %v", files, err)
	}
	if files, _, err = render.NewTask("run-test"); err != nil || files[0].Path != "internal/tasks/run_test_task.go" {
		t.Errorf("a name that Go would take for a test: %+v, %v", files, err)
	}
}
