package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules that keep the tree a star: packages import the root, not each other.
// A role in AWS is as narrow as what its code can reach, so these guard least
// privilege as well as taste. They hold for the files that are built; tests may
// import what they need.

const module = "github.com/Sage-Bionetworks/synapse-ops-core"

// root stands for the root package in the table.
const root = "."

// A placement tells what of ours one package may import. An entry ending in "/..."
// stands for a folder and all below it.
type placement struct {
	pkg string
	may []string
	why string
}

// placements holds every package, sorted as a reader meets them. A package that is
// not here fails the test: whoever adds one decides first what it may reach.
var placements = []placement{
	{root, nil, "the nouns depend on nothing, so everything can depend on them"},
	{"cmd/synops", []string{"internal/cli"}, "main hands over streams and signals; all wiring is in cli, where tests reach it"},
	{"cmd/cloudsim", []string{root, "internal/emulator", "internal/rehearsal", "internal/sandbox", "internal/sandbox/migration"}, "the emulator as a program of its own, so that it is never in the bundle"},
	{"cmd/migsim", []string{"internal/migrate", "internal/migrate/trial", "internal/sandbox/migration"}, "judges schedules; a program of its own, so that no simulation is in the bundle"},
	{"internal/cli", []string{root, "internal/...", "deploy"}, "the only place that joins packages"},
	{"deploy", nil, "templates and nothing else: cli hands them to whoever deploys or judges them"},

	{"internal/tasks", []string{root, "internal/synapse", "internal/migrate", "internal/migrate/remote", "internal/toolrun"}, "tasks call small interfaces; a client, an engine or AWS behind them is the worker's affair"},
	{"internal/synapse", nil, "wire types serve both sides of the wire and know neither"},
	{"internal/adminapi", []string{root, "internal/synapse"}, "a client of the service knows no task"},
	{"internal/adminapi/adminapitest", []string{root, "internal/synapse", "internal/adminapi"}, "a contract suite knows what it tests"},
	{"internal/sandbox", []string{root, "internal/synapse"}, "it stands for the service: shared code would share its mistakes"},

	{"environments", nil, "files and nothing else: who reads them checks them"},
	{"internal/environments", []string{root, "environments"}, "turns a file into trusted values and does nothing with them"},
	{"internal/worker", []string{root}, "it is handed procedures, store and secret: it performs under any engine, for any task"},
	{"internal/launcher", []string{root}, "claims, starts, follows, cancels and resumes on whatever engine and store it is handed"},
	{"internal/engine/local", []string{root}, "an engine knows executions, not what they do"},
	{"internal/engine/pipeline", []string{root, "internal/awsauth"}, "an engine knows executions, not what they do; awsauth words AWS's errors as everybody's"},
	{"internal/engine/enginetest", []string{root, "internal/launcher"}, "one suite for every engine cannot know one of them; what is asked of engines, the launcher asks"},
	{"internal/store", []string{root, "internal/store/file", "internal/store/s3"}, "documents of a run over one of two drivers"},
	{"internal/store/file", []string{root}, "a driver knows keys and bytes"},
	{"internal/store/s3", []string{root}, "a driver knows keys and bytes"},
	{"internal/store/storetest", []string{root, "internal/store"}, "one suite for every driver cannot know one of them"},

	{"internal/secret", []string{root}, "whoever holds the token reaches nothing it could leak through"},
	{"internal/redact", nil, "a writer that masks bytes; it does not know what a secret is for"},
	{"internal/proof", nil, "holds tests only, so its one file imports nothing"},
	{"internal/report", []string{root}, "renders a result for whoever asks; reads nothing"},
	{"internal/render", []string{root}, "the same input gives the same files: it asks nobody anything"},
	{"internal/actions", []string{root}, "speaks with the runner of a job; what to say, cli decides"},
	{"internal/migrate", []string{root}, "the long migration works against interfaces, so that each cut can be tested"},
	{"internal/migrate/remote", []string{root, "internal/migrate", "internal/synapse"}, "does jobs on stacks it is handed; it holds no credential"},
	{"internal/migrate/trial", []string{"internal/migrate", "internal/adminapi", "internal/sandbox/migration"}, "lets schedules migrate simulated stacks in virtual time, at the real client's pace"},
	{"internal/sandbox/migration", nil, "two stacks as a migration sees them: shared code would share its mistakes"},
	{"internal/toolrun", []string{root}, "it runs a tool and does not know which"},
	{"internal/toolrun/account", []string{root, "internal/toolrun", "internal/awsauth"}, "what tools need of an account, and nothing of what they are"},
	{"internal/toolrun/toolruntest", nil, "a server of sources for tests knows no tool"},
	{"internal/emulator", []string{root, "internal/policy", "internal/cfn"}, "a small AWS account judges as policy does and reads templates as cfn does"},
	{"internal/emulator/emulatortest", []string{"internal/emulator", "deploy"}, "stands an account up from our templates, for tests of what runs there"},
	{"internal/rehearsal", []string{root, "internal/emulator", "internal/sandbox", "internal/sandbox/migration"}, "what synops meets on a stage; synops itself is a process there, as it is for an operator"},
	{"internal/cfn", []string{root}, "reads templates as CloudFormation does, whoever asks: the emulator, or a check before a deployment"},
	{"internal/policy", []string{root}, "evaluates IAM documents and nothing else"},
	{"internal/awsauth", []string{root}, "whoever gets credentials does nothing with them but say whose they are"},
	{"internal/deploy", []string{root, "internal/awsauth", "internal/cfn"}, "stands an account up from templates it is handed; awsauth words its errors as everybody's"},
}

