package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// TestSetupPage gives the commands of docs/setup.md in their order on an empty
// emulated account, each as who the page says: what it promises is so.
func TestSetupPage(t *testing.T) {
	unraced(t)
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "setup.md"))
	if err != nil {
		t.Fatal(err)
	}
	binary, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	l := newLived(t)
	files := map[string]string{"admin-token.txt": l.dev.Token, "gh-token.txt": rehearsal.GitHubToken, "source.txt": "service:source-secret", "destination.txt": "service:destination-secret"}
	given := 0
	for _, m := range regexp.MustCompile(`(?m)^\$ synops (.*)$`).FindAllStringSubmatch(string(page), -1) {
		line, file, _ := strings.Cut(m[1], " <")
		args := strings.Fields(line)
		var who rehearsal.Actor
		switch args[0] {
		case "bootstrap": // where nobody can be asked it wants a yes
			who, args = l.stage.Administrator(l.dev), append(args, "--yes")
		case "secret":
			who = l.stage.Administrator(l.dev)
		case "deploy":
			who = l.stage.Deployment(l.dev)
			if args[len(args)-1] != "--check" {
				args = append(args, "--binary", binary)
			}
		case "doctor":
			who = l.stage.Job(l.dev, rehearsal.Job{Workflow: "doctor.yml"})
		case "plan":
			who = l.job(false)
		default:
			t.Fatalf("who gives %q?", m[0])
		}
		if value, ok := files[file]; file != "" && !ok {
			t.Fatalf("what is in %s?", file)
		} else if _, err := l.story.DoWith(t.Context(), who, file, value+"\n", 0, args...); err != nil {
			t.Fatal(err)
		}
		given++
	}
	if given < 8 {
		t.Errorf("the page has %d commands", given)
	}
}
