package ops

import (
	"fmt"
	"strings"
	"time"
)

// RunID names a run and sorts by time: 20261123T141502Z-remove-user-3f9c.
type RunID string

const runIDTime = "20060102T150405Z"

var runIDPattern = Pattern(`^[0-9]{8}T[0-9]{6}Z-[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f]{4,16}$`)

// RunIDFrom returns what sorts before the IDs of all runs begun in t's second or
// later, and after those of all earlier ones.
func RunIDFrom(t time.Time) string { return t.UTC().Format(runIDTime) }

// NewRunID names a run of task begun at t. tail is at least 4 hex digits of
// chance.
func NewRunID(task TaskName, t time.Time, tail string) RunID {
	return RunID(t.UTC().Format(runIDTime) + "-" + string(task) + "-" + tail)
}

// scheduled stands in the name of a run that a schedule started.
const scheduled = "-scheduled"

// NewScheduledRunID names a run that a schedule started. The role that starts such
// runs can write no other's documents, and so cannot have any but a declared
// schedule performed: the name says so to the worker.
func NewScheduledRunID(task TaskName, t time.Time, tail string) RunID {
	return NewRunID(task+scheduled, t, tail)
}

// Scheduled tells whether a schedule started the run.
func (id RunID) Scheduled() bool {
	i := strings.LastIndexByte(string(id), '-')
	return i > 0 && strings.HasSuffix(string(id[:i]), scheduled)
}

// ParseRunID returns s as a RunID; the error is Invalid.
func ParseRunID(s string) (RunID, error) {
	id := RunID(s)
	// A time that is none, such as month 13, is printed as another one.
	if !runIDPattern().MatchString(s) || len(s) > 100 || id.Time().Format(runIDTime) != s[:len(runIDTime)] {
		return "", &Error{Code: Invalid, Message: Quote(s) + " is not a run ID.", Hint: `A run ID looks like 20261123T141502Z-remove-user-3f9c; "synops runs" lists them.`}
	}
	return id, nil
}

// Time returns when the run was asked for, to the second; zero when id is not a
// run ID.
func (id RunID) Time() time.Time {
	if len(id) < len(runIDTime) {
		return time.Time{}
	}
	t, _ := time.Parse(runIDTime, string(id[:len(runIDTime)]))
	return t
}

// Task returns the name of the run's task, as the ID tells it.
func (id RunID) Task() TaskName {
	s := string(id)
	if len(s) <= len(runIDTime)+1 {
		return ""
	}
	s = s[len(runIDTime)+1:]
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == '-' {
			return TaskName(strings.TrimSuffix(s[:i], scheduled))
		}
	}
	return ""
}

// RunRef tells where a run's documents are.
type RunRef struct {
	Lane Lane  `json:"lane"`
	Run  RunID `json:"run"`
}

// A Claim ties one asking (a workflow's job, a command on a laptop) to one run
// for ever, so that asking again attaches instead of starting twice.
type Claim struct {
	Run     RunID  `json:"run"`
	Lane    Lane   `json:"lane"`
	Request Digest `json:"request"`
}

// StartKind tells why an attempt was started.
type StartKind string

// The kinds of start.
const (
	StartRun      StartKind = "run"
	StartResume   StartKind = "resume"
	StartSettle   StartKind = "settle" // finish the clean-up of a canceled or lost run
	StartHandOver StartKind = "hand-over"
)

// A Start asks for attempt N of a run. It is what the person decided, so it holds
// the answer to the challenge, as a digest.
type Start struct {
	N          int       `json:"n"`
	Kind       StartKind `json:"kind"`
	Run        RunID     `json:"run"`
	Lane       Lane      `json:"lane"`
	Request    Digest    `json:"request"`
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	PlanDigest Digest    `json:"plan_digest,omitempty"` // bound to this plan; "": not bound
	// Approved is the plan that PlanDigest names, when it is at hand: to name the
	// difference if there is one.
	Approved *Plan `json:"approved,omitempty"`
	// Confirm is ConfirmDigest of the answer; "" when none was given.
	Confirm Digest `json:"confirm,omitempty"`
	// Bundle is the version of the bundle that the attempt's build runs; "" where it
	// is not pinned, as on one machine.
	Bundle string `json:"bundle,omitempty"`
	// Settle holds a person's answers by effect ID: true is done.
	Settle map[string]bool `json:"settle,omitempty"`
}

