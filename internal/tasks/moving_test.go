package tasks_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// TestMovingFromScripts: the guide names tasks that there are, with inputs that they
// have.
func TestMovingFromScripts(t *testing.T) {
	text, err := os.ReadFile("../../docs/moving-from-scripts.md")
	if err != nil {
		t.Fatal(err)
	}
	script, task, input := regexp.MustCompile(`^\| .[a-z_0-9]+\.(?:sh|yml)`), regexp.MustCompile("^ `([a-z0-9-]+)` $"), regexp.MustCompile("→ `([a-z0-9-]+)`")
	n := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if !script.MatchString(line) || len(cells) < 5 {
			continue
		}
		m := task.FindStringSubmatch(cells[2])
		if m == nil {
			continue
		}
		found, err := tasks.Catalog().Task(ops.TaskName(m[1]))
		if err != nil {
			t.Errorf("%s%v", line, err)
			continue
		}
		n++
		for _, in := range input.FindAllStringSubmatch(cells[3], -1) {
			if found.Input(in[1]) == nil {
				t.Errorf("%s has no input %s", found.Name, in[1])
			}
		}
	}
	if n < 14 {
		t.Errorf("only %d scripts were looked at", n)
	}
	for _, c := range tasks.Catalog() {
		if strings.HasSuffix(string(c.Name), "-scheduled") {
			t.Errorf("%s: a name that ends so is a scheduled run's", c.Name)
		}
	}
}
