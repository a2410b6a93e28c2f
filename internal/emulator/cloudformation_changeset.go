package emulator

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// A changeSet is what a template would change about a stack.
type changeSet struct {
	id, name, kind string // kind is CREATE or UPDATE
	description    string
	body           string
	template       *cfn.Template
	parameters     map[string]string
	capabilities   []string
	role           string
	token          string // ClientToken; "" none
	executes       string // ClientRequestToken of who executes it
	created        time.Time
	status, reason string
	execution      string
	changes        []change
	onFailure      string
}

// A change is what would happen to one resource.
type change struct {
	action             string // Add, Modify, Remove
	id, kind, physical string
	replacement        string // of Modify: True, False, Conditional
	policy             string // what becomes of what is removed or replaced: Delete, Retain
	details            []changeDetail
}

// A changeDetail is one property that would change.
type changeDetail struct {
	property   string
	recreation string // Never, Always, Conditionally
	dynamic    bool   // whether it does is known once others are made
}

// Texts of a change set without changes. The second is UpdateStack's, and comes
// from change sets as well.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html
const (
	nothingSubmitted = "The submitted information didn't contain changes. Submit different information to create a change set."
	nothingToUpdate  = "No updates are to be performed."
)

var (
	changeSetName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
	stackName     = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
)

type changeSetID struct {
	ID      string `xml:"Id"`
	StackID string `xml:"StackId"`
}

// createChangeSet: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
func createChangeSet(c *call) (any, error) {
	s, name, role := c.account.Stacks, c.param("StackName"), c.param("RoleARN")
	keys := map[string][]string{"cloudformation:ChangeSetName": {c.param("ChangeSetName")}}
	if role != "" {
		keys["cloudformation:RoleArn"] = []string{role}
	}
	if err := c.mayStack("CreateChangeSet", name, keys); err != nil {
		return nil, err
	}
	if role != "" {
		if err := c.allow(passes(role, "cloudformation.amazonaws.com")); err != nil {
			return nil, err
		}
	}
	set, err := c.readChangeSet()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	st, err := s.target(name, set)
	if err == nil {
		err = set.fill(c, st)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := st.admit(set); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.status == "" {
		st.set("REVIEW_IN_PROGRESS", "User Initiated")
		s.stacks = append(s.stacks, st)
	}
	if o := st.changeSet(set.name); o != nil {
		if set.token != "" && o.token == set.token {
			return changeSetID{o.id, st.id}, nil // the same call again
		}
		return nil, fault("AlreadyExistsException", "ChangeSet %s already exists", set.name)
	}
	set.id = s.account.arn("cloudformation", "changeSet/"+set.name+"/"+requestID())
	st.changeSets = append(st.changeSets, set)
	s.account.cloud.background(func(ctx context.Context) { st.compute(ctx, set) })
	return changeSetID{set.id, st.id}, nil
}

// readChangeSet reads what the call says without the stack.
func (c *call) readChangeSet() (*changeSet, error) {
	set := &changeSet{
		name: c.param("ChangeSetName"), kind: c.param("ChangeSetType"), description: c.param("Description"),
		body: c.param("TemplateBody"), capabilities: c.members("Capabilities"), role: c.param("RoleARN"), token: c.param("ClientToken"),
		created: c.cloud.now(), status: "CREATE_PENDING", execution: "UNAVAILABLE", onFailure: c.param("OnStackFailure"),
	}
	if set.kind == "" {
		set.kind = "UPDATE"
	}
	switch {
	case !changeSetName.MatchString(set.name):
		return nil, fault("ValidationError", "1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint", set.name)
	case !stackName.MatchString(c.param("StackName")) && !strings.HasPrefix(c.param("StackName"), "arn:"):
		return nil, fault("ValidationError", "1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint", c.param("StackName"))
	case set.kind != "CREATE" && set.kind != "UPDATE":
		return nil, notModeled("CreateChangeSet", "ChangeSetType "+set.kind)
	case set.onFailure != "" && set.onFailure != "ROLLBACK":
		return nil, notModeled("CreateChangeSet", "OnStackFailure "+set.onFailure)
	case c.param("IncludeNestedStacks") == "true":
		return nil, notModeled("CreateChangeSet", "IncludeNestedStacks")
	}
	return set, nil
}

// target returns the stack that the change set is for: a new one, not yet listed,
// for CREATE. It is called under the lock.
func (s *CloudFormation) target(name string, set *changeSet) (*stack, error) {
	st := s.find(name)
	switch {
	case st == nil && set.kind == "CREATE":
		return s.newStack(name), nil
	case st == nil || set.kind == "UPDATE" && st.status == "REVIEW_IN_PROGRESS":
		return nil, fault("ValidationError", "Stack [%s] does not exist", name)
	case set.kind == "CREATE" && st.status != "REVIEW_IN_PROGRESS":
		return nil, fault("ValidationError", "Stack [%s] already exists and cannot be created again with the changeSet [%s].", st.name, set.name)
	case set.kind == "UPDATE" && !updatable(st.status):
		return nil, fault("ValidationError", "Stack:%s is in %s state and can not be updated.", st.id, st.status)
	}
	return st, nil
}

// updatable tells whether a stack in that status may be updated.
func updatable(status string) bool {
	return slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}, status)
}