// Digest is that of the start's canonical form: an attempt's first journal entry names
// it, so that who asked for the attempt, and with which answers, is part of the record.
func (s *Start) Digest() (Digest, error) {
	data, err := CanonicalJSON(s)
	if err != nil {
		return "", err
	}
	return DigestOf(data), nil
}

// ConfirmDigest is the form in which a challenge's answer is kept and compared.
func ConfirmDigest(answer string) Digest {
	return DigestOf([]byte("confirm\x00" + answer))
}

// An Execution names what an engine started for one attempt, in the engine's own
// words: a pipeline execution, or a process.
type Execution struct {
	Engine string `json:"engine"`
	ID     string `json:"id"`
	// At is when the engine was asked for it, zero where it does not tell.
	At time.Time `json:"at,omitzero"`
}

// An Attempt is one worker's claim to be attempt N of a run.
type Attempt struct {
	N       int       `json:"n"`
	At      time.Time `json:"at"`
	Synops  string    `json:"synops"`
	Bundle  string    `json:"bundle,omitempty"` // version of the bundle that the build runs
	Host    string    `json:"host"`
	Process string    `json:"process"`          // as engine/local names processes
	Build   string    `json:"build,omitempty"`  // CodeBuild build ID
	Stream  string    `json:"stream,omitempty"` // log stream
}

// Progress tells how far a run is.
type Progress struct {
	Done   int64  `json:"done"`
	Failed int64  `json:"failed,omitempty"`
	Total  int64  `json:"total,omitempty"` // 0 when unknown
	Unit   string `json:"unit,omitempty"`
	Note   string `json:"note,omitempty"`
}

// A Heartbeat is a worker's sign of life. Advisory: nothing is decided by it
// alone.
type Heartbeat struct {
	Attempt  int       `json:"attempt"`
	At       time.Time `json:"at"` // by the worker's clock
	Phase    string    `json:"phase"`
	Progress Progress  `json:"progress"`
}

// What a worker in a build prints among its log for whoever counts lines, not for
// people: LineBeat about once a minute, LineEnded as its last when it ends orderly.
const (
	LineBeat  = "synops-heartbeat running"
	LineEnded = "synops-heartbeat ended"
)

// LostAfter is the age of the last heartbeat from which a run reads as lost.
const LostAfter = 2 * time.Minute

// A CancelMarker asks a run to end. Once it is there no start, resume or new
// effect passes.
type CancelMarker struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// A Freeze stops every run of an environment from starting effects.
type Freeze struct {
	Environment EnvironmentName `json:"environment"`
	N           int             `json:"n"`
	By          string          `json:"by"`
	Reason      string          `json:"reason"`
	At          time.Time       `json:"at"`
	// LiftedBy and LiftedAt are set when the freeze is over.
	LiftedBy string    `json:"lifted_by,omitempty"`
	LiftedAt time.Time `json:"lifted_at,omitzero"`
}

// IndexEntry is the small document that listings walk.
type IndexEntry struct {
	Run         RunID           `json:"run"`
	Lane        Lane            `json:"lane"`
	Environment EnvironmentName `json:"environment"`
	Requester   string          `json:"requester"`
	Reason      string          `json:"reason,omitempty"`
}

// Outcome is how a run ended.
type Outcome string

// The outcomes. Failed may be resumed; the others are final.
const (
	Succeeded   Outcome = "succeeded"
	RunRefused  Outcome = "refused"
	RunFailed   Outcome = "failed"
	RunCanceled Outcome = "canceled"
)

// Final tells whether nothing can follow: a failed run may be resumed.
func (o Outcome) Final() bool { return o == Succeeded || o == RunRefused || o == RunCanceled }

