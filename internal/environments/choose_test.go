package environments_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/google/go-cmp/cmp"
)

func TestFile_Choose(t *testing.T) {
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	const devHost, prodHost = "https://repo-dev.dev.sagebase.org", "https://repo-prod.prod.sagebase.org"
	type process = environments.Process
	tests := []struct {
		name    string
		flag    ops.EnvironmentName
		process process
		host    string   // chosen
		guard   string   // or refused by
		code    ops.Code // or an error of this code
		says    []string
	}{
		{name: "flag alone", flag: "dev", host: devHost},
		{name: "CONTEXT alone", process: process{Context: "dev"}, host: devHost},
		{name: "both agree", flag: "dev", process: process{Context: "dev", Host: devHost, Repository: "Sage-Bionetworks/synapse-ops-dev"}, host: devHost},
		{name: "a host spelled otherwise", flag: "dev", process: process{Host: "HTTPS://Repo-Dev.Dev.Sagebase.org:443/"}, host: devHost},
		{name: "one of several hosts", flag: "prod", process: process{Host: prodHost}, host: prodHost},
		{name: "the sandbox asks for no repository", flag: "sandbox", process: process{Repository: "someone/fork"}, host: "http://127.0.0.1:8544"},
		{name: "neither", code: ops.Invalid, says: []string{"-e", "dev, prod, sandbox"}},
		{name: "CONTEXT is not an environment", process: process{Context: "prdo"}, code: ops.Invalid, says: []string{`Did you mean "prod"?`}},
		{name: "several hosts", flag: "prod", code: ops.Invalid, says: []string{"SYNAPSE_HOST", prodHost, "https://repo-staging.prod.sagebase.org"}},
		{name: "no URL", flag: "dev", process: process{Host: "repo-dev.dev.sagebase.org"}, code: ops.Invalid, says: []string{"SYNAPSE_HOST"}},
		{name: "invalid beats refused", flag: "dev", process: process{Context: "prod", Host: "ftp://x"}, code: ops.Invalid},
		{name: "CONTEXT says otherwise", flag: "prod", process: process{Context: "dev", Host: prodHost}, guard: "environment-context", says: []string{"-e says prod", `CONTEXT says "dev"`}},
		{name: "CONTEXT in other letters", flag: "dev", process: process{Context: "Dev"}, guard: "environment-context"},
		{name: "another environment's host", flag: "dev", process: process{Host: prodHost}, guard: "environment-host", says: []string{"belongs to prod", devHost}},
		{name: "nobody's host", flag: "dev", process: process{Host: "https://evil.example.org"}, guard: "environment-host", says: []string{"not one of dev's"}},
		{name: "the same host at another port", flag: "dev", process: process{Host: devHost + ":8443"}, guard: "environment-host"},
		{name: "another repository", flag: "dev", process: process{Repository: "Sage-Bionetworks/synapse-ops-prod"}, guard: "environment-repository", says: []string{"Ask from Sage-Bionetworks/synapse-ops-dev"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := f.Choose(tt.flag, tt.process)
			if tt.host != "" {
				if err != nil || c.Host != tt.host {
					t.Fatalf("chose %+v, %v; want host %s", c, err, tt.host)
				}
				return
			}
			r := ops.Refused(err)
			switch {
			case tt.guard != "" && (r == nil || r.Guard != tt.guard):
				t.Fatalf("error is %v, want a refusal by %s", err, tt.guard)
			case tt.guard == "" && (r != nil || ops.CodeOf(err) != tt.code):
				t.Fatalf("error is %v, want code %s", err, tt.code)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestFile_Choose_Pins(t *testing.T) {
	f, err := environments.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Choose("dev", environments.Process{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stack: not pinned", "instances: not pinned"}; !cmp.Equal(c.Pins, want) {
		t.Errorf("pins are %q, want %q", c.Pins, want)
	}
}

func TestNormalizeHost(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "https://a.example.org", "https://a.example.org"},
		{"slashes", "https://a.example.org//", "https://a.example.org"},
		{"own port", "https://a.example.org:8443", "https://a.example.org:8443"},
		{"zeros before a port", "https://a.example.org:00443", "https://a.example.org"},
		{"loopback", "http://LOCALHOST:8544/", "http://localhost:8544"},
		{"loopback v6", "http://[::1]:8544", "http://[::1]:8544"},
		{"plain http elsewhere", "http://a.example.org", ""},
		{"a name that begins like loopback", "http://127.0.0.1.example.org", ""},
		{"user info", "https://user:password@a.example.org", ""},
		{"path", "https://a.example.org/repo/v1", ""},
		{"query", "https://a.example.org?x=1", ""},
		{"empty query", "https://a.example.org?", ""},
		{"fragment", "https://a.example.org#x", ""},
		{"no scheme", "a.example.org", ""},
		{"other scheme", "file:///etc/passwd", ""},
		{"no host", "https://", ""},
		{"port 0", "https://a.example.org:0", ""},
		{"port too large", "https://a.example.org:65536", ""},
		{"empty port", "https://a.example.org:", ""},
		{"blank", "https://a.example.org ", ""},
		{"line end", "https://a.example.org\n", ""},
		{"Kelvin sign that folds to k", "https://\u212A.example.org", ""},
		{"trailing dot", "https://a.example.org.", ""},
		{"longest label", "https://" + strings.Repeat("a", 63) + ".org", "https://" + strings.Repeat("a", 63) + ".org"},
		{"label too long", "https://" + strings.Repeat("a", 64) + ".org", ""},
		{"longest name", "https://" + strings.Repeat("abcd.", 50) + "org", "https://" + strings.Repeat("abcd.", 50) + "org"},
		{"name too long", "https://" + strings.Repeat("abcd.", 50) + "org1", ""},
		{"empty label", "https://a..example.org", ""},
		{"label that ends with a hyphen", "https://a-.example.org", ""},
		{"other v6", "http://[::2]:8544", ""},
		{"zone", "http://[::1%25eth0]:80", ""},
		{"backslash", `https://a.example.org\@b.example.org`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := environments.NormalizeHost(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("NormalizeHost(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
			if err != nil && (ops.CodeOf(err) != ops.Invalid || strings.Contains(err.Error(), "password@")) {
				t.Errorf("error is %v, want one that is invalid and hides user info", err)
			}
		})
	}
}
