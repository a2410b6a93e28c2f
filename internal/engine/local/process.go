package local

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Process names a process so that no later one can pass for it: its number, when
// it began, and since which start of which machine that counts:
// "4711/1234567/9b2f…". It returns "" when there is no such process.
func Process(pid int) string {
	began, ok, err := processBegan(pid)
	if err != nil || !ok {
		return ""
	}
	return name(pid, began)
}

// child names a process that we started and have not reaped. It may have ended
// already and is named all the same: one without a name could never be told to be
// gone, and its run would be waited for without end.
func child(pid int) string {
	began, _, err := processBegan(pid)
	if err != nil || began == "" {
		return ""
	}
	return name(pid, began)
}

func name(pid int, began string) string {
	return fmt.Sprintf("%d/%s/%s", pid, began, machine())
}

func parse(id string) (pid int, began, machine string) {
	parts := strings.SplitN(id, "/", 3)
	if len(parts) != 3 {
		return 0, "", ""
	}
	pid, _ = strconv.Atoi(parts[0])
	return pid, parts[1], parts[2]
}

// machine names this start of this machine, and the table of processes that this
// process sees of it: another container on it has another.
var machine = sync.OnceValue(func() string {
	if table := processTable(); table != "" {
		return bootID() + "/" + table
	}
	return bootID()
})

// errElsewhere: the process may be there, but is not to be seen from here.
var errElsewhere = errors.New("the process is of another container on this machine")

// running tells whether the process named is still there; errElsewhere when that
// cannot be told from here.
func running(id string) (bool, error) {
	pid, began, since := parse(id)
	if pid <= 1 {
		return false, ops.Errorf(ops.Invalid, "%s does not name a process.", ops.Quote(id))
	}
	if since != machine() {
		was, _, _ := strings.Cut(since, "/")
		if was == bootID() {
			return false, errElsewhere
		}
		return false, nil // the machine was started anew since
	}
	now, ok, err := processBegan(pid)
	return ok && now == began, err
}
