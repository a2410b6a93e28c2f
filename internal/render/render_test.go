package render_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// root is the top of the repository.
const root = "../.."

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

// Nothing of one environment may stand in another's dashboard: a value copied by
// mistake would be the way from one to the other.
func TestDashboardsNameNoOtherEnvironment(t *testing.T) {
	s, _ := committed(t)
	for i := range s.Environments {
		env := &s.Environments[i]
		if env.Repository == "" {
			continue
		}
		files, err := s.Dashboard(env)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, word := range foreign(s, env) {
				if loc := word.FindStringIndex(string(f.Data)); loc != nil {
					t.Errorf("%s of %s holds %q", f.Path, env.Repository, around(f.Data, loc))
				}
				if word.MatchString(f.Path) {
					t.Errorf("%s of %s is named so", f.Path, env.Repository)
				}
			}
			own := regexp.MustCompile(`(?i)\b` + string(env.Name) + `\b`)
			if strings.HasSuffix(f.Path, ".yml") && !own.Match(f.Data) {
				t.Errorf("%s of %s does not say which environment it is for", f.Path, env.Repository)
			}
		}
	}
}

// foreign are what other environments than env have of their own.
func foreign(s *render.Source, env *ops.Environment) []*regexp.Regexp {
	var words []*regexp.Regexp
	add := func(text, own string) {
		if text != "" && text != own {
			words = append(words, regexp.MustCompile(`(?i)(^|[^a-z0-9])`+regexp.QuoteMeta(text)+`([^a-z0-9]|$)`))
		}
	}
	for _, other := range s.Environments {
		if other.Name == env.Name {
			continue
		}
		// The name alone, not as a part of another: a host of dev may be called repo-prod.
		words = append(words, regexp.MustCompile(`(?i)(^|[^a-z0-9-])`+regexp.QuoteMeta(string(other.Name))+`([^a-z0-9-]|$)`))
		add(other.Repository, "")
		add(path.Base(other.Repository), ".")
		add(other.Account, "")
		add(other.Region, env.Region)
		add(other.Stack, env.Stack)
		add(other.VPC, "")
		for _, h := range other.Hosts {
			name := strings.TrimPrefix(strings.TrimPrefix(h, "https://"), "http://")
			add(name, "")
			if _, domain, deep := strings.Cut(name, "."); deep && strings.Count(domain, ".") > 1 {
				add(domain, "") // prod.sagebase.org: whatever host of it
			}
		}
		for _, p := range other.Instances {
			add(p, "")
		}
	}
	return words
}

func around(text []byte, loc []int) string {
	return string(text[max(0, loc[0]-40):min(len(text), loc[1]+40)])
}

// TestForeignWordsAreFound keeps the test above able to fail.
func TestForeignWordsAreFound(t *testing.T) {
	s, _ := committed(t)
	dev := &s.Environments[slices.IndexFunc(s.Environments, func(e ops.Environment) bool { return e.Name == "dev" })]
	for _, text := range []string{"in prod.", "PROD", "synapse-ops-prod", "222222222222", "repo-prod.prod.sagebase.org", "https://other.prod.sagebase.org/repo", "environment: prod", "secrets.prod"} {
		if !slices.ContainsFunc(foreign(s, dev), func(r *regexp.Regexp) bool { return r.MatchString(text) }) {
			t.Errorf("%q would not be found in dev's dashboard", text)
		}
	}
	for _, text := range []string{"product", "reproduce", "us-east-1", "dev", "repo-prod:", "sagebase.org"} {
		if slices.ContainsFunc(foreign(s, dev), func(r *regexp.Regexp) bool { return r.MatchString(text) }) {
			t.Errorf("%q is not another environment's", text)
		}
	}
}

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

