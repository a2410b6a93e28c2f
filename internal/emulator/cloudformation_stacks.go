package emulator

import (
	"slices"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

func maskedParameters(t *cfn.Template, values map[string]string) []parameterXML {
	if t == nil {
		return nil
	}
	var out []parameterXML
	for _, p := range t.Parameters {
		v := values[p.Name]
		if p.NoEcho {
			v = "****"
		}
		out = append(out, parameterXML{p.Name, v})
	}
	return out
}

type stackXML struct {
	StackID                     string `xml:"StackId"`
	StackName                   string
	Description                 string `xml:",omitempty"`
	CreationTime                string
	LastUpdatedTime             string `xml:",omitempty"`
	DeletionTime                string `xml:",omitempty"`
	StackStatus                 string
	StackStatusReason           string `xml:",omitempty"`
	RoleARN                     string `xml:",omitempty"`
	DisableRollback             bool
	EnableTerminationProtection bool
	Capabilities                []string       `xml:"Capabilities>member"`
	Parameters                  []parameterXML `xml:"Parameters>member"`
	Outputs                     []outputXML    `xml:"Outputs>member"`
	DriftInformation            driftInfoXML
}

type outputXML struct {
	OutputKey, OutputValue string
	Description            string `xml:",omitempty"`
	ExportName             string `xml:",omitempty"`
}

type driftInfoXML struct {
	StackDriftStatus   string
	LastCheckTimestamp string `xml:",omitempty"`
}

// xml is called under the lock.
func (st *stack) xml() stackXML {
	out := stackXML{
		StackID: st.id, StackName: st.name, Description: st.description, CreationTime: stamp(st.created),
		StackStatus: st.status, StackStatusReason: st.reason, RoleARN: st.role, EnableTerminationProtection: st.protected,
		Capabilities: st.capabilities, Parameters: st.parametersXML(),
		DriftInformation: driftInfoXML{StackDriftStatus: "NOT_CHECKED"},
	}
	if !st.updated.IsZero() {
		out.LastUpdatedTime = stamp(st.updated)
	}
	if !st.deleted.IsZero() {
		out.DeletionTime = stamp(st.deleted)
	}
	if st.drift != "" {
		out.DriftInformation = driftInfoXML{st.drift, stamp(st.driftAt)}
	}
	for _, o := range st.outputs {
		out.Outputs = append(out.Outputs, outputXML{o.Name, o.Value, o.Description, o.Export})
	}
	return out
}

// describeStacks finds a deleted stack by its ID alone.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
func describeStacks(c *call) (any, error) {
	s, name := c.account.Stacks, c.param("StackName")
	var err error
	if name == "" {
		err = c.allow(question{action: "cloudformation:DescribeStacks", resource: "*"})
	} else {
		err = c.mayStack("DescribeStacks", name, nil)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := struct {
		Stacks []stackXML `xml:"Stacks>member"`
	}{}
	if name != "" {
		st := s.find(name)
		if st == nil {
			return nil, noStack(name)
		}
		out.Stacks = append(out.Stacks, st.xml())
		return out, nil
	}
	for _, st := range slices.Backward(s.stacks) {
		if st.status != "DELETE_COMPLETE" {
			out.Stacks = append(out.Stacks, st.xml())
		}
	}
	return out, nil
}

type stackSummaryXML struct {
	StackID           string `xml:"StackId"`
	StackName         string
	CreationTime      string
	LastUpdatedTime   string `xml:",omitempty"`
	DeletionTime      string `xml:",omitempty"`
	StackStatus       string
	StackStatusReason string `xml:",omitempty"`
	DriftInformation  driftInfoXML
}

func listStacks(c *call) (any, error) {
	if err := c.allow(question{action: "cloudformation:ListStacks", resource: "*"}); err != nil {
		return nil, err
	}
	filter := c.members("StackStatusFilter")
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	out := struct {
		StackSummaries []stackSummaryXML `xml:"StackSummaries>member"`
	}{}
	for _, st := range slices.Backward(s.stacks) {
		if len(filter) > 0 && !slices.Contains(filter, st.status) {
			continue
		}
		x := st.xml()
		out.StackSummaries = append(out.StackSummaries, stackSummaryXML{
			x.StackID, x.StackName, x.CreationTime, x.LastUpdatedTime, x.DeletionTime, x.StackStatus, x.StackStatusReason, x.DriftInformation,
		})
	}
	return out, nil
}

type eventXML struct {
	StackID              string `xml:"StackId"`
	EventID              string `xml:"EventId"`
	StackName            string
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId,omitempty"`
	ResourceType         string
	Timestamp            string
	ResourceStatus       string
	ResourceStatusReason string `xml:",omitempty"`
}

// eventsAPage is how many events a page has.
const eventsAPage = 100

// describeStackEvents answers the newest first.
func describeStackEvents(c *call) (any, error) {
	st, unlock, err := c.stack("DescribeStackEvents")
	if err != nil {
		return nil, err
	}
	defer unlock()
	newest := slices.Clone(st.events)
	slices.Reverse(newest)
	page, next, err := pageOf(newest, c.param("NextToken"), eventsAPage)
	if err != nil {
		return nil, err
	}
	out := struct {
		StackEvents []eventXML `xml:"StackEvents>member"`
		NextToken   string     `xml:",omitempty"`
	}{NextToken: next}
	for _, e := range page {
		out.StackEvents = append(out.StackEvents, eventXML{st.id, e.id, st.name, e.logical, e.physical, e.kind, stamp(e.at), e.status, e.reason})
	}
	return out, nil
}
