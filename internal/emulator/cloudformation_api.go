package emulator

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

func cloudFormationService() service {
	return &queryService{
		namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/",
		operations: map[string]operation{
			"CreateChangeSet": {do: createChangeSet, takes: []string{
				"StackName", "ChangeSetName", "ChangeSetType", "Description", "TemplateBody", "UsePreviousTemplate", "Parameters",
				"Capabilities", "RoleARN", "ClientToken", "OnStackFailure", "IncludeNestedStacks",
			}},
			"DescribeChangeSet": {do: describeChangeSet, takes: []string{"StackName", "ChangeSetName", "NextToken"}},
			"ListChangeSets":    {do: listChangeSets, takes: []string{"StackName", "NextToken"}},
			"ExecuteChangeSet":  {do: executeChangeSet, takes: []string{"StackName", "ChangeSetName", "ClientRequestToken"}},
			"DeleteChangeSet":   {do: deleteChangeSet, takes: []string{"StackName", "ChangeSetName"}},
			"DeleteStack":       {do: deleteStack, takes: []string{"StackName", "RoleARN", "ClientRequestToken"}},
			"UpdateTerminationProtection": {
				do: updateTerminationProtection, takes: []string{"StackName", "EnableTerminationProtection"},
			},
			"DescribeStacks":         {do: describeStacks, takes: []string{"StackName", "NextToken"}},
			"ListStacks":             {do: listStacks, takes: []string{"StackStatusFilter", "NextToken"}},
			"DescribeStackEvents":    {do: describeStackEvents, takes: []string{"StackName", "NextToken"}},
			"DescribeStackResources": {do: describeStackResources, takes: []string{"StackName", "LogicalResourceId"}},
			"GetTemplate":            {do: getTemplate, takes: []string{"StackName", "ChangeSetName", "TemplateStage"}},
			"ListExports":            {do: listExports, takes: []string{"NextToken"}},
			"DetectStackDrift":       {do: detectStackDrift, takes: []string{"StackName"}},
			"DescribeStackDriftDetectionStatus": {
				do: describeStackDriftDetectionStatus, takes: []string{"StackDriftDetectionId"},
			},
			"DescribeStackResourceDrifts": {
				do: describeStackResourceDrifts, takes: []string{"StackName", "StackResourceDriftStatusFilters", "NextToken", "MaxResults"},
			},
		},
	}
}