// onlyTests are packages that exist for tests and for the programs named: in a
// built binary they would be a way around what they imitate.
var onlyTests = map[string][]string{
	"internal/sandbox":               {"internal/cli", "internal/rehearsal", "cmd/cloudsim"}, // "synops sandbox" and "demo"
	"internal/emulator":              {"cmd/cloudsim", "internal/rehearsal"},
	"internal/rehearsal":             {"cmd/cloudsim"},
	"internal/sandbox/migration":     {"cmd/migsim", "internal/migrate/trial", "internal/cli", "internal/rehearsal", "cmd/cloudsim"}, // "synops sandbox --migration"
	"internal/migrate/trial":         {"cmd/migsim"},
	"internal/emulator/emulatortest": nil,
	"internal/adminapi/adminapitest": nil,
	"internal/engine/enginetest":     nil,
	"internal/store/storetest":       nil,
	"internal/toolrun/toolruntest":   nil,
}

// A restriction keeps imports that begin with prefix to some packages.
type restriction struct {
	prefix string
	to     []string
	why    string
}

var restrictions = []restriction{
	{"github.com/aws/", []string{"internal/secret", "internal/store/s3", "internal/engine/pipeline", "internal/awsauth", "internal/deploy", "internal/toolrun/account", "internal/emulator/emulatortest"},
		"AWS is reached through adapters: declare a small interface and let cli hand one of them over"},
	{"github.com/spf13/", []string{"internal/cli"},
		"flags exist in cli only: take a config struct"},
	{"github.com/goccy/", []string{"internal/environments", "internal/cfn"},
		"YAML is read where a file becomes trusted values: hand those on"},
	{"os/exec", []string{"internal/engine/local", "internal/cli", "internal/toolrun", "internal/emulator", "internal/rehearsal"},
		"who can start processes can start anything: let the local engine or toolrun do it"},
	{"unsafe", nil,
		"nothing here is so slow that it must give up memory safety"},
	{"C", nil,
		"the bundle is one static binary"},
	{"math/rand", nil,
		"names of runs must not be guessable: use crypto/rand, or math/rand/v2 for jitter"},
	{"github.com/stretchr/testify", nil,
		"tests are written with testing and go-cmp"},
}

// standardOnly are packages that import nothing but the standard library.
var standardOnly = []string{root, "environments", "internal/synapse", "internal/redact", "internal/policy", "deploy"}

// forbiddenNames tell a reader nothing of what is inside, and gather everything.
var forbiddenNames = []string{"util", "utils", "common", "helpers", "types", "models", "shared", "base", "http", "context", "errors", "log", "runtime", "aws"}

// A source is one Go file that is built into a package, not a test.
type source struct {
	pkg  string // folder from the root, "." for the root itself
	file string
	tree *ast.File
}

// sources parses every non-test file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if file != "." && (err == nil || name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{path.Dir(filepath.ToSlash(file)), filepath.ToSlash(file), tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d source files: the rules were asked of nothing", len(all))
	}
	return all
}

// imports returns the file's imports, ours as folders.
func (s source) imports(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, spec := range s.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// ours returns the folder that an import path of this module names.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return root, true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// forTests tells whether a package exists for tests alone.
func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, s := range sources(t) {
		i := slices.IndexFunc(placements, func(p placement) bool { return p.pkg == s.pkg })
		if i < 0 {
			t.Errorf("%s: package %s is not in the table of rules_test.go: decide what it may import and add it with the reason", s.file, s.pkg)
			continue
		}
		for _, p := range s.imports(t) {
			if target, ok := ours(p); ok && !permitted(placements[i].may, target) {
				t.Errorf("%s imports %s. %s may import %q: %s. Declare the small interface you need and let cli hand it over.", s.file, target, s.pkg, placements[i].may, placements[i].why)
			}
		}
	}
}

