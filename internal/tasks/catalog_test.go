package tasks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/google/go-cmp/cmp"
)

// Names and inputs are what forms, scripts and people use: a change here breaks
// them.
func TestCatalogNamesAndInputs(t *testing.T) {
	want := []string{
		"verify-oauth-client changes: client-ids (list of OAuth client ID), verified (boolean) = true",
		"remove-user destroys: users (list of user ID)",
		"reenable-user changes: users (list of user ID)",
		"decertify-user changes: users (list of user ID)",
		"unquarantine-email changes: emails (list of e-mail)",
		"remove-user-2fa destroys: users (list of user ID)",
		"publish-dataset changes: entities (list of entity ID)",
		"unpublish-dataset changes: entities (list of entity ID)",
		"set-feature changes: feature (choice), enabled (boolean)",
		"create-realm changes: name (text), identity-provider (choice)",
		"delete-realm destroys: realms (list of realm ID)",
		"export-ids reads:",
		"run-admin-job changes: job (JSON object)",
		"archive-files changes: limit (integer) = 25000",
		"backfill-grid-sessions changes:",
		"set-stack-status changes: status (choice), message (text) optional",
		"canary reads: minutes (integer) = 5",
		"build-stack changes: instance (text), repo-and-workers-version (text), repo-beanstalk-version (integer), portal-version (text), portal-beanstalk-version (integer), vpc-subnet-color (choice), beanstalk-platform-version (text) = 5.5.0, deployment-target (choice) = BEANSTALK, source-ref (text) optional",
		"build-dev-stack changes: instance (text), source-owner (text) optional, source-ref (text) optional",
		"bind-load-balancers changes: repo-live (text), portal-live (text), repo-staging (text), portal-staging (text), repo-test (text) = none, portal-test (text) = none, source-ref (text) optional",
		"build-vpc changes: vpn-cidr (text) optional, vpn-cidr-new (text) optional, availability-zones (text) optional, subnet-prefix (text) optional, colors-csv (text) optional, endpoints-color (text) optional, endpoints-availability-zones (text) optional, peering-accept-role (text) optional, source-ref (text) optional",
		"build-buckets changes: virus-scanner-artifact (text) optional, source-ref (text) optional",
		"build-cdn changes: subdomain (choice), certificate-arn (text) optional, source-ref (text) optional",
		"build-cdn-web-acl changes: source-ref (text) optional",
		"build-etl-stack changes: glue-db (text) optional, source-ref (text) optional",
		"build-etl-jobs changes: source-ref (text) optional",
		"build-global-resources changes: ops-vpc-export-prefix (text) optional, source-ref (text) optional",
		"build-id-generator changes: vpc-subnet-color (choice) optional, idgen-hosted-zone-id (text) optional, source-ref (text) optional",
		"build-ip-address-pool changes: nlb-records-csv (text) optional, az-per-nlb (integer) optional, source-ref (text) optional",
		"build-load-balancers changes: nlb-records-csv (text) optional, az-per-nlb (integer) optional, source-ref (text) optional",
		"remove-dev-stacks destroys: source-ref (text) optional",
		"deploy-dashboard changes: instance (text), repo-beanstalk-number (text), workers-beanstalk-number (text), portal-beanstalk-number (text), source-ref (text) optional",
		"delete-stack destroys: stacks (list of text)",
		"release destroys: instance (text), repo-and-workers-version (text), repo-beanstalk-version (integer) = 0, portal-version (text), portal-beanstalk-version (integer) = 0, vpc-subnet-color (choice), staging-after (text) = none, old-stacks (text)",
		"migrate destroys: source-host (host), destination-host (host), remain-read-only (boolean) = false, mode (choice) = auto, batch-size (integer) = 50000, backup-parallelism (integer) = 5, restore-parallelism (integer) = 4, types (text) = all, verify (choice) = standard",
		"migrate-status reads: source-host (host), destination-host (host)",
		"migrate-verify reads: source-host (host), destination-host (host), types (text) = all, batch-size (integer) = 50000",
	}
	var got []string
	for _, task := range tasks.Catalog() {
		var ins []string
		for _, in := range task.Inputs {
			s := string(in.Kind)
			if in.List {
				s = "list of " + s
			}
			s = fmt.Sprintf("%s (%s)", in.Name, s)
			if in.Default != "" {
				s += " = " + in.Default
			}
			if in.Optional {
				s += " optional"
			}
			ins = append(ins, s)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s: %s", task.Name, task.Class, strings.Join(ins, ", "))))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCatalogIsComplete(t *testing.T) {
	for _, task := range tasks.Catalog() {
		t.Run(string(task.Name), func(t *testing.T) {
			for field, text := range map[string]string{
				"title": task.Title, "summary": task.Summary, "details": task.Details, "undo": task.Undo, "noun": task.Noun, "plural": task.Plural,
			} {
				if strings.TrimSpace(text) == "" || text != strings.TrimSpace(text) {
					t.Errorf("its %s is %q", field, text)
				}
			}
			for _, sentence := range []string{task.Summary, task.Details, task.Undo} {
				if !strings.HasSuffix(sentence, ".") {
					t.Errorf("%q is no sentence", sentence)
				}
			}
			equal(t, "version", task.Version, 1)
			lane := ops.LaneAdmin
			switch {
			case tasks.OfMigration(task.Name):
				lane = ops.LaneMigrate
			case task.NoService:
				lane = ops.LaneDeploy
			}
			equal(t, "lane", task.Lane, lane)
			if task.TimeLimit <= 0 || len(task.Deciding) == 0 || task.Inputs == nil {
				t.Errorf("time limit %s, deciding fields %q, inputs %v: one is missing", task.TimeLimit, task.Deciding, task.Inputs)
			}
			for _, in := range task.Inputs {
				if in.Help == "" || in.Example == "" || in.Kind == "" {
					t.Errorf("input %s lacks help, example or kind", in.Name)
				}
				if slices.Contains(ops.Reserved(), in.Name) && in.Name != "mode" { // what a migration's has always been called
					t.Errorf("input %s: every form has a field of that name, so its own is called %s", in.Name, in.Field())
				}
				if in.List != (in.Name == task.TargetsInput) {
					t.Errorf("input %s: a list is what names targets, but the targets input is %q", in.Name, task.TargetsInput)
				}
			}
			equal(t, "any lane", task.AnyLane, task.Name == "canary")
			if err := task.CheckSchedule(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What needs no service must work without one: the launcher and undo rely on it.
func TestPureFunctionsNeedNoService(t *testing.T) {
	for _, task := range tasks.Catalog() {
		t.Run(string(task.Name), func(t *testing.T) {
			p, err := tasks.Bind(task.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := examples(t, &task)
			targets := p.Targets(v)
			if len(targets) == 0 {
				t.Fatal("the examples have no target")
			}
			ids := map[string]bool{}
			var effects []ops.Effect
			for _, target := range targets {
				if target.ID == "" || target.Label == "" || target.Value == "" || ids[target.ID] {
					t.Errorf("target %+v is incomplete or not unique", target)
				}
				ids[target.ID] = true
				effects = append(effects, ops.Effect{Target: target, Before: ops.State{}, After: ops.State{}})
			}
			if p.Check != nil {
				if err := p.Check(v); err != nil {
					t.Errorf("the examples are refused: %v", err)
				}
			}
			if p.Challenge != nil {
				p.Challenge(v, effects, len(effects))
			}
			if p.Notes != nil {
				for _, note := range p.Notes(v, effects) {
					if !strings.HasSuffix(note, ".") {
						t.Errorf("note %q is no sentence", note)
					}
				}
			}
			undo := p.Undo(v, "dev", effects)
			if !slices.ContainsFunc([]string{"synops run ", "cannot be undone: ", "nothing to undo: "}, func(s string) bool { return strings.HasPrefix(undo, s) }) {
				t.Errorf("undo is %q", undo)
			}
			if p.Plan == nil || p.Perform == nil {
				t.Error("it cannot plan or perform")
			}
		})
	}
}

// examples parses the examples of the task's inputs.
func examples(t *testing.T, task *ops.Task) ops.Values {
	t.Helper()
	raw := inputs{}
	for _, in := range task.Inputs {
		raw[in.Name] = in.Example
	}
	v, err := task.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Notes()) > 0 {
		t.Errorf("the examples are remarked upon: %q", v.Notes())
	}
	return v
}

func TestBindOfUnknownTaskSuggests(t *testing.T) {
	_, err := tasks.Bind("remove-users", nil)
	equal(t, "code", ops.CodeOf(err), ops.Invalid)
	contains(t, "error", err.Error(), `"remove-user"`)
}

// Undo commands of a long list name a file: the worker hands its name over as the
// target's value.
func TestUndoTakesAListFromAFile(t *testing.T) {
	_, v := parsed(t, "publish-dataset", inputs{"entities": "syn123"})
	p, err := tasks.Bind("publish-dataset", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := p.Undo(v, "dev", []ops.Effect{{Target: ops.Target{ID: "all", Value: "@undo-1.txt"}}})
	equal(t, "undo", got, "synops run unpublish-dataset entities=@undo-1.txt -e dev")
}
