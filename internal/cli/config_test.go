package cli_test

import (
	"strings"
	"testing"
)

// TestConfigMistakes: an environments file with anything wrong in it is refused as
// invalid before anything is asked, naming file, line and what would be right.
func TestConfigMistakes(t *testing.T) {
	const dev = "environments:\n  dev:\n    repository: o/r\n    synapse_hosts: [http://127.0.0.1:1]\n"
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "environments"},
		{"no YAML", "environments: [", ":1:"},
		{"two documents", dev + "---\n" + dev, ""},
		{"unknown key at the top", dev + "environment: {}\n", `"environment"`},
		{"unknown key of github", "github: {own: x}\n" + dev, `"own"`},
		{"a release", "github: {release: main}\n" + dev, "tag such as v1.4.0"},
		{"code owners", "github: {code_owners: operations}\n" + dev, "GitHub teams or people"},
		{"unknown key of an environment", dev + "    instance: x\n", `Did you mean "instances"`},
		{"a key twice", dev + "    repository: o/r2\n", "repository"},
		{"an environment twice", dev + "  dev:\n    repository: o/r\n    synapse_hosts: [http://127.0.0.1:2]\n", "dev"},
		{"no environment", "environments: {}\n", "environment"},
		{"no repository", "environments:\n  dev:\n    synapse_hosts: [http://127.0.0.1:1]\n", "lacks repository"},
		{"no hosts", "environments:\n  dev:\n    repository: o/r\n", "lacks synapse_hosts"},
		{"empty hosts", "environments:\n  dev:\n    repository: o/r\n    synapse_hosts: []\n", "synapse_hosts"},
		{"repository without owner", "environments:\n  dev:\n    repository: r\n    synapse_hosts: [http://127.0.0.1:1]\n", "owner/name"},
		{"plain http", "environments:\n  dev:\n    repository: o/r\n    synapse_hosts: [http://repo-dev.dev.sagebase.org]\n", "unencrypted"},
		{"a path", "environments:\n  dev:\n    repository: o/r\n    synapse_hosts: [https://repo-dev.dev.sagebase.org/repo/v1]\n", "more than a host"},
		{"a host of two environments", dev + "  prod:\n    repository: o/p\n    synapse_hosts: [http://127.0.0.1:1]\n", "already listed in dev"},
		{"an account of two", dev + "    account: \"111111111111\"\n  prod:\n    repository: o/p\n    synapse_hosts: [http://127.0.0.1:2]\n    account: \"111111111111\"\n", "already dev's"},
		{"a number for an account", dev + "    account: 11111111111\n", "account"},
		{"a short account", dev + "    account: \"1111\"\n", "12 digits"},
		{"a lane", dev + "    lanes: [admn]\n", `Did you mean "admin"`},
		{"a region", dev + "    region: Ohio\n", "us-east-1"},
		{"a pattern", dev + "    instances: [\"[\"]\n", "not a valid pattern"},
		{"max_targets", dev + "    max_targets: many\n", "max_targets"},
		{"require_reason", dev + "    require_reason: sometimes\n", "require_reason"},
		{"a VPC", dev + "    vpc: main\n", "vpc-"},
		{"schedules", dev + "    schedules: [canary]\n", "schedules"},
		{"a token source", dev + "    token_source: vault:x\n", "env:NAME"},
		{"a token for a source", dev + "    token_source: ghp_0123456789abcdefghijABCDEFGHIJ012345\n", "looks like an access token"},
		{"a sandbox elsewhere", dev + "  sandbox:\n    synapse_hosts: [https://repo-dev.dev.sagebase.org]\n", "this machine only"},
		{"a name in capitals", strings.Replace(dev, "dev:", "DEV:", 1), "lower-case"},
		{"not UTF-8", dev + "# \xff\n", "UTF-8"},
		{"hostile", dev + "    \"\x1b[2J\\u202e\": 1\n", ""},
		{"too large", dev + strings.Repeat("# x\n", 20<<10), "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			path := r.file("mistaken.yaml", c.text)
			for _, args := range [][]string{{"plan", "canary", "-e", "dev", "--config", path}, {"run", "canary", "-e", "dev", "--config", path}, {"freeze", "-e", "dev", "--reason", "x", "--config", path}} {
				got := r.synops(nil, args...)
				got.fits(t)
				if got.code != 2 || !strings.Contains(strings.Join(strings.Fields(got.stderr), " "), c.says) {
					t.Errorf("%s: exit code %d\n%swant 2 and %q", args[0], got.code, got.stderr, c.says)
				}
				if strings.Contains(got.stderr, "ghp_") {
					t.Error("what may be a token is shown")
				}
			}
			if got := r.synops(map[string]string{"SYNOPS_CONFIG": path}, "plan", "canary", "-e", "dev", "--format", "json"); got.code != 2 {
				t.Errorf("SYNOPS_CONFIG: exit code %d", got.code)
			} else if _, err := decodeShape("error", []byte(got.stdout)); err != nil {
				t.Error(err)
			}
			if r.dev.Total() != 0 {
				t.Errorf("the service was asked %d times", r.dev.Total())
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		if got := newRig(t).synops(nil, "plan", "canary", "-e", "dev", "--config", "/nowhere.yaml"); got.code != 2 || !strings.Contains(got.stderr, `"/nowhere.yaml" cannot be read`) {
			t.Errorf("exit code %d\n%s", got.code, got.stderr)
		}
	})
}
