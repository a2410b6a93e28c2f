// Package render turns the catalog and the environments file into what is read and
// pressed: both ops repositories' dashboards, a page for each task, and the schema
// of their inputs. The same input gives the same bytes.
//
// What is not here: files on disk, git, and core's own workflows, which are written
// by hand.
package render

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"text/template"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Source is what is rendered from.
type Source struct {
	Catalog      ops.Catalog
	Environments []ops.Environment // those without a repository have no dashboard
	Core         string            // owner/name of the repository with the reusable workflows
	Release      string            // its tag that dashboards call
	CodeOwners   string            // who reviews what changes a dashboard
}

// A File is one rendered file; its path has slashes.
type File struct {
	Path string
	Data []byte
}

// Folders are the places that rendered files alone are in: what is there and was
// not rendered is stale.
func Folders() []string { return []string{"dashboards", "docs/tasks", "schema"} }

// All renders everything that the core repository keeps. Paths are from its root,
// sorted. The error is Invalid: the catalog or the environments file says
// something that no form or file can.
func (s *Source) All() ([]File, error) {
	var all []File
	for i := range s.Environments {
		env := &s.Environments[i]
		if env.Repository == "" {
			continue
		}
		files, err := s.Dashboard(env)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			all = append(all, File{path.Join(Folder(env.Repository), f.Path), f.Data})
		}
	}
	docs, err := s.docs()
	if err != nil {
		return nil, err
	}
	schema, err := s.schema()
	if err != nil {
		return nil, err
	}
	return sorted(append(append(all, docs...), schema)), nil
}

func sorted(files []File) []File {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// A Manifest is dashboard.json of an ops repository: whose dashboard it is, and
// which of the repository's files were rendered.
type Manifest struct {
	Environment ops.EnvironmentName `json:"environment"`
	Core        string              `json:"core"`
	Release     string              `json:"release"`
	Files       []string            `json:"files"` // sorted; without the manifest itself
}

// ManifestPath is where an ops repository keeps its manifest.
const ManifestPath = "dashboard.json"

// Dashboard renders what the environment's ops repository holds. Paths are from its
// root, sorted.
func (s *Source) Dashboard(env *ops.Environment) ([]File, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	flows, err := s.workflows(env)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, w := range flows {
		data, err := execute("workflow.yml.tmpl", w)
		if err != nil {
			return nil, err
		}
		files = append(files, File{".github/workflows/" + w.File, data})
	}
	readme, err := s.readme(env, flows)
	if err != nil {
		return nil, err
	}
	files = append(files, readme, File{".github/CODEOWNERS", []byte("# Rendered by synops render; do not edit.\n* " + s.CodeOwners + "\n")})
	m := Manifest{Environment: env.Name, Core: s.Core, Release: s.Release}
	for _, f := range sorted(files) {
		m.Files = append(m.Files, f.Path)
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return sorted(append(files, File{ManifestPath, append(data, '\n')})), nil
}

// complete tells what a dashboard cannot be rendered without.
func (s *Source) complete() error {
	for _, need := range []struct{ key, value string }{{"owner and core", s.Core}, {"release", s.Release}, {"code_owners", s.CodeOwners}} {
		if need.value == "" {
			return &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The environments file does not tell github: %s, which dashboards are rendered from.", need.key),
				Hint: "Add it; the built-in file shows how."}
		}
	}
	return nil
}

// offered are the tasks on offer in an environment, in the catalog's order.
func (s *Source) offered(env *ops.Environment) []*ops.Task {
	var tasks []*ops.Task
	for i := range s.Catalog {
		t := &s.Catalog[i]
		if t.Offered(env.Name) && (len(env.Lanes) == 0 || slices.Contains(env.Lanes, t.Lane)) {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

//go:embed templates
var templates embed.FS

// parsed is not parsed at the start of a process: few of them render.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"quoted": quoted, "cell": cell,
	}).ParseFS(must(fs.Sub(templates, "templates")), "*.tmpl"))
})

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err)
	}
	return f
}

func execute(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := parsed().ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// quoted writes a scalar so that YAML reads it as that text whatever is in it. Every
// JSON string is one.
func quoted(s string) string {
	b, err := ops.CanonicalJSON(s)
	if err != nil {
		return `""` // a string can always be encoded
	}
	return string(b)
}

// cell writes text as a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

func mark(env ops.EnvironmentName) string { return strings.ToUpper(string(env)) }

func countOf(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
