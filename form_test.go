package ops_test

import ops "github.com/Sage-Bionetworks/synapse-ops-core"

// everyKind is a task with an optional input of every kind and of every list: what
// a corpus file leaves out stays out of its golden file.
func everyKind() *ops.Task {
	t := &ops.Task{Name: "every-kind", Version: 1, Noun: "user", Plural: "users", Inputs: []ops.Input{
		{Name: "text", Kind: ops.KindText},
		{Name: "short", Kind: ops.KindText, Most: 8},
		{Name: "slug", Kind: ops.KindText, Pattern: `[a-z]+(-[a-z]+)*`, Rule: "Lower-case words joined by hyphens."},
		{Name: "code", Kind: ops.KindText, Pattern: `[A-Z]{3}|[0-9]{2}`},
		{Name: "count", Kind: ops.KindInteger, Least: 1, Most: 100, Example: "10"},
		{Name: "least", Kind: ops.KindInteger, Least: -5},
		{Name: "flag", Kind: ops.KindBoolean},
		{Name: "color", Kind: ops.KindChoice, Choices: []string{"red", "green", "blue"}},
		{Name: "feature", Kind: ops.KindChoice, Choices: []string{"SEARCH", "GRID"}, Open: true, Pattern: `[A-Z_]{3,40}`},
		{Name: "anything", Kind: ops.KindChoice, Choices: []string{"one"}, Open: true},
		{Name: "user", Kind: ops.KindUserID},
		{Name: "entity", Kind: ops.KindEntityID},
		{Name: "client", Kind: ops.KindOAuthClient},
		{Name: "realm", Kind: ops.KindRealmID},
		{Name: "email", Kind: ops.KindEmail, Personal: true},
		{Name: "object", Kind: ops.KindJSON, Example: `{"limit":10}`},
		{Name: "private-text", Kind: ops.KindText, Personal: true},
		{Name: "private-object", Kind: ops.KindJSON, Personal: true},
		{Name: "words", Kind: ops.KindText, List: true},
		{Name: "counts", Kind: ops.KindInteger, List: true, Most: 50},
		{Name: "flags", Kind: ops.KindBoolean, List: true},
		{Name: "colors", Kind: ops.KindChoice, List: true, Choices: []string{"red", "green", "blue"}},
		{Name: "features", Kind: ops.KindChoice, List: true, Choices: []string{"SEARCH"}, Open: true, Pattern: `[A-Z_]{3,40}`},
		{Name: "users", Kind: ops.KindUserID, List: true, Example: "3350396,3350397"},
		{Name: "entities", Kind: ops.KindEntityID, List: true},
		{Name: "clients", Kind: ops.KindOAuthClient, List: true},
		{Name: "realms", Kind: ops.KindRealmID, List: true},
		{Name: "emails", Kind: ops.KindEmail, List: true, Personal: true},
	}}
	for i := range t.Inputs {
		t.Inputs[i].Optional = true
	}
	return t
}

// form is a task as people meet one: required, defaulted and optional inputs.
func form() *ops.Task {
	return &ops.Task{Name: "form", Version: 1, Inputs: []ops.Input{
		{Name: "users", Kind: ops.KindUserID, List: true, Example: "3350396,3350397"},
		{Name: "verified", Kind: ops.KindBoolean, Default: "true"},
		{Name: "limit", Kind: ops.KindInteger, Default: "10", Least: 1, Most: 500},
		{Name: "color", Kind: ops.KindChoice, Choices: []string{"red", "green"}},
		{Name: "message", Kind: ops.KindText, Optional: true},
	}}
}

// bare is a task without inputs.
func bare() *ops.Task { return &ops.Task{Name: "bare", Version: 1} }