func permitted(may []string, target string) bool {
	return slices.ContainsFunc(may, func(m string) bool {
		below, folder := strings.CutSuffix(m, "/...")
		return m == target || folder && (target == below || strings.HasPrefix(target, below+"/"))
	})
}

func TestTestPackagesStayInTests(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range s.imports(t) {
			target, ok := ours(p)
			if !ok {
				continue
			}
			allowed, guarded := onlyTests[target]
			if forTests(target) && !guarded {
				t.Errorf("%s imports %s, which is for tests only: move what it needs into a product package", s.file, target)
			}
			if guarded && !slices.Contains(allowed, s.pkg) && !forTests(s.pkg) {
				t.Errorf("%s imports %s, which stands in for the real thing: only tests and %q may", s.file, target, allowed)
			}
		}
	}
}

func TestLibrariesStayInTheirAdapters(t *testing.T) {
	for _, s := range sources(t) {
		if len(namesOf(s, ".")) > 0 {
			t.Errorf("%s imports with a dot: a reader, and these rules, cannot tell whose name is whose", s.file)
		}
		for _, p := range s.imports(t) {
			for _, r := range restrictions {
				hit := p == r.prefix || strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(p, r.prefix)
				// Contract suites start processes of their own test binary to race them.
				if hit && !slices.Contains(r.to, s.pkg) && !(p == "os/exec" && forTests(s.pkg)) {
					t.Errorf("%s imports %s, which only %q may: %s", s.file, p, r.to, r.why)
				}
			}
			if _, mine := ours(p); !mine && slices.Contains(standardOnly, s.pkg) && strings.Contains(strings.Split(p, "/")[0], ".") {
				t.Errorf("%s imports %s. %s uses the standard library only, so that whoever imports it takes on nothing else.", s.file, p, s.pkg)
			}
		}
	}
}

// TestProcessEnvironmentIsReadAtTheEdge: flags over environment over default is
// decided once. Below cli a variable would be an interface that nobody sees.
func TestProcessEnvironmentIsReadAtTheEdge(t *testing.T) {
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv"}
	for _, s := range sources(t) {
		if s.pkg == "internal/cli" || strings.HasPrefix(s.pkg, "cmd/") || forTests(s.pkg) {
			continue
		}
		names := namesOf(s, "os", "syscall")
		ast.Inspect(s.tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && slices.Contains(names, pkg.Name) && slices.Contains(readers, sel.Sel.Name) {
				t.Errorf("%s uses %s.%s: only cli and cmd read the process environment. Take the value, or a getenv function, in the config struct.", s.file, pkg.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// namesOf returns what the file calls the packages named; "." stands for every
// package imported with a dot.
func namesOf(s source, packages ...string) []string {
	var names []string
	for _, spec := range s.tree.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if spec.Name != nil && spec.Name.Name == "." {
			p = "."
		}
		if !slices.Contains(packages, p) {
			continue
		}
		if spec.Name != nil {
			names = append(names, spec.Name.Name)
		} else {
			names = append(names, path.Base(p))
		}
	}
	return names
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range append(strings.Split(s.pkg, "/"), s.tree.Name.Name) {
			if slices.Contains(forbiddenNames, name) {
				t.Errorf("%s: %q says nothing of what is inside, or shadows a package needed beside it: name the package for its subject", s.file, name)
			}
		}
	}
}

func TestEveryPackageIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, s := range sources(t) {
		described[s.pkg] = described[s.pkg] || s.tree.Doc != nil && len(strings.TrimSpace(s.tree.Doc.Text())) > 40
	}
	for _, pkg := range sortedKeys(described) {
		if !described[pkg] {
			t.Errorf("package %s has no package comment: say in a few lines what lives there and what does not", pkg)
		}
	}
}

// TestRulesAreConsistent keeps the tables themselves honest.
func TestRulesAreConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range placements {
		if seen[p.pkg] || p.why == "" {
			t.Errorf("the table has %s twice or without its reason", p.pkg)
		}
		seen[p.pkg] = true
	}
	for _, p := range placements {
		for _, m := range p.may {
			if !strings.HasSuffix(m, "/...") && !seen[m] {
				t.Errorf("%s may import %s, which the table does not have", p.pkg, m)
			}
		}
	}
	for _, r := range restrictions {
		if r.why == "" {
			t.Errorf("the restriction on %s has no reason", r.prefix)
		}
	}
}