func TestScheduleIsRenderedOnceEnabled(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Inputs: givenTo("secret-value"), Confirm: "3 things", Reason: "Weekly."}
	s, env := sample(task)
	const name = ".github/workflows/scheduled-every-kind.yml"
	off := dashboard(t, s, env)
	if _, there := off[name]; there || !strings.Contains(off["README.md"], "| every-kind | `17 9 * * 1` UTC | off | Weekly. |") {
		t.Error("a schedule that nobody enabled is there, or the README does not say that it is off")
	}
	for file, text := range off {
		if strings.HasSuffix(file, ".yml") && strings.Contains(text, "cron") {
			t.Errorf("%s starts by itself", file)
		}
	}
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	on := dashboard(t, s, env)
	f := readForm(t, on[name])
	job := f.Jobs["run"]
	if d := cmp.Diff(map[string]any{"environment": "dev", "task": "every-kind", "schedule": true}, job.With); d != "" {
		t.Error(d)
	}
	if len(f.On.Schedule) != 1 || f.On.Schedule[0].Cron != "17 9 * * 1" || f.On.Dispatch.Inputs != nil || f.RunName != "DEV every-kind by its schedule" {
		t.Errorf("%+v", f)
	}
	// What it does is the catalog's to say, not a file's in the ops repository.
	if strings.Contains(on[name], "secret-value") || strings.Contains(on[name], "3 things") {
		t.Errorf("inputs or answer stand in the file:\n%s", on[name])
	}
	if !strings.Contains(on["README.md"], "| every-kind | `17 9 * * 1` UTC | **on** | Weekly. |") {
		t.Error("the README does not say that it is on")
	}
}

// What an environment pins is looked up when the schedule starts: no file of a
// dashboard holds it, its own or another's; and one that lacks it is not rendered.
func TestScheduleWithConstantsIsRendered(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Inputs: givenTo("{nightly-text}"), Reason: "Weekly.",
		Constants: []ops.Input{{Name: "nightly-text", Kind: ops.KindText, Example: "abc", Help: "What it says."}}}
	s, env := sample(task)
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), `constant "nightly-text" of every-kind: it is required`) {
		t.Errorf("without it: %v", err)
	}
	env.Constants = map[string]map[string]string{"every-kind": {"nightly-text": "pinnedhere"}}
	files := dashboard(t, s, env)
	if _, there := files[".github/workflows/scheduled-every-kind.yml"]; !there {
		t.Error("the schedule is not there")
	}
	for name, text := range files {
		if strings.Contains(text, "pinnedhere") {
			t.Errorf("%s holds the constant", name)
		}
	}
}

func TestScheduleInAZoneIsRenderedInUTC(t *testing.T) {
	task := everyKind()
	task.Schedule = &ops.Schedule{Cron: "0 16-17 * * 6", Zone: "America/Los_Angeles", Inputs: givenTo("abc"), Reason: "Weekly."}
	s, env := sample(task)
	env.Schedules = map[ops.TaskName]bool{"every-kind": true}
	on := dashboard(t, s, env)
	f := readForm(t, on[".github/workflows/scheduled-every-kind.yml"])
	var crons []string
	for _, c := range f.On.Schedule {
		crons = append(crons, c.Cron)
	}
	if d := cmp.Diff([]string{"0 0-1 * * 0", "0 23 * * 6"}, crons); d != "" {
		t.Error(d)
	}
	if !strings.Contains(on["README.md"], "| every-kind | `0 16-17 * * 6` America/Los_Angeles | **on** |") {
		t.Error("the README does not say when, on which clocks")
	}
	task.Schedule.Zone = "Mars/Olympus"
	if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid {
		t.Errorf("in no zone: %v", err)
	}
}

func TestScheduleThatIsNotThereIsInvalid(t *testing.T) {
	scheduled := everyKind()
	scheduled.Schedule = &ops.Schedule{Cron: "17 9 * * 1", Reason: "Weekly."}
	scheduled.Name, scheduled.Environments = "elsewhere", []ops.EnvironmentName{"other"}
	s, env := sample(everyKind(), scheduled)
	for _, name := range []ops.TaskName{"every-kind", "elsewhere", "nothing"} {
		env.Schedules = map[ops.TaskName]bool{name: true}
		if _, err := s.Dashboard(env); ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("%s: %v", name, err)
		}
		env.Schedules[name] = false
		if _, err := s.Dashboard(env); err != nil {
			t.Errorf("%s, off: %v", name, err)
		}
	}
}

func TestTasksOfOtherEnvironmentsAndLanesAreNotOffered(t *testing.T) {
	s, env := sample(ops.Task{Name: "here", Summary: "S.", Lane: ops.LaneAdmin}, ops.Task{Name: "elsewhere", Summary: "S.", Lane: ops.LaneAdmin, Environments: []ops.EnvironmentName{"other"}},
		ops.Task{Name: "long", Summary: "S.", Lane: ops.LaneMigrate})
	env.Lanes = []ops.Lane{ops.LanePlan, ops.LaneAdmin}
	files := dashboard(t, s, env)
	for name, want := range map[string]bool{"here": true, "elsewhere": false, "long": false} {
		if _, there := files[".github/workflows/"+name+".yml"]; there != want {
			t.Errorf("%s is there: %t", name, there)
		}
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
