package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hostile are values that a shell, a terminal, a parser or a reader could trip
// over.
var hostile = map[string]string{
	"single quote":  `a'b`,
	"double quote":  `a"b`,
	"substitution":  "$(touch /tmp/pwned)`id`",
	"commas":        ",,,",
	"newlines":      "3350396\nrm -rf /\n\r\n",
	"NUL":           "3350396\x003350397",
	"escape":        "\x1b[2J\x1b]0;owned\a",
	"right to left": "\u202e6930533\u202c",
	"isolates":      "\u2066x\u2069",
	"zero width":    "335\u200b0396",
	"invalid UTF-8": "a\xff\xfeb",
	"64 KiB":        strings.Repeat("A", 64<<10),
	"64 KiB of IDs": strings.Repeat("x1,", 22<<10),
	"a file":        "@/proc/self/environ",
	"a device":      "@/dev/zero",
	"a run":         "@failed:../../etc/passwd",
	"a flag":        "--confirm=yes",
	"format":        "%s%n%x {{.}} ${HOME}",
	"markup":        "</details><script>alert(1)</script>",
	"JSON":          `{"a":1}`,
	"overflow":      "99999999999999999999",
	"negative":      "-1",
}

// targets are a task and an input of each kind.
var kinds = [][2]string{
	{"verify-oauth-client", "client-ids"}, {"verify-oauth-client", "verified"}, {"remove-user", "users"}, {"unquarantine-email", "emails"},
	{"publish-dataset", "entities"}, {"set-feature", "feature"}, {"create-realm", "name"}, {"delete-realm", "realms"},
	{"run-admin-job", "job"}, {"archive-files", "limit"}, {"set-stack-status", "message"}, {"canary", "minutes"},
}

// others are the inputs that a task needs besides.
var others = map[string]map[string]string{
	"verify-oauth-client verified": {"client-ids": "100001"},
	"set-feature feature":          {"enabled": "true"},
	"create-realm name":            {"identity-provider": "NIH_RESEARCHER_AUTH_SERVICE"},
	"set-stack-status message":     {"status": "READ_WRITE"},
}

// fits fails when an output could do harm, whatever it says.
func (got answer) fits(t *testing.T) {
	t.Helper()
	for name, text := range map[string]string{"standard output": got.stdout, "standard error": got.stderr} {
		if problem := unfitOutput(text); problem != "" {
			t.Errorf("%s %s", name, problem)
		}
		if len(text) > 16<<10 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
}

// TestHostileInputs hands each hostile value to an input of each kind, as an
// argument and in a form: it is refused as invalid or it is data.
func TestHostileInputs(t *testing.T) {
	r := newRig(t)
	for name, value := range hostile {
		for _, kind := range kinds {
			task, input := kind[0], kind[1]
			form := map[string]string{input: value}
			args := []string{"plan", task, "-e", "dev", "--format", "json", "--rate", "0", input + "=" + value}
			for k, v := range others[task+" "+input] {
				form[k] = v
				args = append(args, k+"="+v)
			}
			text, err := json.Marshal(form)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%s/%s %s", name, task, input), func(t *testing.T) {
				for how, got := range map[string]answer{
					"argument": r.synops(nil, args...),
					"form":     r.synops(map[string]string{"SYNOPS_INPUTS": string(text)}, "plan", task, "-e", "dev", "--format", "json", "--rate", "0"),
				} {
					got.fits(t)
					shape := "plan"
					if got.code != 0 {
						shape = "error"
					}
					doc, err := decodeShape(shape, []byte(got.stdout))
					if err != nil {
						t.Fatal(err)
					}
					if takesText := input == "message" || input == "name"; got.code != 2 && (got.code != 0 || !takesText) {
						t.Errorf("as %s: exit code %d\n%s%s", how, got.code, got.stdout, got.stderr)
					}
					if got.code == 2 && !strings.Contains(got.stdout, `"input"`) {
						t.Errorf("as %s: no input is named: %v", how, doc)
					}
				}
			})
		}
	}
	if total := len(r.dev.Jobs()); total != 0 {
		t.Errorf("%d jobs were started", total)
	}
}

// TestHostileArguments puts hostile text where no input belongs: whatever the
// command makes of it, its output is printable, bounded and one document.
func TestHostileArguments(t *testing.T) {
	r := newRig(t)
	places := map[string]func(s string) ([]string, map[string]string){
		"command":    func(s string) ([]string, map[string]string) { return []string{s}, nil },
		"task":       func(s string) ([]string, map[string]string) { return []string{"plan", s, "-e", "dev"}, nil },
		"shown task": func(s string) ([]string, map[string]string) { return []string{"tasks", "show", "--", s}, nil },
		"input name": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev", "--", s + "=1"}, nil
		},
		"argument": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev", "--", s}, nil
		},
		"environment": func(s string) ([]string, map[string]string) { return []string{"plan", "canary", "-e", s}, nil },
		"run":         func(s string) ([]string, map[string]string) { return []string{"show", "--", s}, nil },
		"flag":        func(s string) ([]string, map[string]string) { return []string{"runs", "--" + s}, nil },
		"since":       func(s string) ([]string, map[string]string) { return []string{"runs", "--since=x" + s}, nil },
		"limit":       func(s string) ([]string, map[string]string) { return []string{"runs", "--limit=" + s + "x"}, nil },
		"plan": func(s string) ([]string, map[string]string) {
			return []string{"run", "canary", "-e", "dev", "--plan=x" + s}, nil
		},
		"settle": func(s string) ([]string, map[string]string) { return []string{"resume", "x", "--settle=" + s}, nil },
		"engine": func(s string) ([]string, map[string]string) { return []string{"runs", "--engine=x" + s}, nil },
		"config": func(s string) ([]string, map[string]string) {
			return []string{"runs", "-e", "dev", "--config=" + s + "x"}, nil
		},
		"store":  func(s string) ([]string, map[string]string) { return []string{"runs", "--store=x://" + s}, nil },
		"shell":  func(s string) ([]string, map[string]string) { return []string{"completion", "--", s}, nil },
		"listen": func(s string) ([]string, map[string]string) { return []string{"sandbox", "--listen=" + s}, nil },
		"CONTEXT": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary"}, map[string]string{"CONTEXT": s}
		},
		"host": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev"}, map[string]string{"SYNAPSE_HOST": s}
		},
		"repository": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev"}, map[string]string{"GITHUB_REPOSITORY": s}
		},
		"form": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev"}, map[string]string{"SYNOPS_INPUTS": s}
		},
		"token": func(s string) ([]string, map[string]string) {
			return []string{"plan", "canary", "-e", "dev"}, map[string]string{"SYNAPSE_ADMIN_PAT": "x " + s}
		},
	}
	for place, line := range places {
		for name, value := range hostile {
			t.Run(place+"/"+name, func(t *testing.T) {
				args, vars := line(value)
				for _, format := range []string{"text", "json"} {
					got := r.synops(vars, append([]string{"--format", format}, args...)...)
					got.fits(t)
					if !slices.Contains([]int{1, 2, 3}, got.code) {
						t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
					}
					if format == "json" {
						if _, err := decodeShape("error", []byte(got.stdout)); err != nil {
							t.Error(err)
						}
					} else if got.stdout != "" {
						t.Errorf("an error on standard output:\n%s", got.stdout)
					}
				}
			})
		}
	}
}
