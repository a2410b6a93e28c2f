package ops

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// A Target is what one effect is about.
type Target struct {
	// ID names the effect within its run, such as "user/3350396". It never holds
	// personal data: an e-mail's is its place in the list, "email/2".
	ID string `json:"id"`
	// Label is the target for people, such as "user/3350396" or "j***@example.org".
	Label string `json:"target"`
	// Value is what the procedure works with. It may be personal and is in no
	// document.
	Value string `json:"-"`
}

// State is what is known of a target, by field. Values are JSON scalars, or lists
// or objects of them.
type State map[string]any

// Only returns the fields named, those that are there.
func (s State) Only(fields []string) State {
	out := State{}
	for _, f := range fields {
		if v, ok := s[f]; ok {
			out[f] = v
		}
	}
	return out
}

// plain returns s with what reading its JSON gives in place of structs and the
// like: their fields are sorted when they come back, so they must be when they go.
func (s State) plain() (State, error) {
	for _, v := range s {
		switch v.(type) {
		case nil, bool, string, int, int64, json.Number:
		default:
			return s.readBack()
		}
	}
	return s, nil
}

func (s State) readBack() (State, error) {
	b, err := CanonicalJSON(s)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var out State
	err = dec.Decode(&out)
	return out, err
}

// Differs names the fields, of those given, in which s and t differ, sorted.
func (s State) Differs(t State, fields []string) []string {
	var out []string
	for _, f := range fields {
		a, errA := CanonicalJSON(s[f])
		b, errB := CanonicalJSON(t[f])
		if errA != nil || errB != nil || string(a) != string(b) {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Masked returns s with the personal fields replaced by their keyed hash,
// "hmac:" and 16 hex digits, or by "[personal]" when key is nil. Empty and absent
// values stay as they are.
func (s State) Masked(personal []string, key []byte) State {
	if s == nil || len(personal) == 0 {
		return s
	}
	out := maps.Clone(s)
	for _, f := range personal {
		v, ok := out[f]
		if !ok || v == nil || v == "" {
			continue
		}
		if key == nil {
			out[f] = "[personal]"
			continue
		}
		b, _ := CanonicalJSON(v)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(f + "\x00"))
		mac.Write(b)
		out[f] = "hmac:" + hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return out
}

// Settling tells how an effect whose intent is open is settled: how a later
// attempt, or this one after a lost answer, learns whether it happened.
type Settling string

// The ways to settle.
const (
	// SettleRead: live state decides.
	SettleRead Settling = "read"
	// SettleResend: doing it again gives the same end state.
	SettleResend Settling = "resend"
	// SettleResume: it takes long, and a later attempt goes on from its checkpoints.
	// Before the first is saved nothing has been changed. In a run that may begin
	// nothing more it counts as failed, code canceled.
	SettleResume Settling = "resume"
	// SettlePerson: nothing can tell. The run ends failed, code unsettled.
	SettlePerson Settling = "person"
)

// An Effect is one planned change to one target.
type Effect struct {
	Target
	Summary string `json:"summary"` // one line: "verified: false → true"
	// Before is the state read while planning; nil where the service has no read,
	// and then BeforeAbsent says so.
	Before       State    `json:"before,omitempty"`
	BeforeAbsent string   `json:"before_absent,omitempty"`
	After        State    `json:"after,omitempty"` // as expected
	Settle       Settling `json:"settle"`
	// Nothing is to be done: the target already is as wanted.
	Nothing bool `json:"nothing,omitempty"`
	// Private is the personal before-image to keep 30 days; written before the
	// effect, in no other document.
	Private json.RawMessage `json:"-"`
}

// A Plan is what a procedure would change, worked out without changing it.
type Plan struct {
	Task        TaskName          `json:"task"`
	Version     int               `json:"task_version"`
	Environment EnvironmentName   `json:"environment"`
	Host        string            `json:"host"`
	Instance    string            `json:"instance,omitempty"` // as the service says
	Inputs      map[string]string `json:"inputs"`             // personal values masked
	Digest      Digest            `json:"plan_digest"`
	Challenge   string            `json:"challenge,omitempty"` // the answer to confirm with; absent: none is asked
	Effects     []Effect          `json:"effects"`
	// EffectsTotal counts all targets; it exceeds len(Effects) in a summary plan.
	EffectsTotal int `json:"effects_total"`
	// Summary: only the first effects were read; each other target is planned when
	// reached. ListDigest then binds the list.
	Summary    bool     `json:"summary,omitempty"`
	ListDigest Digest   `json:"list_digest,omitempty"`
	Notes      []string `json:"notes"`
}

// PlanInFull is the most targets that are planned one by one before a run
// begins. Above it a summary plan reads the first SummaryReads.
const (
	PlanInFull   = 1000
	SummaryReads = 20
)

// Seal computes the plan's digest from its task, version, the canonical inputs,
// environment, host (an environment may have several) and, per effect, ID, target and the deciding fields of its states.
// Notes, counts and other fields stay outside. The inputs are the true ones, not
// the masked ones that the plan shows.
func (p *Plan) Seal(task *Task, inputs map[string]string) {
	type line struct {
		ID     string `json:"id"`
		Target string `json:"target"`
		Before State  `json:"before"`
		After  State  `json:"after"`
	}
	doc := struct {
		Task        TaskName          `json:"task"`
		Version     int               `json:"version"`
		Inputs      map[string]string `json:"inputs"`
		Environment EnvironmentName   `json:"environment"`
		Host        string            `json:"host"`
		Effects     []line            `json:"effects"`
		Count       int               `json:"count"`
		List        Digest            `json:"list"`
	}{Task: p.Task, Version: p.Version, Inputs: inputs, Environment: p.Environment, Host: p.Host, Effects: []line{}, Count: p.EffectsTotal, List: p.ListDigest}
	if !p.Summary {
		for _, e := range p.Effects {
			doc.Effects = append(doc.Effects, line{e.ID, e.Label, e.Before.Only(task.Deciding), e.After.Only(task.Deciding)})
		}
	}
	b, err := CanonicalJSON(doc)
	if err != nil {
		panic(fmt.Sprintf("plan of %s holds what is not JSON: %v", p.Task, err))
	}
	p.Digest = DigestOf(b)
}

// Masked returns the plan with personal fields masked, as documents hold it. The
// challenge stays: a person must be able to answer it.
func (p *Plan) Masked(personal []string) *Plan {
	out := *p
	out.Effects = make([]Effect, len(p.Effects))
	for i, e := range p.Effects {
		e.Before, e.After, e.Private = e.Before.Masked(personal, nil), e.After.Masked(personal, nil), nil
		out.Effects[i] = e
	}
	return &out
}
