package render

import (
	"fmt"
	"go/format"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var taskName = ops.Pattern(`^[a-z][a-z0-9]*(?:-[a-z0-9]+){1,7}$`)

// NewTask renders a task to be filled in and its test, and the entry for the list in
// catalog.go. Both compile, and the test fails until everything is described. The
// error is Invalid: the name is no task's.
func NewTask(name ops.TaskName) (files []File, entry string, err error) {
	if !taskName().MatchString(string(name)) || len(name) > 40 {
		return nil, "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is no name for a task.", ops.Quote(string(name))), Hint: "A name is a verb and what it is about, in lower case with a hyphen between words, at most 40 characters: rename-team."}
	}
	words := strings.Split(string(name), "-")
	exported := ""
	for _, w := range words {
		exported += strings.ToUpper(w[:1]) + w[1:]
	}
	data := struct{ Name, Identifier, Exported string }{string(name), strings.ToLower(exported[:1]) + exported[1:], exported}
	for _, f := range []struct{ template, suffix string }{{"task.go.tmpl", ".go"}, {"task_test.go.tmpl", "_test.go"}} {
		text, err := execute(f.template, data)
		if err != nil {
			return nil, "", err
		}
		if text, err = format.Source(text); err != nil {
			return nil, "", fmt.Errorf("rendering %s: %w", f.template, err)
		}
		files = append(files, File{"internal/tasks/" + fileStem(words) + f.suffix, text})
	}
	return files, fmt.Sprintf("{%sTask, %s}", data.Identifier, data.Identifier), nil
}

// fileStem is a file's name without its end. A last word such as "linux" or "test"
// would have Go leave the file out.
func fileStem(words []string) string {
	stem := strings.Join(words, "_")
	last := words[len(words)-1]
	if last == "test" || slices.Contains(constrained, last) {
		stem += "_task"
	}
	return stem
}

// constrained are the words at the end of a file's name that Go takes for a system
// or an architecture.
var constrained = strings.Fields(`aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows
	386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm`)
