package emulator

import (
	"encoding/base32"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// Stacks is how stacks behave.
type Stacks struct {
	// Step is how long CloudFormation takes for a resource, a change set or the look
	// at a resource's drift. Real ones take seconds to minutes.
	Step time.Duration
}

// CloudFormation holds an account's stacks, those deleted included.
type CloudFormation struct {
	account *Account

	mu         sync.Mutex
	stacks     []*stack // oldest first
	detections map[string]*detection
}

// A stack is what was made of a template. Its fields change under the lock of its
// CloudFormation; while it is in progress, one goroutine alone changes it.
type stack struct {
	service     *CloudFormation
	id, name    string
	description string

	body         string // the template's text
	template     *cfn.Template
	parameters   map[string]string
	capabilities []string
	taken        map[string]bool // exports that it takes
	role         string          // ARN of the role that it changes with; "" that of who asks
	protected    bool

	status, reason            string
	created, updated, deleted time.Time

	outputs    []cfn.Output
	resources  map[string]*stackResource // by logical ID
	order      []string                  // logical IDs as they were made
	events     []stackEvent              // oldest first
	changeSets []*changeSet              // oldest first
	drift      string                    // "" never looked
	driftAt    time.Time
}

// A stackResource is one resource of a stack, as it was last made or changed.
type stackResource struct {
	id, kind, physical string
	status, reason     string
	updated            time.Time
	properties         map[string]any
	deletion, replace  string // policies; "" means Delete
}

// A stackEvent is one line of a stack's story.
type stackEvent struct {
	id, logical, physical, kind string
	status, reason              string
	at                          time.Time
}

const stackKind = "AWS::CloudFormation::Stack"

func newCloudFormation(a *Account) *CloudFormation {
	return &CloudFormation{account: a, detections: map[string]*detection{}}
}

// find returns a stack by ID, deleted or not, or by name when it is not deleted. It
// is called under the lock.
func (s *CloudFormation) find(nameOrID string) *stack {
	for _, st := range slices.Backward(s.stacks) {
		if st.id == nameOrID || st.name == nameOrID && st.status != "DELETE_COMPLETE" {
			return st
		}
	}
	return nil
}

func noStack(name string) *Fault {
	return fault("ValidationError", "Stack with id %s does not exist", name)
}

// stackARN is the ARN of a stack that may not be there, as policies see it.
func (s *CloudFormation) stackARN(nameOrID string) string {
	if strings.HasPrefix(nameOrID, "arn:") {
		return nameOrID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.find(nameOrID); st != nil {
		return st.id
	}
	return s.account.arn("cloudformation", "stack/"+nameOrID+"/*")
}

// may asks about one stack.
func (c *call) mayStack(action, nameOrID string, keys map[string][]string) error {
	return c.allow(question{action: "cloudformation:" + action, resource: c.account.Stacks.stackARN(nameOrID), keys: keys})
}

// stack is the stack that a call names, which it may see; locked until unlock.
func (c *call) stack(action string) (st *stack, unlock func(), err error) {
	name := c.param("StackName")
	if err := c.mayStack(action, name, nil); err != nil {
		return nil, nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	if st = s.find(name); st == nil {
		s.mu.Unlock()
		return nil, nil, noStack(name)
	}
	return st, s.mu.Unlock, nil
}

func (s *CloudFormation) newStack(name string) *stack {
	return &stack{
		service: s, name: name, id: s.account.arn("cloudformation", "stack/"+name+"/"+requestID()),
		created: s.account.cloud.now(), resources: map[string]*stackResource{},
	}
}

// inProgress tells whether something is at work on the stack.
func (st *stack) inProgress() bool {
	return strings.HasSuffix(st.status, "_IN_PROGRESS") && st.status != "REVIEW_IN_PROGRESS"
}

// set changes the stack's status and adds the event. It is called under the lock.
func (st *stack) set(status, reason string) {
	st.status, st.reason = status, reason
	st.event(stackEvent{logical: st.name, physical: st.id, kind: stackKind, status: status, reason: reason})
}

// note changes a resource's status and adds the event.
func (st *stack) note(r *stackResource, status, reason string) {
	st.service.mu.Lock()
	defer st.service.mu.Unlock()
	r.status, r.reason, r.updated = status, reason, st.service.account.cloud.now()
	st.event(stackEvent{logical: r.id, physical: r.physical, kind: r.kind, status: status, reason: reason})
}

func (st *stack) event(e stackEvent) {
	e.at, e.id = st.service.account.cloud.now(), requestID()
	if e.kind != stackKind {
		e.id = e.logical + "-" + e.status + "-" + e.id
	}
	st.events = append(st.events, e)
}

// environment is what the stack's template is resolved against: the resources as
// they are.
func (st *stack) environment(parameters map[string]string) cfn.Environment {
	s := st.service
	return cfn.Environment{
		Account: s.account.ID, Region: s.account.Region, StackName: st.name, StackID: st.id, Parameters: parameters,
		Physical: func(id string) (string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if r := st.resources[id]; r != nil {
				return r.physical, nil
			}
			return "", fault("ValidationError", "Resource %s is not there", id)
		},
		Attr: func(id, attr string) (string, error) {
			s.mu.Lock()
			r := st.resources[id]
			s.mu.Unlock()
			if r == nil {
				return "", fault("ValidationError", "Resource %s is not there", id)
			}
			return attribute(s.account, r.kind, r.physical, attr)
		},
		Import: func(name string) (string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if o, by := s.exported(name); by != nil {
				return o.Value, nil
			}
			return "", fault("ValidationError", "No export named %s found.", name)
		},
	}
}

// attribute tells an attribute of a resource.
func attribute(a *Account, kind, physical, name string) (string, error) {
	t, err := typeOf(kind)
	if err != nil {
		return "", err
	}
	if v, ok := t.attr(a, physical, name); ok {
		return v, nil
	}
	return "", notModeled(kind, "attribute "+name)
}

// physicalName makes a name as CloudFormation does: of stack, resource and chance,
// so that a replacement can stand beside what it replaces.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
func physicalName(stack, logical string, most int, lower bool) string {
	chance := base32.StdEncoding.EncodeToString(random(8))[:12]
	name := stack + "-" + logical
	if len(name) > most-13 {
		name = name[:most-13]
	}
	if name += "-" + chance; lower {
		return strings.ToLower(name)
	}
	return name
}

// Stack tells a stack's status and the reason, by name or ID; "" when there is none.
func (s *CloudFormation) Stack(nameOrID string) (status, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(nameOrID)
	if st == nil {
		return "", ""
	}
	return st.status, st.reason
}

// Resource tells the physical ID of a stack's resource; "" when there is none.
func (s *CloudFormation) Resource(stack, logicalID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(stack)
	if st == nil || st.resources[logicalID] == nil {
		return ""
	}
	return st.resources[logicalID].physical
}

// Types returns the resource types that are modeled, sorted.
func Types() []string { return slices.Sorted(maps.Keys(resourceTypes())) }

// mostTemplate is how long a template handed over in the call may be.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
const mostTemplate = 51200

// readTemplate reads a template and asks for what only types know: their
// properties are asked when the resources are resolved.
func readTemplate(body string) (*cfn.Template, error) {
	if len(body) > mostTemplate {
		return nil, fault("ValidationError", "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", mostTemplate)
	}
	t, err := cfn.Parse([]byte(body))
	if err != nil {
		return nil, fault("ValidationError", "Template format error: %v", err)
	}
	for _, kind := range slices.Sorted(maps.Values(t.Types)) {
		if _, err := typeOf(kind); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func typeOf(kind string) (*resourceType, error) {
	t := resourceTypes()[kind]
	if t == nil {
		return nil, notModeled("CloudFormation", "resource type "+kind)
	}
	return t, nil
}

// needs returns the capabilities that a template must be acknowledged with.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
func needs(stack *cfn.Stack) (capability string) {
	for _, r := range stack.Resources {
		t := resourceTypes()[r.Type]
		if t == nil || !t.iam {
			continue
		}
		if _, named := r.Properties[t.named]; named {
			return "CAPABILITY_NAMED_IAM"
		}
		capability = "CAPABILITY_IAM"
	}
	return capability
}

func acknowledged(capability string, given []string) error {
	if capability == "" || slices.Contains(given, capability) || slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return fault("InsufficientCapabilitiesException", "Requires capabilities : [%s]", capability)
}
