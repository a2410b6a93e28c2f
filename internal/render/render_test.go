package render_test

import (
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

// root is the top of the repository.
const root = "../.."

// sample is a source of one environment, with the tasks given.
func sample(tasks ...ops.Task) (*render.Source, *ops.Environment) {
	s := &render.Source{Catalog: tasks, Core: "o/core", Release: "v1.2.3", CodeOwners: "@o/team",
		Environments: []ops.Environment{{Name: "dev", Repository: "o/ops-dev", Hosts: []string{"https://dev.example.org"}}}}
	return s, &s.Environments[0]
}

// dashboard renders the sample's dashboard by path.
func dashboard(t *testing.T, s *render.Source, env *ops.Environment) map[string]string {
	t.Helper()
	files, err := s.Dashboard(env)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		all[f.Path] = string(f.Data)
	}
	return all
}