// fill takes what the call leaves out from the stack: its template when asked to,
// its parameters where asked to, its role. A parameter left out falls back to the
// template's default. It is called under the lock.
func (set *changeSet) fill(c *call, st *stack) error {
	if c.param("UsePreviousTemplate") == "true" {
		set.body = st.body
	}
	if set.role == "" {
		set.role = st.role
	}
	var err error
	if set.template, err = readTemplate(set.body); err != nil {
		return err
	}
	set.parameters = map[string]string{}
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("Parameters.member.%d.", i)
		if !c.http.Form.Has(prefix + "ParameterKey") {
			break
		}
		key, value := c.param(prefix+"ParameterKey"), c.param(prefix+"ParameterValue")
		if c.param(prefix+"UsePreviousValue") == "true" {
			was, ok := st.parameters[key]
			if !ok {
				return fault("ValidationError", "Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", key)
			}
			value = was
		}
		set.parameters[key] = value
	}
	return set.checkParameters()
}

func (set *changeSet) checkParameters() error {
	var unknown, missing []string
	for _, key := range slices.Sorted(maps.Keys(set.parameters)) {
		if !slices.ContainsFunc(set.template.Parameters, func(p cfn.Parameter) bool { return p.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	for _, p := range set.template.Parameters {
		if _, ok := set.parameters[p.Name]; ok {
			continue
		}
		if !p.HasDefault {
			missing = append(missing, p.Name)
			continue
		}
		set.parameters[p.Name] = p.Default
	}
	switch {
	case len(unknown) > 0:
		return fault("ValidationError", "Parameters: [%s] do not exist in the template", strings.Join(unknown, ", "))
	case len(missing) > 0:
		return fault("ValidationError", "Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return nil
}

// admit asks what is asked before a change set is taken: that the template resolves,
// that types take its properties, that its powers are acknowledged.
func (st *stack) admit(set *changeSet) error {
	resolved, err := set.template.Resolve(st.expected(set, map[string]bool{}))
	if err != nil {
		return fault("ValidationError", "%v", err)
	}
	for _, r := range resolved.Resources {
		t, err := typeOf(r.Type)
		if err != nil {
			return err
		}
		if _, err := t.check(r.Properties); err != nil {
			return err
		}
	}
	return acknowledged(needs(resolved), set.capabilities)
}

// unknownYet stands for what is known once the change set was executed.
const unknownYet = "{{changeSet:KNOWN_AFTER_APPLY}}"

// expected is what the change set's template is resolved against before anything
// was made: the stack's resources as they are, but for those that are unknown.
func (st *stack) expected(set *changeSet, unknown map[string]bool) cfn.Environment {
	env := st.environment(set.parameters)
	physical, attr := env.Physical, env.Attr
	isUnknown := func(id string) bool {
		st.service.mu.Lock()
		defer st.service.mu.Unlock()
		return unknown[id] || st.resources[id] == nil
	}
	env.Physical = func(id string) (string, error) {
		if isUnknown(id) {
			return unknownYet, nil
		}
		return physical(id)
	}
	env.Attr = func(id, name string) (string, error) {
		if isUnknown(id) {
			return unknownYet, nil
		}
		return attr(id, name)
	}
	return env
}

// compute works out the changes.
func (st *stack) compute(ctx context.Context, set *changeSet) {
	s := st.service
	wait(ctx, s.account.cloud.settings.Stacks.Step)
	s.mu.Lock()
	set.status = "CREATE_IN_PROGRESS"
	s.mu.Unlock()
	wait(ctx, s.account.cloud.settings.Stacks.Step)
	changes, outputs, err := st.diff(set)
	s.mu.Lock()
	defer s.mu.Unlock()
	var reason string
	switch {
	case err != nil:
		reason = err.Error()
	case set.kind == "UPDATE" && len(changes) == 0 && set.body == st.body && maps.Equal(set.parameters, st.parameters):
		reason = nothingSubmitted
	case set.kind == "UPDATE" && len(changes) == 0 && slices.Equal(outputs, st.outputs):
		reason = nothingToUpdate
	default:
		set.status, set.execution, set.changes = "CREATE_COMPLETE", "AVAILABLE", changes
		return
	}
	set.status, set.reason = "FAILED", reason
}

// diff compares the template, resolved as far as it can be, with the stack.
func (st *stack) diff(set *changeSet) ([]change, []cfn.Output, error) {
	var changes []change
	unknown, kept := map[string]bool{}, map[string]bool{}
	outputs, err := set.template.Walk(st.expected(set, unknown), func(r cfn.Resource) error {
		kept[r.ID] = true
		t, err := typeOf(r.Type)
		if err != nil {
			return err
		}
		properties, err := t.check(r.Properties)
		if err != nil {
			return err
		}
		st.service.mu.Lock()
		old := st.resources[r.ID]
		st.service.mu.Unlock()
		one, differs := compareResource(t, r, properties, old)
		if differs {
			changes = append(changes, one)
		}
		if one.action == "Add" || one.replacement == "True" || one.replacement == "Conditional" {
			unknown[r.ID] = true
		}
		return nil
	})
	st.service.mu.Lock()
	defer st.service.mu.Unlock()
	for _, id := range slices.Backward(st.order) {
		if r := st.resources[id]; r != nil && !kept[id] {
			changes = append(changes, change{action: "Remove", id: id, kind: r.kind, physical: r.physical, policy: policyOr(r.deletion)})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return strings.Compare(a.id, b.id) })
	return changes, outputs, err
}

func policyOr(p string) string {
	if p == "" {
		return "Delete"
	}
	return p
}

// compareResource tells what the template changes about a resource.
func compareResource(t *resourceType, r cfn.Resource, properties map[string]any, old *stackResource) (change, bool) {
	c := change{id: r.ID, kind: r.Type}
	if old == nil {
		c.action = "Add"
		return c, true
	}
	c.action, c.physical, c.replacement = "Modify", old.physical, "False"
	if old.kind != r.Type {
		c.replacement, c.policy = "True", policyOr(old.replace)
		return c, true
	}
	for _, name := range differing(old.properties, properties) {
		d := changeDetail{property: name, recreation: "Never", dynamic: strings.Contains(fmt.Sprint(properties[name]), unknownYet)}
		if slices.Contains(t.replace, name) {
			d.recreation = "Always"
			if d.dynamic {
				d.recreation = "Conditionally"
			}
		}
		switch {
		case d.recreation == "Always":
			c.replacement, c.policy = "True", policyOr(r.UpdateReplacePolicy)
		case d.recreation == "Conditionally" && c.replacement == "False":
			c.replacement, c.policy = "Conditional", policyOr(r.UpdateReplacePolicy)
		}
		c.details = append(c.details, d)
	}
	return c, len(c.details) > 0 || old.deletion != r.DeletionPolicy || old.replace != r.UpdateReplacePolicy
}
