package cli_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

// commands returns every command of the tree by its path, in order.
func commands() []*cobra.Command {
	root := cli.Root(cli.Process{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }})
	var all []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return all
}

// TestCommands: the commands are the interface. A new one, or one less, is meant.
func TestCommands(t *testing.T) {
	var got []string
	for _, c := range commands() {
		if c.Runnable() {
			got = append(got, c.CommandPath())
		}
	}
	want := []string{
		"synops", "synops actions", "synops actions cancel", "synops actions deploy", "synops actions doctor", "synops actions follow", "synops actions mask", "synops actions on-cancel",
		"synops actions plan", "synops actions resume", "synops actions secret-put", "synops actions settle", "synops actions start", "synops actions verdict", "synops bootstrap", "synops cancel", "synops completion", "synops dashboards", "synops dashboards sync", "synops demo", "synops deploy", "synops doctor", "synops follow", "synops freeze", "synops leases", "synops new", "synops new task", "synops plan", "synops render",
		"synops resume", "synops run", "synops runs", "synops sandbox", "synops secret", "synops secret put", "synops settle", "synops show", "synops tasks",
		"synops tasks show", "synops unfreeze", "synops verify", "synops version", "synops work",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryCommandExplainsItself: what it does, how it is used, every flag.
func TestEveryCommandExplainsItself(t *testing.T) {
	global := []string{"config", "engine", "environment", "format", "store"}
	for _, c := range commands() {
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short help is %q", path, c.Short)
		}
		if !c.Hidden && c.Long == "" && c.Example == "" {
			t.Errorf("%s has neither a long help nor an example", path)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if len(f.Usage) < 5 || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: its help is %q", path, f.Name, f.Usage)
			}
		})
		for _, name := range global {
			if c.Runnable() && c.InheritedFlags().Lookup(name) == nil && c.PersistentFlags().Lookup(name) == nil {
				t.Errorf("%s lacks --%s", path, name)
			}
		}
		for _, line := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of its help is wider than 100: %s", path, line)
			}
		}
	}
}

// TestExamplesParse: what help shows can be typed.
func TestExamplesParse(t *testing.T) {
	r := newRig(t)
	line := regexp.MustCompile(`(?m)^  synops (.*)$`)
	for _, c := range commands() {
		for _, m := range line.FindAllStringSubmatch(c.Example, -1) {
			args := strings.Fields(strings.TrimSuffix(m[1], " &"))
			if args[0] == "sandbox" || strings.Contains(m[1], "@") || strings.Contains(m[1], "2026") || strings.Contains(m[1], "'") {
				continue
			}
			if slices.Contains([]string{"bootstrap", "deploy", "secret", "doctor", "dashboards", "new"}, args[0]) {
				continue // they want an account or a checkout: scripts run them in one
			}
			if args[0] == "run" {
				args = append(args, "--dry-run")
			}
			for i, a := range args {
				if a == "sandbox" {
					args[i] = "dev"
				}
			}
			if got := r.synops(nil, args...); got.code != 0 {
				t.Errorf("%s: exit code %d\n%s", m[1], got.code, got.stderr)
			}
		}
	}
}

// TestVariablesTopicIsComplete reads from the source which process variables are
// looked up, and wants each in "synops help variables".
func TestVariablesTopicIsComplete(t *testing.T) {
	topic := help(t, "variables")
	names := slices.Clone(cli.HandedOn)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			names = append(names, variablesIn(t, file)...)
		}
	}
	if len(names) < 25 {
		t.Fatalf("only %d variables were found in the source: %q", len(names), names)
	}
	for _, name := range append(names, "SYNAPSE_ADMIN_PAT") {
		if !regexp.MustCompile(`(^|[^A-Za-z_])` + name + `([^A-Za-z_]|$)`).MatchString(topic) {
			t.Errorf("help variables does not tell of %s", name)
		}
	}
}

// variablesIn lists the process variables that a source file looks up by name.
func variablesIn(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Getenv" || f.Sel.Name == "home") {
				names = append(names, literal(n.Args[0])...)
			}
		case *ast.ValueSpec:
			if strings.HasPrefix(n.Names[0].Name, "var") && len(n.Values) > 0 {
				names = append(names, literal(n.Values[0])...)
			}
		}
		return true
	})
	return names
}

func literal(e ast.Expr) []string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		return []string{strings.Trim(lit.Value, `"`)}
	}
	return nil
}

// help returns what help prints of a command or topic.
func help(t *testing.T, path ...string) string {
	t.Helper()
	var out bytes.Buffer
	code := cli.Main(t.Context(), append([]string{"help"}, path...), cli.Process{Out: &out, Err: &out, Getenv: func(string) string { return "" }})
	if code != 0 {
		t.Fatalf("help %v: exit code %d\n%s", path, code, out.String())
	}
	return out.String()
}

// TestHelp compares what is printed with what was reviewed.
func TestHelp(t *testing.T) {
	for _, path := range [][]string{{}, {"run"}, {"resume"}, {"cancel"}, {"runs"}, {"sandbox"}, {"exit-codes"}, {"variables"}} {
		name := "help_" + strings.Join(append([]string{"synops"}, path...), "_") + ".txt"
		t.Run(name, func(t *testing.T) {
			got := help(t, path...)
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