// EffectResult is one effect's line in a result. Personal fields are masked.
type EffectResult struct {
	ID      string        `json:"id"`
	Target  string        `json:"target"`
	Summary string        `json:"summary"`
	Outcome EffectOutcome `json:"outcome"`
	Before  State         `json:"before,omitempty"`
	After   State         `json:"after,omitempty"`
	Code    Code          `json:"code,omitempty"`
	Message string        `json:"message,omitempty"`
}

// MostEffects is how many effects a Result holds in itself.
const MostEffects = 1000

// Result is how a run, or one attempt of it, ended.
type Result struct {
	Run          RunID                 `json:"run"`
	Attempt      int                   `json:"attempt"`
	Task         TaskName              `json:"task"`
	Environment  EnvironmentName       `json:"environment"`
	Outcome      Outcome               `json:"outcome"`
	Code         Code                  `json:"code,omitempty"`
	Guard        string                `json:"guard,omitempty"` // that refused the run
	Message      string                `json:"message"`
	PlanDigest   Digest                `json:"plan_digest,omitempty"`
	Effects      []EffectResult        `json:"effects"` // at most MostEffects, failures first
	EffectsTotal int                   `json:"effects_total"`
	EffectsFile  string                `json:"effects_file,omitempty"` // JSONL artifact of all effects
	Counts       map[EffectOutcome]int `json:"counts"`
	Undo         string                `json:"undo,omitempty"`
	Artifacts    []Artifact            `json:"artifacts,omitempty"`
	Notes        []string              `json:"notes,omitempty"`
	// Changed, Unchanged and Next are one line each: what was changed, what was
	// not, what to do next.
	Changed   string    `json:"changed"`
	Unchanged string    `json:"unchanged,omitempty"`
	Next      string    `json:"next,omitempty"`
	Requester string    `json:"requester,omitempty"`
	Started   time.Time `json:"started"` // of the run's first attempt
	Ended     time.Time `json:"ended"`
	// JournalEntries and JournalHead bind the journal's end: dropping its last
	// entries shows.
	JournalEntries int64  `json:"journal_entries"`
	JournalHead    Digest `json:"journal_head,omitempty"`
}

// An Artifact is a file that a run keeps.
type Artifact struct {
	Name   string `json:"name"`
	Path   string `json:"path"` // the store's URL of it
	Size   int64  `json:"size"`
	Digest Digest `json:"digest"`
}

// RunState is how a run is, derived from its documents and never stored.
type RunState string

// The states of a run.
const (
	StateQueued  RunState = "queued"  // started, no worker yet
	StateRunning RunState = "running" // an attempt has begun and has written no result
	StateEnded   RunState = "ended"   // the newest attempt wrote a result
	StateWaiting RunState = "waiting" // a staged run of which no stage is under way
)

// A RunStatus is what a run's documents say of it at one moment.
type RunStatus struct {
	RunRef
	Request   *Request
	Starts    []Start
	Attempts  []Attempt
	Result    *Result // the newest; nil while none
	Cancel    *CancelMarker
	Heartbeat *Heartbeat
	// HeartbeatAge is by the store's clock; meaningless without Heartbeat.
	HeartbeatAge time.Duration
}

// State derives the run's state: a result belongs to the newest start, or the run
// has been started again since.
func (s *RunStatus) State() RunState {
	newest := 0
	if len(s.Starts) > 0 {
		newest = s.Starts[len(s.Starts)-1].N
	}
	switch {
	case s.Result != nil && (s.Result.Outcome.Final() || s.Result.Attempt >= newest):
		return StateEnded
	case len(s.Attempts) > 0 && s.Attempts[len(s.Attempts)-1].N >= newest:
		return StateRunning
	}
	return StateQueued
}

// Attempt returns the newest attempt, or nil.
func (s *RunStatus) Attempt() *Attempt {
	if len(s.Attempts) == 0 {
		return nil
	}
	return &s.Attempts[len(s.Attempts)-1]
}

// String describes the state in a few words for people.
func (s *RunStatus) String() string {
	switch s.State() {
	case StateEnded:
		return string(s.Result.Outcome)
	case StateRunning:
		return fmt.Sprintf("running (attempt %d)", s.Attempt().N)
	}
	return "queued"
}
