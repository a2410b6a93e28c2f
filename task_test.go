package ops_test

import (
	"encoding/json"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestMostTargets: an environment raises a task's limit and never lowers it.
func TestMostTargets(t *testing.T) {
	for _, c := range []struct {
		name string
		task ops.Task
		env  *ops.Environment
		want int
	}{
		{"default", ops.Task{Class: ops.Changes}, nil, 500},
		{"destroys", ops.Task{Class: ops.Destroys}, nil, 50},
		{"its own", ops.Task{Class: ops.Destroys, MaxTargets: 5}, &ops.Environment{}, 5},
		{"raised", ops.Task{Class: ops.Destroys}, &ops.Environment{MaxTargets: 312}, 312},
		{"not lowered", ops.Task{Class: ops.Changes}, &ops.Environment{MaxTargets: 10}, 500},
	} {
		if got := c.task.MostTargets(c.env); got != c.want {
			t.Errorf("%s: MostTargets = %d, want %d", c.name, got, c.want)
		}
	}
}

// TestTaskJSON: the time limit has its unit with it.
func TestTaskJSON(t *testing.T) {
	for limit, want := range map[time.Duration]string{36 * time.Hour: "36h", 30 * time.Minute: "30m", 90 * time.Minute: "1h30m", 10*time.Hour + 10*time.Second: "10h0m10s", 0: "0s"} {
		var got struct {
			Name  string
			Limit string `json:"time_limit"`
		}
		data, err := json.Marshal(&ops.Task{Name: "canary", TimeLimit: limit})
		if err == nil {
			err = json.Unmarshal(data, &got)
		}
		if err != nil || got.Name != "canary" || got.Limit != want {
			t.Errorf("%s: %v, %+v, want %s", limit, err, got, want)
		}
	}
}

func TestTask(t *testing.T) {
	task := ops.Task{Name: "x", Noun: "user", Plural: "users", Inputs: []ops.Input{{Name: "a"}, {Name: "b"}}, Environments: []ops.EnvironmentName{"dev"}}
	if task.Input("b") != &task.Inputs[1] || task.Input("c") != nil {
		t.Error("Input finds another than the one named")
	}
	if !task.Offered("dev") || task.Offered("prod") || !(&ops.Task{}).Offered("prod") {
		t.Error("Offered does not follow the list of environments")
	}
	for n, want := range map[int]string{0: "0 users", 1: "1 user", 312: "312 users"} {
		if got := task.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	catalog := ops.Catalog{{Name: "x"}, {Name: "y"}}
	if got, err := catalog.Task("y"); err != nil || got != &catalog[1] {
		t.Errorf("Task(y) = %v, %v", got, err)
	}
	if _, err := catalog.Task("entirely-else"); ops.CodeOf(err) != ops.Invalid || err.Error() != `there is no task "entirely-else". "synops tasks" lists all.` {
		t.Errorf("got %v", err)
	}
}

// TestLoopback decides where plain http and an unbounded pace are allowed: a name
// that merely looks local must not pass.
func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:9": true, "https://127.0.0.1": true,
		"http://127.0.0.1.evil.example": false, "http://localhost.evil.example": false, "http://127.0.0.1@evil.example": false,
		"http://evil.example/127.0.0.1": false, "http://evil.example#@127.0.0.1": false, "https://repo-prod.prod.sagebase.org": false, "127.0.0.1": false, "": false, "http://[::1": false,
	} {
		if got := ops.Loopback(host); got != want {
			t.Errorf("Loopback(%q) = %v, want %v", host, got, want)
		}
	}
}

// TestAllows compares hosts exactly: a prefix is another host.
func TestAllows(t *testing.T) {
	env := ops.Environment{Hosts: []string{"https://repo-dev.dev.sagebase.org"}}
	for host, want := range map[string]bool{
		"https://repo-dev.dev.sagebase.org": true, "https://repo-dev.dev.sagebase.org/": false, "http://repo-dev.dev.sagebase.org": false,
		"https://repo-dev.dev.sagebase.org.evil.example": false, "https://repo-prod.prod.sagebase.org": false, "": false,
	} {
		if got := env.Allows(host); got != want {
			t.Errorf("Allows(%q) = %v, want %v", host, got, want)
		}
	}
}