// changeSet returns the change set of a call, named by ARN or together with its
// stack, if the caller may do this with it.
func (c *call) changeSet(action string) (*stack, *changeSet, error) {
	s, name, set := c.account.Stacks, c.param("StackName"), c.param("ChangeSetName")
	s.mu.Lock()
	st := s.find(name)
	if name == "" {
		i := slices.IndexFunc(s.stacks, func(st *stack) bool { return st.changeSet(set) != nil })
		if i >= 0 {
			st = s.stacks[i]
			name = st.id
		}
	}
	s.mu.Unlock()
	if err := c.mayStack(action, cmp.Or(name, "*"), map[string][]string{"cloudformation:ChangeSetName": {set}}); err != nil {
		return nil, nil, err
	}
	if st == nil {
		if name == "" {
			return nil, nil, &Fault{"ChangeSetNotFound", "ChangeSet [" + set + "] does not exist", 404}
		}
		return nil, nil, noStack(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := st.changeSet(set)
	if found == nil {
		return nil, nil, &Fault{"ChangeSetNotFound", "ChangeSet [" + set + "] does not exist", 404}
	}
	return st, found, nil
}

// changeSet is called under the lock.
func (st *stack) changeSet(nameOrID string) *changeSet {
	i := slices.IndexFunc(st.changeSets, func(o *changeSet) bool { return o.name == nameOrID || o.id == nameOrID })
	if i < 0 {
		return nil
	}
	return st.changeSets[i]
}

type parameterXML struct{ ParameterKey, ParameterValue string }

// parametersXML hides the values of those that are not to be echoed.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func (set *changeSet) parametersXML() []parameterXML {
	return maskedParameters(set.template, set.parameters)
}

func (st *stack) parametersXML() []parameterXML { return maskedParameters(st.template, st.parameters) }

type changeSetXML struct {
	ChangeSetName   string
	ChangeSetID     string `xml:"ChangeSetId"`
	StackID         string `xml:"StackId"`
	StackName       string
	Description     string `xml:",omitempty"`
	CreationTime    string
	ExecutionStatus string
	Status          string
	StatusReason    string         `xml:",omitempty"`
	OnStackFailure  string         `xml:",omitempty"`
	Parameters      []parameterXML `xml:"Parameters>member"`
	Capabilities    []string       `xml:"Capabilities>member"`
	Changes         []changeXML    `xml:"Changes>member"`
	NextToken       string         `xml:",omitempty"`
}

type changeXML struct {
	Type           string
	ResourceChange resourceChangeXML
}

type resourceChangeXML struct {
	Action             string
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId,omitempty"`
	ResourceType       string
	Replacement        string      `xml:",omitempty"`
	PolicyAction       string      `xml:",omitempty"`
	Scope              []string    `xml:"Scope>member"`
	Details            []detailXML `xml:"Details>member"`
}

type detailXML struct {
	Target       targetXML
	Evaluation   string
	ChangeSource string
}

type targetXML struct {
	Attribute          string
	Name               string
	RequiresRecreation string
}

// changesAPage is how many changes a page of DescribeChangeSet has. AWS gives a
// size in bytes only.
const changesAPage = 20

func describeChangeSet(c *call) (any, error) {
	st, set, err := c.changeSet("DescribeChangeSet")
	if err != nil {
		return nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	out := changeSetXML{
		ChangeSetName: set.name, ChangeSetID: set.id, StackID: st.id, StackName: st.name, Description: set.description,
		CreationTime: stamp(set.created), ExecutionStatus: set.execution, Status: set.status, StatusReason: set.reason,
		OnStackFailure: set.onFailure, Parameters: set.parametersXML(), Capabilities: set.capabilities,
	}
	page, next, err := pageOf(set.changes, c.param("NextToken"), changesAPage)
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for _, ch := range page {
		out.Changes = append(out.Changes, changeXML{"Resource", ch.xml()})
	}
	return out, nil
}

// xml: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
func (ch change) xml() resourceChangeXML {
	out := resourceChangeXML{
		Action: ch.action, LogicalResourceID: ch.id, PhysicalResourceID: ch.physical, ResourceType: ch.kind,
		Replacement: ch.replacement,
	}
	switch {
	case ch.action == "Remove" && ch.policy == cfn.RetainExceptOnCreate:
		out.PolicyAction = "Retain"
	case ch.action == "Remove":
		out.PolicyAction = ch.policy
	case ch.replacement == "True" && ch.policy == "Retain":
		out.PolicyAction = "ReplaceAndRetain"
	case ch.replacement == "True":
		out.PolicyAction = "ReplaceAndDelete"
	}
	if len(ch.details) > 0 {
		out.Scope = []string{"Properties"}
	}
	for _, d := range ch.details {
		x := detailXML{targetXML{"Properties", d.property, d.recreation}, "Static", "DirectModification"}
		if d.dynamic {
			x.Evaluation, x.ChangeSource = "Dynamic", "ResourceReference"
		}
		out.Details = append(out.Details, x)
	}
	return out
}

func listChangeSets(c *call) (any, error) {
	st, unlock, err := c.stack("ListChangeSets")
	if err != nil {
		return nil, err
	}
	defer unlock()
	type summary struct {
		StackID                                              string `xml:"StackId"`
		StackName                                            string
		ChangeSetID                                          string `xml:"ChangeSetId"`
		ChangeSetName, ExecutionStatus, Status, CreationTime string
		StatusReason                                         string `xml:",omitempty"`
	}
	out := struct {
		Summaries []summary `xml:"Summaries>member"`
	}{}
	for _, set := range st.changeSets {
		out.Summaries = append(out.Summaries, summary{st.id, st.name, set.id, set.name, set.execution, set.status, stamp(set.created), set.reason})
	}
	return out, nil
}

// deleteChangeSet leaves the stack that was made for it in REVIEW_IN_PROGRESS. One
// that is not there counts as deleted.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteChangeSet.html
func deleteChangeSet(c *call) (any, error) {
	st, set, err := c.changeSet("DeleteChangeSet")
	if err != nil {
		if f, ok := errors.AsType[*Fault](err); ok && f.Code == "ChangeSetNotFound" {
			err = nil
		}
		return nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	if set.execution == "EXECUTE_IN_PROGRESS" || set.status == "CREATE_PENDING" || set.status == "CREATE_IN_PROGRESS" {
		return nil, fault("InvalidChangeSetStatus", "ChangeSet [%s] cannot be deleted in its current status of [%s]", set.id, set.status)
	}
	st.changeSets = slices.DeleteFunc(st.changeSets, func(o *changeSet) bool { return o == set })
	return nil, nil
}

func listExports(c *call) (any, error) {
	if err := c.allow(question{action: "cloudformation:ListExports", resource: "*"}); err != nil {
		return nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	type export struct {
		ExportingStackID string `xml:"ExportingStackId"`
		Name, Value      string
	}
	out := struct {
		Exports []export `xml:"Exports>member"`
	}{}
	for _, st := range s.stacks {
		for _, o := range st.outputs {
			if o.Export != "" {
				out.Exports = append(out.Exports, export{st.id, o.Export, o.Value})
			}
		}
	}
	return out, nil
}

func getTemplate(c *call) (any, error) {
	st, unlock, err := c.stack("GetTemplate")
	if err != nil {
		return nil, err
	}
	defer unlock()
	set := c.param("ChangeSetName")
	body := st.body
	if set != "" {
		found := st.changeSet(set)
		if found == nil {
			return nil, &Fault{"ChangeSetNotFound", "ChangeSet [" + set + "] does not exist", 404}
		}
		body = found.body
	}
	return struct {
		TemplateBody    string
		StagesAvailable []string `xml:"StagesAvailable>member"`
	}{body, []string{"Original", "Processed"}}, nil
}

type resourceXML struct {
	StackName            string
	StackID              string `xml:"StackId"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId,omitempty"`
	ResourceType         string
	Timestamp            string
	ResourceStatus       string
	ResourceStatusReason string `xml:",omitempty"`
}

func describeStackResources(c *call) (any, error) {
	st, unlock, err := c.stack("DescribeStackResources")
	if err != nil {
		return nil, err
	}
	defer unlock()
	only := c.param("LogicalResourceId")
	out := struct {
		StackResources []resourceXML `xml:"StackResources>member"`
	}{}
	for _, id := range slices.Sorted(maps.Keys(st.resources)) {
		r := st.resources[id]
		if only != "" && only != id {
			continue
		}
		out.StackResources = append(out.StackResources, resourceXML{st.name, st.id, r.id, r.physical, r.kind, stamp(r.updated), r.status, r.reason})
	}
	return out, nil
}
