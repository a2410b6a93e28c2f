package render

import (
	"path"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// page is what the README of an ops repository tells.
type page struct {
	*Source
	Env    *ops.Environment
	Name   string // of the repository, without its owner
	Mark   string
	Groups []group
	// Schedules are the tasks that declare one, enabled here or not.
	Schedules []schedule
	Callers   []*workflow
}

// A group is the tasks of one class.
type group struct {
	Title string
	Tasks []taskRow
}

type taskRow struct{ Name, File, Summary string }

type schedule struct {
	Task, When, Reason string
	On                 bool
}

func (s *Source) readme(env *ops.Environment, flows []*workflow) (File, error) {
	p := page{Source: s, Env: env, Name: path.Base(env.Repository), Mark: mark(env.Name)}
	for _, g := range []struct {
		class ops.Class
		title string
	}{{ops.Reads, "Tasks that only read"}, {ops.Changes, "Tasks that change"}, {ops.Destroys, "Tasks that destroy"}} {
		one := group{Title: g.title}
		for _, w := range flows {
			if w.task != nil && w.task.Class == g.class {
				one.Tasks = append(one.Tasks, taskRow{string(w.task.Name), w.File, w.task.Summary})
			}
		}
		if len(one.Tasks) > 0 {
			p.Groups = append(p.Groups, one)
		}
	}
	for _, t := range s.offered(env) {
		if t.Schedule != nil {
			p.Schedules = append(p.Schedules, schedule{string(t.Name), t.Schedule.When(), t.Schedule.Reason, t.Scheduled(env)})
		}
	}
	for _, w := range flows {
		if strings.HasPrefix(w.Name, aboutRuns) || strings.HasPrefix(w.Name, aboutAccount) {
			p.Callers = append(p.Callers, w)
		}
	}
	data, err := execute("readme.md.tmpl", p)
	return File{"README.md", data}, err
}

// Page is the address of a task's page at the release.
func (p page) Page(name string) string {
	return "https://github.com/" + p.Core + "/blob/" + p.Release + "/docs/tasks/" + name + ".md"
}

// Doc is the address of a document of core at the release.
func (p page) Doc(name string) string {
	return "https://github.com/" + p.Core + "/blob/" + p.Release + "/docs/" + name
}
