package ops

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TaskName names a task: lower-case words joined by hyphens, such as
// "verify-oauth-client".
type TaskName string

// Class tells what a task may do; it decides which guards are compulsory.
type Class string

// The classes. Only Reads never journals an effect on the service; Destroys asks
// for a challenge.
const (
	Reads    Class = "reads"
	Changes  Class = "changes"
	Destroys Class = "destroys"
)

// A Task is an operation on offer. It is pure data: the code behind it is its
// Procedure.
type Task struct {
	Name    TaskName `json:"name"`
	Version int      `json:"version"` // counts up when the meaning of a plan changes
	Title   string   `json:"title"`
	Summary string   `json:"summary"` // one sentence: what it changes
	Details string   `json:"details"` // what an operator must know before running it
	Undo    string   `json:"undo"`    // how to undo, in a sentence
	Inputs  []Input  `json:"inputs"`
	Class   Class    `json:"class"`
	Lane    Lane     `json:"lane"`
	// AnyLane lets the requester choose the lane (the canary, which proves lanes).
	AnyLane      bool              `json:"any_lane,omitempty"`
	Environments []EnvironmentName `json:"environments,omitempty"` // empty: all
	TimeLimit    time.Duration     `json:"-"`                      // of the run, over all attempts; in JSON as time_limit
	// MaxTargets is the most targets one run may have. Zero: 500, or 50 where the
	// task destroys. An environment's max_targets raises it.
	MaxTargets int `json:"max_targets,omitempty"`
	// TargetsInput names the input that lists the targets; "" when the run has one
	// target that is not an input.
	TargetsInput string `json:"targets_input,omitempty"`
	Noun         string `json:"noun"`  // what one target is called: "user"
	Plural       string `json:"nouns"` // and several: "users"
	// Deciding names the fields of a state that bind a plan: when one differs, the
	// plan is another plan.
	Deciding []string `json:"deciding"`
	// Personal names the fields of a state that are personal data: journals,
	// results and logs hold their keyed hash.
	Personal []string `json:"personal,omitempty"`
	// Exempt: every path the task calls answers while the stack is READ_ONLY or
	// DOWN (the substring rule of the maintenance filter).
	Exempt bool `json:"exempt,omitempty"`
	// Lease names what the task must hold alone, such as "users"; "" for none. An
	// input's name in braces stands for its value: "stack/{instance}".
	Lease string `json:"lease,omitempty"`
	// Constants are what the environment's file says for this task, typed as inputs
	// are. One that has an input's name is that input's value where none is given.
	Constants []Input `json:"constants,omitempty"`
	// Stages are the runs of other tasks, in order, that carry this one out; nil for
	// a task that a worker carries out.
	Stages []Stage `json:"stages,omitempty"`
	// NoService: the task asks nothing of the environment's Synapse host that needs the
	// administrator's token. It is not read, and no guard common to all tasks asks the
	// service.
	NoService bool `json:"no_service,omitempty"`
	// Schedule is when the task may start by itself; nil: never.
	Schedule *Schedule `json:"schedule,omitempty"`
}

// MarshalJSON writes the time limit as flags take it, "8h" or "30m": a bare number
// would leave its unit to be guessed.
func (t Task) MarshalJSON() ([]byte, error) {
	type task Task
	limit := t.TimeLimit.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if s, ok := strings.CutSuffix(limit, zero); ok {
			limit = s + zero[:1]
		}
	}
	return json.Marshal(struct {
		task
		TimeLimit string `json:"time_limit"`
	}{task(t), limit})
}

// Input returns the input called name, or nil.
func (t *Task) Input(name string) *Input {
	for i := range t.Inputs {
		if t.Inputs[i].Name == name {
			return &t.Inputs[i]
		}
	}
	return nil
}

// LeaseFor is the lease that a run with these values must hold, "" for none.
func (t *Task) LeaseFor(v Values) string {
	name := t.Lease
	for _, in := range t.Inputs {
		name = strings.ReplaceAll(name, "{"+in.Name+"}", v.Text(in.Name))
	}
	return name
}

// Offered tells whether the task may run in an environment.
func (t *Task) Offered(env EnvironmentName) bool {
	return len(t.Environments) == 0 || slices.Contains(t.Environments, env)
}

// MostTargets is the most targets one run may have in env.
func (t *Task) MostTargets(env *Environment) int {
	most := t.MaxTargets
	if most == 0 {
		most = 500
		if t.Class == Destroys {
			most = 50
		}
	}
	if env != nil && env.MaxTargets > most {
		most = env.MaxTargets
	}
	return most
}

// Count renders a number of the task's targets: "1 user", "312 users".
func (t *Task) Count(n int) string {
	if n == 1 {
		return "1 " + t.Noun
	}
	return fmt.Sprintf("%d %s", n, t.Plural)
}

// A Catalog is all tasks, in the order they are listed.
type Catalog []Task

// Task returns the task called name. When there is none the error is Invalid and
// suggests the nearest name.
func (c Catalog) Task(name TaskName) (*Task, error) {
	names := make([]string, len(c))
	for i := range c {
		if c[i].Name == name {
			return &c[i], nil
		}
		names[i] = string(c[i].Name)
	}
	e := Errorf(Invalid, "there is no task %s.", Quote(string(name)))
	if near := Nearest(string(name), names); near != "" {
		e.Hint = fmt.Sprintf("Did you mean %q? \"synops tasks\" lists all.", near)
	} else {
		e.Hint = "\"synops tasks\" lists all."
	}
	return nil, e
}

// Nearest returns the name closest to s by edit distance, or "" when none is
// close enough to be a slip of the finger.
func Nearest(s string, names []string) string {
	best, bestName := len([]rune(s))/3+2, ""
	for _, n := range names {
		if d := distance(s, n, best); d < best {
			best, bestName = d, n
		}
	}
	return bestName
}

// distance is Levenshtein's, given up on once it reaches limit.
func distance(a, b string, limit int) int {
	ra, rb := []rune(a), []rune(b)
	if d := len(ra) - len(rb); d >= limit || -d >= limit {
		return limit
	}
	prev := make([]int, len(rb)+1)
	for j := range prev {
		prev[j] = j
	}
	for i, ca := range ra {
		cur := make([]int, len(rb)+1)
		cur[0] = i + 1
		for j, cb := range rb {
			cost := 1
			if ca == cb {
				cost = 0
			}
			cur[j+1] = min(cur[j]+1, prev[j+1]+1, prev[j]+cost)
		}
		prev = cur
	}
	return prev[len(rb)]
}
