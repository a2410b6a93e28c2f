package render_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

func TestSchemaDescribesTheCatalog(t *testing.T) {
	s, _ := committed(t)
	files, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f render.File) bool { return f.Path == render.SchemaPath })
	var schema struct {
		OneOf []any `json:"oneOf"`
		Defs  map[string]struct {
			Properties map[string]struct {
				Pattern string
				Enum    []string
			}
			Required   []string
			Additional *bool `json:"additionalProperties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(files[i].Data, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.OneOf) != len(s.Catalog) || len(schema.Defs) != len(s.Catalog) {
		t.Errorf("%d and %d entries for %d tasks", len(schema.OneOf), len(schema.Defs), len(s.Catalog))
	}
	for _, task := range s.Catalog {
		def := schema.Defs[string(task.Name)]
		if len(def.Properties) != len(task.Inputs) || def.Additional == nil || *def.Additional {
			t.Errorf("%s: %d properties for %d inputs, or others are let in", task.Name, len(def.Properties), len(task.Inputs))
		}
		for _, in := range task.Inputs {
			p := def.Properties[in.Name]
			for _, value := range []string{in.Example, in.Default} {
				if value == "" {
					continue
				}
				pattern, err := regexp.Compile(p.Pattern)
				if err != nil || !pattern.MatchString(value) || len(p.Enum) > 0 && !slices.Contains(p.Enum, value) {
					t.Errorf("%s: %s does not take %q: pattern %s, enum %q, %v", task.Name, in.Name, value, p.Pattern, p.Enum, err)
				}
			}
			if must := !in.Optional && in.Default == ""; must != slices.Contains(def.Required, in.Name) {
				t.Errorf("%s: whether %s is required is said otherwise", task.Name, in.Name)
			}
			if in.Kind == ops.KindUserID && regexp.MustCompile(p.Pattern).MatchString("alice") {
				t.Errorf("%s: %s takes alice", task.Name, in.Name)
			}
		}
	}
}

func TestTaskPagesTellWhatThereIsToKnow(t *testing.T) {
	task := everyKind()
	task.Personal, task.Deciding, task.Environments = []string{"userName"}, []string{"etag"}, []ops.EnvironmentName{"prod"}
	task.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Inputs: givenTo("abc"), Confirm: "3 things", Reason: "Weekly."}
	s, _ := sample(task)
	files, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f render.File) bool { return f.Path == "docs/tasks/every-kind.md" })
	for _, want := range []string{"# every-kind: T\n", "S.", "D.", "## How to undo\n\nBy hand.", "| `color` | choice: one of `red`, `on` | must be given | H. |", "`etag`", "`userName`: kept as keyed hashes",
		"synops run every-kind text=a:b flag= color= -e prod", "`17 9 * * 1` UTC, with `color=red`, `flag=true`, `text=abc`, confirmed with `3 things`", "Personal: `email`.", "| offered in | `prod` |"} {
		if !strings.Contains(string(files[i].Data), want) {
			t.Errorf("the page lacks %q:\n%s", want, files[i].Data)
		}
	}
}
