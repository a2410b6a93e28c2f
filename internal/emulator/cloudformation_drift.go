package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A detection is one look for drift.
type detection struct {
	id, stack      string
	status, reason string // of the looking
	drift          string // DRIFTED or IN_SYNC
	at             time.Time
	resources      []resourceDrift
}

// A resourceDrift is how far a resource is from its template.
type resourceDrift struct {
	logical, physical, kind string
	status                  string // IN_SYNC, MODIFIED, DELETED
	expected, actual        string // properties, JSON
	differences             []propertyDifference
	at                      time.Time
}

type propertyDifference struct {
	PropertyPath, ExpectedValue, ActualValue string
	DifferenceType                           string // ADD, REMOVE, NOT_EQUAL
}

// detectStackDrift looks at every resource with the permissions of who asks. Only
// properties that the template gives are compared.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html
func detectStackDrift(c *call) (any, error) {
	s, name := c.account.Stacks, c.param("StackName")
	for _, action := range []string{"DetectStackDrift", "DetectStackResourceDrift"} {
		if err := c.mayStack(action, name, nil); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(name)
	switch {
	case st == nil || st.status == "DELETE_COMPLETE":
		return nil, noStack(name)
	case !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"}, st.status):
		return nil, fault("ValidationError", "Drift detection cannot be performed on stack [%s] while it is in %s state", st.name, st.status)
	}
	d := &detection{id: requestID(), stack: st.id, status: "DETECTION_IN_PROGRESS", at: c.cloud.now()}
	s.detections[d.id] = d
	caller := c.caller
	c.cloud.background(func(ctx context.Context) { st.detect(ctx, d, caller) })
	return struct {
		StackDriftDetectionID string `xml:"StackDriftDetectionId"`
	}{d.id}, nil
}

func (st *stack) detect(ctx context.Context, d *detection, who *Caller) {
	s := st.service
	s.mu.Lock()
	var list []*stackResource
	for _, id := range st.order {
		r := *st.resources[id]
		list = append(list, &r)
	}
	s.mu.Unlock()
	var found []resourceDrift
	var failed error
	for _, r := range list {
		wait(ctx, s.account.cloud.settings.Stacks.Step)
		one, err := st.look(r, who)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		found = append(found, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.resources, d.drift, d.status, d.at = found, "IN_SYNC", "DETECTION_COMPLETE", s.account.cloud.now()
	if slices.ContainsFunc(found, func(r resourceDrift) bool { return r.status != "IN_SYNC" }) {
		d.drift = "DRIFTED"
	}
	if failed != nil {
		d.status, d.reason = "DETECTION_FAILED", "Failed to detect drift on some resources: "+failed.Error()
	}
	st.drift, st.driftAt = d.drift, d.at
}

// look compares one resource with what the template made it.
func (st *stack) look(r *stackResource, who *Caller) (resourceDrift, error) {
	a := st.service.account
	d := resourceDrift{logical: r.id, physical: r.physical, kind: r.kind, status: "IN_SYNC", at: a.cloud.now()}
	t, err := typeOf(r.kind)
	if err != nil {
		return d, err
	}
	questions, err := t.asks(a, reads, r.physical, nil, nil)
	if err != nil {
		return d, err
	}
	for _, q := range questions {
		q.keys = merged(q.keys, map[string][]string{"aws:ViaAWSService": {"true"}})
		if err := a.cloud.allow(who, q, queryDialect); err != nil {
			return d, err
		}
	}
	live, there, err := t.read(a, r.physical)
	if err != nil {
		return d, err
	}
	d.expected = jsonText(r.properties)
	if !there {
		d.status = "DELETED"
		return d, nil
	}
	actual := map[string]any{}
	for _, name := range differing(r.properties, live) {
		want, given := r.properties[name]
		if !given || !settled(want) && live[name] == nil {
			continue
		}
		p := propertyDifference{"/" + name, jsonText(want), jsonText(live[name]), "NOT_EQUAL"}
		if live[name] == nil {
			p.DifferenceType = "REMOVE"
		}
		d.status, d.differences = "MODIFIED", append(d.differences, p)
	}
	for name := range r.properties {
		actual[name] = live[name]
	}
	d.actual = jsonText(actual)
	return d, nil
}

// settled tells whether a value says anything: an empty list and none are one.
func settled(v any) bool {
	switch v := plain(v).(type) {
	case nil:
		return false
	case string:
		return v != ""
	case bool:
		return v
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	case float64:
		return v != 0
	}
	return true
}

// jsonText writes a value for a person: a text as it is, anything else as JSON.
func jsonText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

type detectionXML struct {
	StackID                   string `xml:"StackId"`
	StackDriftDetectionID     string `xml:"StackDriftDetectionId"`
	StackDriftStatus          string `xml:",omitempty"`
	DetectionStatus           string
	DetectionStatusReason     string `xml:",omitempty"`
	DriftedStackResourceCount *int
	Timestamp                 string
}

func describeStackDriftDetectionStatus(c *call) (any, error) {
	if err := c.allow(question{action: "cloudformation:DescribeStackDriftDetectionStatus", resource: "*"}); err != nil {
		return nil, err
	}
	s := c.account.Stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.detections[c.param("StackDriftDetectionId")]
	if d == nil {
		return nil, fault("ValidationError", "No drift detection found with id %s", c.param("StackDriftDetectionId"))
	}
	out := detectionXML{StackID: d.stack, StackDriftDetectionID: d.id, DetectionStatus: d.status, DetectionStatusReason: d.reason, Timestamp: stamp(d.at)}
	if d.status != "DETECTION_IN_PROGRESS" {
		n := 0
		for _, r := range d.resources {
			if r.status != "IN_SYNC" {
				n++
			}
		}
		out.StackDriftStatus, out.DriftedStackResourceCount = d.drift, &n
	}
	return out, nil
}

type driftXML struct {
	StackID                  string `xml:"StackId"`
	LogicalResourceID        string `xml:"LogicalResourceId"`
	PhysicalResourceID       string `xml:"PhysicalResourceId"`
	ResourceType             string
	ExpectedProperties       string               `xml:",omitempty"`
	ActualProperties         string               `xml:",omitempty"`
	PropertyDifferences      []propertyDifference `xml:"PropertyDifferences>member"`
	StackResourceDriftStatus string
	Timestamp                string
}

// describeStackResourceDrifts answers what the newest look has found.
func describeStackResourceDrifts(c *call) (any, error) {
	st, unlock, err := c.stack("DescribeStackResourceDrifts")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var newest *detection
	for _, d := range c.account.Stacks.detections {
		if d.stack == st.id && d.status != "DETECTION_IN_PROGRESS" && (newest == nil || d.at.After(newest.at)) {
			newest = d
		}
	}
	out := struct {
		StackResourceDrifts []driftXML `xml:"StackResourceDrifts>member"`
	}{}
	filter := c.members("StackResourceDriftStatusFilters")
	if newest == nil {
		return out, nil
	}
	for _, r := range newest.resources {
		if len(filter) > 0 && !slices.Contains(filter, r.status) {
			continue
		}
		out.StackResourceDrifts = append(out.StackResourceDrifts, driftXML{
			st.id, r.logical, r.physical, r.kind, r.expected, r.actual, r.differences, r.status, stamp(r.at),
		})
	}
	return out, nil
}
