package environments

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/goccy/go-yaml/ast"
)

// mostTargets bounds max_targets: the largest list that runs are measured with.
const mostTargets = 100_000

// keys are the keys of an environment's entry.
var keys = []string{
	"repository", "synapse_hosts", "account", "region", "stack", "secret", "token_source",
	"migration_source", "migration_destination",
	"instances", "vpc", "lanes", "max_targets", "require_reason", "releases", "schedules", "constants",
}

// A rule is what a text must match, and that in words.
type rule struct {
	pattern func() *regexp.Regexp
	most    int // bytes; 0: as many as the pattern takes
	words   string
}

// holds tells whether s keeps the rule. Long limits are counted, not matched: a
// repetition's count multiplies what its pattern takes to compile.
func (r *rule) holds(s string) bool {
	return (r.most == 0 || len(s) <= r.most) && r.pattern().MatchString(s)
}

var (
	nameRule       = rule{ops.Pattern(`^[a-z][a-z0-9-]*$`), 31, "lower-case letters, digits and hyphens, such as dev"}
	ownerRule      = rule{ops.Pattern(`^[A-Za-z0-9][A-Za-z0-9-]*$`), 39, "a GitHub owner such as Sage-Bionetworks"}
	coreRule       = rule{ops.Pattern(`^[A-Za-z0-9_.-]+$`), 100, "a repository's name without its owner, such as synapse-ops-core"}
	repositoryRule = rule{ops.Pattern(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_.-]{1,100}$`), 0, "owner/name, such as Sage-Bionetworks/synapse-ops-dev"}
	releaseRule    = rule{ops.Pattern(`^v[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:-[0-9A-Za-z.-]{1,40})?$`), 0, "a release's tag such as v1.4.0"}
	ownersRule     = rule{ops.Pattern(`^@[A-Za-z0-9-]{1,39}(?:/[a-z0-9_.-]{1,100})?(?: @[A-Za-z0-9-]{1,39}(?:/[a-z0-9_.-]{1,100})?){0,5}$`), 0, "GitHub teams or people, such as @Sage-Bionetworks/operations"}
	accountRule    = rule{ops.Pattern(`^[0-9]{12}$`), 0, "an AWS account of 12 digits"}
	regionRule     = rule{ops.Pattern(`^[a-z]{2}(?:-[a-z]+){1,3}-[0-9]$`), 0, "an AWS region such as us-east-1"}
	stackRule      = rule{ops.Pattern(`^[A-Za-z0-9][A-Za-z0-9-]*$`), 63, "letters, digits and hyphens"}
	secretRule     = rule{ops.Pattern(`^[A-Za-z0-9/_+=.@-]+$`), 512, "a secret's name in Secrets Manager, such as /synapse/admin-pat"}
	vpcRule        = rule{ops.Pattern(`^vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})$`), 0, "a VPC's ID such as vpc-0a1b2c3d"}
	taskRule       = rule{ops.Pattern(`^[a-z0-9]+(?:-[a-z0-9]+)*$`), 0, "a task's name such as remove-user"}
	tokenRules     = map[string]rule{
		"env":               {ops.Pattern(`^[A-Za-z_][A-Za-z0-9_]*$`), 0, "env: and the name of a variable"},
		"file":              {ops.Pattern(`^[^\x00-\x1f\x7f]+$`), 0, "file: and a path"},
		"awssecretsmanager": {secretRule.pattern, secretRule.most, "awssecretsmanager: and a secret's name"},
	}
)

// Parse reads an environments file from data; source is named in errors. Errors
// are Invalid and list everything that is wrong, a line each, with line and
// column.
func Parse(source string, data []byte) (*File, error) {
	r := &reader{source: source}
	r.bounded(data)
	f := &File{Source: source, Text: data}
	if len(r.findings) == 0 {
		if root := r.document(data); root != nil {
			r.file(f, root)
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return f, f.ownConstants()
}

// bounded notes what keeps a file from being read at all.
func (r *reader) bounded(data []byte) {
	switch {
	case len(data) > mostBytes:
		r.wrong(nil, "the file is larger than %d bytes.", mostBytes)
	case !utf8.Valid(data):
		r.wrong(nil, "the file is not valid UTF-8.")
	}
}

func (r *reader) file(f *File, root ast.Node) {
	seen := false
	for _, p := range r.mapping(root, "the file", []string{"github", "environments"}) {
		switch p.key {
		case "github":
			r.github(f, p.value)
		case "environments":
			seen = true
			r.environments(f, p.value)
		}
	}
	if !seen {
		r.wrong(nil, "the key \"environments\" is missing.")
	}
}

func (r *reader) github(f *File, n ast.Node) {
	for _, g := range r.mapping(n, "github", []string{"owner", "core", "release_tags", "release", "code_owners"}) {
		switch g.key {
		case "owner":
			f.Owner = r.match(g.value, g.key, ownerRule)
		case "core":
			f.Core = r.match(g.value, g.key, coreRule)
		case "release":
			f.Release = r.match(g.value, g.key, releaseRule)
		case "code_owners":
			f.CodeOwners = r.match(g.value, g.key, ownersRule)
		case "release_tags":
			f.ReleaseTags = r.text(g.value, g.key)
			if _, err := path.Match(f.ReleaseTags, ""); err != nil {
				r.wrong(g.value, "release_tags: %s is not a valid pattern. Write tags with * and ?, such as \"v[1-9]*\".", ops.Quote(f.ReleaseTags))
			}
		}
	}
}

// environments reads the entries and what must hold between them: a host or an
// account of two environments would let a request for one reach the other.
func (r *reader) environments(f *File, n ast.Node) {
	hosts, accounts := map[string]string{}, map[string]string{}
	for _, p := range r.mapping(n, "environments", nil) {
		if !nameRule.holds(p.key) {
			r.wrong(p.at, "the environment's name %s is not %s.", ops.Quote(p.key), nameRule.words)
			continue
		}
		e := entry{reader: r, env: ops.Environment{Name: ops.EnvironmentName(p.key)}, hosts: hosts, accounts: accounts}
		e.read(p)
		f.Environments = append(f.Environments, e.env)
	}
	if len(f.Environments) == 0 && len(r.findings) == 0 {
		r.wrong(n, "no environment is named.")
	}
}

// An entry is one environment being read.
type entry struct {
	*reader
	env             ops.Environment
	hosts, accounts map[string]string // in use, by the environment that listed them first
}

func (e *entry) read(p pair) {
	given := map[string]bool{}
	pairs := e.mapping(p.value, "environment "+p.key, keys)
	if pairs == nil {
		return
	}
	for _, kv := range pairs {
		given[kv.key] = true
		e.value(kv)
	}
	if !given["synapse_hosts"] {
		e.wrong(p.at, "environment %s lacks synapse_hosts.", p.key)
	}
	// The sandbox is asked for from anywhere: it changes nothing that lasts.
	if !given["repository"] && e.env.Name != ops.Sandbox {
		e.wrong(p.at, "environment %s lacks repository.", p.key)
	}
}

func (e *entry) value(kv pair) {
	switch kv.key {
	case "repository":
		e.env.Repository = e.match(kv.value, kv.key, repositoryRule)
	case "synapse_hosts":
		e.readHosts(kv.value)
	case "account":
		e.readAccount(kv.value)
	case "region":
		e.env.Region = e.match(kv.value, kv.key, regionRule)
	case "stack":
		e.env.Stack = e.match(kv.value, kv.key, stackRule)
	case "secret":
		e.env.Secret = e.match(kv.value, kv.key, secretRule)
	case "token_source":
		e.env.TokenSource = e.tokenSource(kv.value, kv.key)
	case "migration_source":
		e.env.MigrationSource = e.stored(kv.value, kv.key)
	case "migration_destination":
		e.env.MigrationDestination = e.stored(kv.value, kv.key)
	case "instances":
		e.readInstances(kv.value)
	case "vpc":
		e.env.VPC = e.match(kv.value, kv.key, vpcRule)
	case "lanes":
		e.readLanes(kv.value)
	case "max_targets":
		e.env.MaxTargets = e.count(kv.value, kv.key, mostTargets)
	case "require_reason":
		e.env.RequireReason = e.boolean(kv.value, kv.key)
	case "releases":
		e.env.ReleasedOnly = e.releases(kv.value)
	case "schedules":
		e.readSchedules(kv.value)
	case "constants":
		e.env.Constants = e.constants(kv.value)
	}
}

func (e *entry) readHosts(n ast.Node) {
	list, at := e.texts(n, "synapse_hosts")
	for i, s := range list {
		host, err := NormalizeHost(s)
		if err != nil {
			e.wrong(at[i], "synapse_hosts: %v", err)
			continue
		}
		if e.env.Name == ops.Sandbox && !ops.Loopback(host) {
			e.wrong(at[i], "the sandbox is on this machine only, and %s is not.", host)
		}
		if other, taken := e.hosts[host]; taken {
			e.wrong(at[i], "host %s is already listed in %s: a host belongs to one environment, once.", host, other)
			continue
		}
		e.hosts[host] = string(e.env.Name)
		e.env.Hosts = append(e.env.Hosts, host)
	}
}

func (e *entry) readAccount(n ast.Node) {
	e.env.Account = e.match(n, "account", accountRule)
	if e.env.Account == "" {
		return
	}
	if other, taken := e.accounts[e.env.Account]; taken {
		e.wrong(n, "account %s is already %s's: each environment has its own.", e.env.Account, other)
		return
	}
	e.accounts[e.env.Account] = string(e.env.Name)
}

func (e *entry) readInstances(n ast.Node) {
	list, at := e.texts(n, "instances")
	for i, s := range list {
		if _, err := path.Match(s, ""); err != nil {
			e.wrong(at[i], "instances: %s is not a valid pattern. Write names with * and ?, such as \"54*\".", ops.Quote(s))
		}
	}
	e.env.Instances = list
}

func (e *entry) readLanes(n ast.Node) {
	known := make([]string, 0, len(ops.Lanes()))
	for _, l := range ops.Lanes() {
		known = append(known, string(l))
	}
	list, at := e.texts(n, "lanes")
	for i, s := range list {
		if !slices.Contains(known, s) {
			hint := "The lanes are " + strings.Join(known, ", ") + "."
			if near := ops.Nearest(s, known); near != "" {
				hint = fmt.Sprintf("Did you mean %q? ", near) + hint
			}
			e.wrong(at[i], "there is no lane %s. %s", ops.Quote(s), hint)
			continue
		}
		e.env.Lanes = append(e.env.Lanes, ops.Lane(s))
	}
}

// releases tells whether builds run released bundles only.
func (e *entry) releases(n ast.Node) bool {
	switch s := e.text(n, "releases"); s {
	case "required":
		return true
	case "any", "":
	default:
		e.wrong(n, "releases is %s. It is required (builds run releases only) or any.", ops.Quote(s))
	}
	return false
}

func (e *entry) readSchedules(n ast.Node) {
	for _, p := range e.mapping(n, "schedules", nil) {
		if !taskRule.holds(p.key) {
			e.wrong(p.at, "schedules: %s is not %s.", ops.Quote(p.key), taskRule.words)
			continue
		}
		if e.env.Schedules == nil {
			e.env.Schedules = map[ops.TaskName]bool{}
		}
		e.env.Schedules[ops.TaskName(p.key)] = e.boolean(p.value, "schedules: "+p.key)
	}
}

// tokenSource checks only the form; reading it is not this package's business.
func (e *entry) tokenSource(n ast.Node, key string) string {
	s := e.text(n, key)
	if s == "" {
		return ""
	}
	scheme, name, _ := strings.Cut(s, ":")
	rule, known := tokenRules[scheme]
	if !known {
		// Not quoted: a token pasted here by mistake would be.
		e.wrong(n, "%s names no known source. It is env:NAME, file:PATH or awssecretsmanager:NAME.", key)
		return ""
	}
	if !rule.holds(name) {
		e.wrong(n, "%s %s is not %s.", key, ops.Quote(s), rule.words)
		return ""
	}
	return s
}

// stored is a source that a worker process reads by itself: no variable is handed on
// to it.
func (e *entry) stored(n ast.Node, key string) string {
	s := e.tokenSource(n, key)
	if strings.HasPrefix(s, "env:") {
		e.wrong(n, "%s is %s. It is file:PATH or awssecretsmanager:NAME: a worker is a process of its own and is given no secret in its environment.", key, ops.Quote(s))
		return ""
	}
	return s
}

// match returns a text that keeps the rule, "" once something is wrong.
func (r *reader) match(n ast.Node, what string, rule rule) string {
	s := r.text(n, what)
	if s != "" && !rule.holds(s) {
		r.wrong(n, "%s %s is not %s.", what, ops.Quote(s), rule.words)
		return ""
	}
	return s
}
