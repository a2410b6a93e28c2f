package render_test

import (
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// committed is what the repository is rendered from.
func committed(t *testing.T) (*render.Source, *environments.File) {
	t.Helper()
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return &render.Source{Catalog: tasks.Catalog(), Environments: f.Environments, Core: f.Owner + "/" + f.Core, Release: f.Release, CodeOwners: f.CodeOwners}, f
}

func TestWhatIsCommittedIsWhatIsRendered(t *testing.T) {
	s, _ := committed(t)
	files, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	changes, err := render.Compare(os.DirFS(root), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		t.Errorf("%s is stale (%s)", c.Path, c.Kind)
	}
	if len(changes) > 0 {
		t.Error("render it anew and commit: go run ./cmd/synops render")
	}
}

func TestCompareTellsNewChangedAndGone(t *testing.T) {
	have := fstest.MapFS{
		"dashboards/x/README.md": {Data: []byte("a")}, "docs/tasks/old.md": {Data: []byte("b")}, "docs/other.md": {Data: []byte("c")}, "schema/tasks.json": {Data: []byte("d")},
	}
	got, err := render.Compare(have, []render.File{{Path: "dashboards/x/README.md", Data: []byte("a")}, {Path: "docs/tasks/new.md"}, {Path: "schema/tasks.json", Data: []byte("D")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []render.Change{{Path: "docs/tasks/new.md", Kind: "new"}, {Path: "docs/tasks/old.md", Kind: "gone"}, {Path: "schema/tasks.json", Kind: "changed"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := render.Compare(fstest.MapFS{}, nil); err != nil || len(got) != 0 {
		t.Errorf("an empty checkout: %v, %v", got, err)
	}
}

func TestManifestListsTheOtherFiles(t *testing.T) {
	s, env := sample(everyKind())
	files := dashboard(t, s, env)
	var m render.Manifest
	if err := json.Unmarshal([]byte(files[render.ManifestPath]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Environment != "dev" || m.Core != "o/core" || m.Release != "v1.2.3" || len(m.Files) != len(files)-1 {
		t.Errorf("%+v, of %d files", m, len(files))
	}
	for _, f := range m.Files {
		if _, there := files[f]; !there || f == render.ManifestPath {
			t.Errorf("it lists %s", f)
		}
	}
}
