package environments_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite the .out files")

func TestEmbedded(t *testing.T) {
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Names(), []string{"dev", "prod", "sandbox"}; !cmp.Equal(got, want) {
		t.Errorf("names are %v, want %v", got, want)
	}
	for _, name := range []ops.EnvironmentName{"dev", "prod"} {
		env, err := f.Environment(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := environments.RequirePipeline(env); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sandbox, _ := f.Environment("sandbox")
	if want := []string{"http://127.0.0.1:8544"}; !cmp.Equal(sandbox.Hosts, want) {
		t.Errorf("the sandbox's hosts are %v, want %v", sandbox.Hosts, want)
	}
}

func TestLoad_OK(t *testing.T) {
	f, err := environments.Load("testdata/ok/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []ops.Environment{{
		Name:          "dev",
		Repository:    "Sage-Bionetworks/synapse-ops-dev",
		Hosts:         []string{"https://repo-dev.dev.sagebase.org", "http://localhost:8080", "http://[::1]"},
		Account:       "012345678901",
		Region:        "us-gov-west-1",
		Stack:         "dev",
		Secret:        "/synapse/admin-pat",
		TokenSource:   "file:/run/secrets/token",
		Instances:     []string{"54*", "dev-?"},
		VPC:           "vpc-0a1b2c3d",
		Lanes:         []ops.Lane{ops.LanePlan, ops.LaneAdmin},
		MaxTargets:    2000,
		RequireReason: true,
		ReleasedOnly:  true,
		Schedules:     map[ops.TaskName]bool{"canary": true, "export-ids": false},
	}, {
		Name:       "prod",
		Repository: "Sage-Bionetworks/synapse-ops-prod",
		Hosts:      []string{"https://repo-prod.prod.sagebase.org"},
	}}
	// What the files beside say is not this file's; see TestConstants.
	if diff := cmp.Diff(want, f.Environments, cmpopts.IgnoreFields(ops.Environment{}, "Constants")); diff != "" {
		t.Error(diff)
	}
	if f.Owner != "Sage-Bionetworks" || f.Core != "synapse-ops-core" || f.ReleaseTags != "v[1-9]*" {
		t.Errorf("core is %s/%s, released by tags %s", f.Owner, f.Core, f.ReleaseTags)
	}
	if f.Release != "v1.4.0-rc.1" || f.CodeOwners != "@Sage-Bionetworks/operations @octocat" {
		t.Errorf("dashboards call %s and are reviewed by %s", f.Release, f.CodeOwners)
	}
	if text, err := os.ReadFile("testdata/ok/everything.yaml"); err != nil || string(f.Text) != string(text) {
		t.Errorf("the text kept is not the file's: %v", err)
	}
}

// TestLoad_Errors compares every line: position, what is wrong and what would be
// right.
func TestLoad_Errors(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := environments.Load(file)
			if ops.CodeOf(err) != ops.Invalid {
				t.Fatalf("error is %v, want one that is invalid", err)
			}
			got := strings.ReplaceAll(err.Error(), file, filepath.Base(file)) + "\n"
			out := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(out, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			for _, secret := range []string{"hunter2hunter2", "eyJhbGci", "ghp_abc"} {
				if strings.Contains(got, secret) {
					t.Errorf("the error shows the secret %q", secret)
				}
			}
		})
	}
}

func TestLoad_NotThere(t *testing.T) {
	_, err := environments.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), "none.yaml") || !strings.Contains(err.Error(), "--config") {
		t.Errorf("error is %v, want one that is invalid and names path and --config", err)
	}
}

func TestParse_Bounds(t *testing.T) {
	for name, data := range map[string]string{
		"too large":     strings.Repeat("#\n", 17_000),
		"not UTF-8":     "environments: \xff",
		"nested deeply": strings.Repeat("[", 32_000),
		"indented":      strings.Repeat("a: {", 8_000),
		"minus signs":   strings.Repeat("- ", 16_000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := environments.Parse("x", []byte(data)); ops.CodeOf(err) != ops.Invalid {
				t.Errorf("error is %.100v, want one that is invalid", err)
			}
		})
	}
}

// TestParse_Lengths: each name may be as long as its service takes, and no longer.
func TestParse_Lengths(t *testing.T) {
	for what, c := range map[string]struct {
		most   int
		format string
	}{
		"an environment": {31, "environments: {%s: {repository: o/r, synapse_hosts: [https://a.example.org]}}"},
		"a stack":        {63, "environments: {dev: {repository: o/r, synapse_hosts: [https://a.example.org], stack: %s}}"},
		"a secret":       {512, "environments: {dev: {repository: o/r, synapse_hosts: [https://a.example.org], secret: %s}}"},
		"a token source": {512, "environments: {dev: {repository: o/r, synapse_hosts: [https://a.example.org], token_source: 'awssecretsmanager:%s'}}"},
		"an owner":       {39, "github: {owner: %s}\nenvironments: {dev: {repository: o/r, synapse_hosts: [https://a.example.org]}}"},
		"core":           {100, "github: {core: %s}\nenvironments: {dev: {repository: o/r, synapse_hosts: [https://a.example.org]}}"},
	} {
		for extra, wrong := range []bool{false, true} {
			text := fmt.Sprintf(c.format, strings.Repeat("a", c.most+extra))
			if _, err := environments.Parse("x", []byte(text)); (err != nil) != wrong || wrong && ops.CodeOf(err) != ops.Invalid {
				t.Errorf("%s of %d bytes: %v", what, c.most+extra, err)
			}
		}
	}
}

func TestFile_Environment_Unknown(t *testing.T) {
	f, _ := environments.Embedded()
	_, err := f.Environment("prd")
	if ops.CodeOf(err) != ops.Invalid {
		t.Fatalf("error is %v, want one that is invalid", err)
	}
	for _, want := range []string{`"prd"`, `Did you mean "prod"?`, "dev, prod, sandbox"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
}

func TestRequirePipeline(t *testing.T) {
	err := environments.RequirePipeline(&ops.Environment{Name: "dev", Account: "111111111111", Lanes: ops.Lanes()})
	if ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), "lacks region, secret.") {
		t.Errorf("error is %v, want one that names region and secret", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/err/*.yaml", "testdata/ok/*.yaml", "environments.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := environments.Parse("x", data)
		if err != nil {
			if ops.CodeOf(err) != ops.Invalid {
				t.Errorf("error %v has code %s", err, ops.CodeOf(err))
			}
			return
		}
		hosts := map[string]bool{}
		for _, env := range file.Environments {
			if len(env.Hosts) == 0 || env.Repository == "" && env.Name != ops.Sandbox {
				t.Errorf("environment %q was let through without hosts or repository", env.Name)
			}
			for _, h := range env.Hosts {
				if n, err := environments.NormalizeHost(h); n != h || err != nil || hosts[h] {
					t.Errorf("host %q is not normal or not unique", h)
				}
				hosts[h] = true
			}
		}
	})
}
