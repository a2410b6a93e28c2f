package render_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

// An input of GitHub's as a form declares it.
type formInput struct {
	Description string
	Type        string
	Default     any
	Required    bool
	Options     []string
}

type form struct {
	Name    string
	RunName string `yaml:"run-name"`
	On      struct {
		Dispatch struct{ Inputs yaml.MapSlice } `yaml:"workflow_dispatch"`
		Schedule []struct{ Cron string }
	}
	Jobs map[string]struct {
		Uses    string
		With    map[string]any
		Secrets map[string]string
	}
}

// inputs returns the form's inputs by name, and the names in order.
func (f *form) inputs(t *testing.T) (map[string]formInput, []string) {
	t.Helper()
	all := map[string]formInput{}
	var names []string
	for _, item := range f.On.Dispatch.Inputs {
		data, err := yaml.Marshal(item.Value)
		if err != nil {
			t.Fatal(err)
		}
		var in formInput
		if err := yaml.UnmarshalWithOptions(data, &in, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint(item.Key)
		all[name], names = in, append(names, name)
	}
	return all, names
}

func readForm(t *testing.T, text string) *form {
	t.Helper()
	var f form
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return &f
}

// everyKind is a task with an input of every kind.
func everyKind() ops.Task {
	return ops.Task{Name: "every-kind", Title: "T", Summary: "S.", Details: "D.", Undo: "By hand.", Class: ops.Changes, Lane: ops.LaneAdmin, Inputs: []ops.Input{
		{Name: "text", Kind: ops.KindText, Help: `Quotes " and ', a # and: a colon, {braces} and \n.`, Rule: "Three letters.", Example: "a:b"},
		{Name: "shown", Kind: ops.KindText, Help: "H.", Default: "yes"},
		{Name: "number", Kind: ops.KindInteger, Help: "H.", Least: 1, Most: 9, Default: "5"},
		{Name: "ticked", Kind: ops.KindBoolean, Help: "H.", Default: "false"},
		{Name: "flag", Kind: ops.KindBoolean, Help: "H."},
		{Name: "color", Kind: ops.KindChoice, Help: "H.", Choices: []string{"red", "on"}},
		{Name: "shade", Kind: ops.KindChoice, Help: "H.", Choices: []string{"dark", "light"}, Default: "light"},
		{Name: "users", Kind: ops.KindUserID, Help: "H.", List: true, Optional: true},
		{Name: "object", Kind: ops.KindJSON, Help: "H.", Optional: true, Example: `{"a":1}`},
		{Name: "email", Kind: ops.KindEmail, Help: "H.", Optional: true, Personal: true},
	}}
}

func TestFormOfEveryKind(t *testing.T) {
	s, env := sample(everyKind())
	f := readForm(t, dashboard(t, s, env)[".github/workflows/every-kind.yml"])
	got, names := f.inputs(t)
	if d := cmp.Diff([]string{"text", "shown", "number", "ticked", "flag", "color", "shade", "users", "object", "email", "mode", "plan", "confirm", "reason", "watch"}, names); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]formInput{
		"text":   {Description: `Quotes " and ', a # and: a colon, {braces} and \n. Three letters. For example a:b`, Type: "string", Required: true},
		"shown":  {Description: "H.", Type: "string", Default: "yes"},
		"number": {Description: "H. From 1 to 9.", Type: "number", Default: uint64(5)},
		"ticked": {Description: "H.", Type: "boolean", Default: false},
		"flag":   {Description: "H.", Type: "choice", Default: "(choose)", Required: true, Options: []string{"(choose)", "true", "false"}},
		"color":  {Description: "H.", Type: "choice", Default: "(choose)", Required: true, Options: []string{"(choose)", "red", "on"}},
		"shade":  {Description: "H.", Type: "choice", Default: "light", Options: []string{"dark", "light"}},
		"users":  {Description: "H. Separated by commas or blanks.", Type: "string"},
		"object": {Description: `H. A JSON object. For example {"a":1}`, Type: "string"},
		"email":  {Description: "H. Personal: GitHub shows it to whoever may read this repository.", Type: "string"},
		"mode":   {Description: "plan says what would change in DEV and changes nothing; perform does it.", Type: "choice", Default: "plan", Options: []string{"plan", "perform"}},
		"watch":  {Description: "all follows the run to its end; start leaves once it has begun. The run goes on either way.", Type: "choice", Default: "all", Options: []string{"all", "start"}},
	} {
		if d := cmp.Diff(want, got[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if got["reason"].Required {
		t.Error("a reason is required though the environment does not")
	}
	env.RequireReason = true
	got, _ = readForm(t, dashboard(t, s, env)[".github/workflows/every-kind.yml"]).inputs(t)
	if !got["reason"].Required {
		t.Error("no reason is required though the environment does")
	}
}

func TestFormSaysWhatIsDestroyed(t *testing.T) {
	task := everyKind()
	task.Class, task.Undo = ops.Destroys, "Cannot be undone."
	s, env := sample(task)
	got, _ := readForm(t, dashboard(t, s, env)[".github/workflows/every-kind.yml"]).inputs(t)
	if !strings.HasSuffix(got["mode"].Description, "Cannot be undone.") {
		t.Errorf("mode says %q", got["mode"].Description)
	}
}

func TestFormThatReadsHasNoMode(t *testing.T) {
	s, env := sample(ops.Task{Name: "look", Class: ops.Reads, Summary: "S."})
	f := readForm(t, dashboard(t, s, env)[".github/workflows/look.yml"])
	if _, names := f.inputs(t); !cmp.Equal(names, []string{"reason", "watch"}) {
		t.Errorf("its fields are %q", names)
	}
	if f.RunName != "DEV look by ${{ github.actor }}" {
		t.Errorf("its runs are called %q", f.RunName)
	}
}

// What a form hands over is read back as it was meant, for every task: the defaults
// that GitHub fills in and the examples that its help gives.
func TestFormsOfTheCatalogAreReadBack(t *testing.T) {
	s, _ := committed(t)
	for i := range s.Environments {
		env := &s.Environments[i]
		if env.Repository == "" {
			continue
		}
		flows := dashboard(t, s, env)
		for j := range s.Catalog {
			task := &s.Catalog[j]
			text, offered := flows[".github/workflows/"+string(task.Name)+".yml"]
			if offered != task.Offered(env.Name) {
				t.Errorf("%s: the form of %s is there: %t", env.Name, task.Name, offered)
			}
			if offered {
				readBack(t, env, task, readForm(t, text))
			}
		}
	}
}

func readBack(t *testing.T, env *ops.Environment, task *ops.Task, f *form) {
	t.Helper()
	inputs, names := f.inputs(t)
	if len(names) > 25 {
		t.Errorf("%s: %d fields", task.Name, len(names))
	}
	filled := map[string]any{}
	for _, name := range names {
		filled[name] = inputs[name].Default
		if in := task.Input(name); in != nil && inputs[name].Required {
			filled[name] = in.Example
		}
	}
	filled["reason"] = "why"
	data, err := json.Marshal(filled)
	if err != nil {
		t.Fatal(err)
	}
	got, err := task.ReadForm(string(data))
	if err != nil {
		t.Fatalf("%s: %v\n%s", task.Name, err, data)
	}
	if _, err := task.Parse(got.Inputs); err != nil {
		t.Errorf("%s: %v\n%s", task.Name, err, data)
	}
	mode := ops.ModePlan
	if task.Class == ops.Reads {
		mode = ops.ModePerform
	}
	if got.Mode != mode || got.Watch != ops.WatchAll || got.Reason != "why" || got.Confirm != "" || got.Plan != "" {
		t.Errorf("%s: a form left as it is asks for %+v", task.Name, got)
	}
	if !strings.HasPrefix(f.RunName, strings.ToUpper(string(env.Name))+" "+string(task.Name)+" ") {
		t.Errorf("%s: its runs are called %q", task.Name, f.RunName)
	}
}

// What a person types must not stand in a run's name, nor be evaluated: of a form it
// holds the mode, as one of two words.
func TestRunNamesHoldNothingTyped(t *testing.T) {
	s, _ := committed(t)
	expressions := []string{"${{ inputs.mode == 'perform' && 'perform' || 'plan' }}", "${{ github.actor }}"}
	for i := range s.Environments {
		env := &s.Environments[i]
		if env.Repository == "" {
			continue
		}
		for name, text := range dashboard(t, s, env) {
			if !strings.HasSuffix(name, ".yml") {
				continue
			}
			f := readForm(t, text)
			rest := f.RunName
			for _, e := range expressions {
				rest = strings.ReplaceAll(rest, e, "")
			}
			if strings.Contains(rest, "${{") || !strings.HasPrefix(f.RunName, strings.ToUpper(string(env.Name))+" ") {
				t.Errorf("%s of %s: runs are called %q", name, env.Name, f.RunName)
			}
			if len(f.On.Schedule) == 0 && !strings.HasSuffix(f.RunName, " by ${{ github.actor }}") {
				t.Errorf("%s of %s: %q does not name who asked", name, env.Name, f.RunName)
			}
		}
	}
}

func TestFormOfMoreThanFits(t *testing.T) {
	task := ops.Task{Name: "many", Summary: "S.", Class: ops.Changes}
	for i := range 30 {
		task.Inputs = append(task.Inputs, ops.Input{Name: fmt.Sprintf("i%02d", i), Kind: ops.KindText, Help: "H.", Optional: i < 20, Example: "e"})
	}
	s, env := sample(task)
	inputs, names := readForm(t, dashboard(t, s, env)[".github/workflows/many.yml"]).inputs(t)
	if len(names) != 25 || inputs["i29"].Type == "" || inputs["i19"].Type != "" {
		t.Errorf("the fields are %q", names)
	}
	if want := `i19), such as {"i09":"e"}`; !strings.HasSuffix(inputs["more"].Description, want) {
		t.Errorf("more says %q, want %q at its end", inputs["more"].Description, want)
	}
}

// givenTo are inputs that everyKind takes.
func givenTo(text string) map[string]string {
	return map[string]string{"text": text, "flag": "true", "color": "red"}
}

func TestWhatCannotBeAFormIsInvalid(t *testing.T) {
	with := func(change func(*ops.Task)) ops.Task {
		task := everyKind()
		change(&task)
		return task
	}
	for _, c := range []struct {
		name string
		task ops.Task
		says string
	}{
		{"an expression", with(func(t *ops.Task) { t.Inputs[0].Help = "${{ secrets.GH_PAT }}" }), "GitHub evaluates"},
		{"an expression as a default", with(func(t *ops.Task) { t.Inputs[1].Default = "${{ github.token }}" }), "GitHub evaluates"},
		{"an expression as a choice", with(func(t *ops.Task) { t.Inputs[5].Choices = []string{"${{ 1 }}"} }), "GitHub evaluates"},
		{"a line end in a comment", with(func(t *ops.Task) { t.Summary = "S.\njobs: {}" }), "line end"},
		{"a control character", with(func(t *ops.Task) { t.Inputs[0].Help = "\x1b[2J" }), "control character"},
		{"a long help", with(func(t *ops.Task) { t.Inputs[0].Help = strings.Repeat("x", 500) }), "more than 400"},
		{"long defaults", with(func(t *ops.Task) { t.Inputs[1].Default = strings.Repeat("x", 70_000) }), "65535"},
		{"a name of core's", with(func(t *ops.Task) { t.Name = "deploy" }), "deploy.yml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, env := sample(c.task)
			_, err := s.Dashboard(env)
			if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want Invalid and %q", err, c.says)
			}
		})
	}
	for _, lack := range []func(*render.Source){func(s *render.Source) { s.Core = "" }, func(s *render.Source) { s.Release = "" }, func(s *render.Source) { s.CodeOwners = "" }} {
		s, env := sample()
		lack(s)
		if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid {
			t.Errorf("%+v is rendered: %v", s, err)
		}
	}
}
