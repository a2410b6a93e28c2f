package local

import (
	"fmt"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Process names a process so that no later one can pass for it: its number, when
// it began, and which start of the machine that was since: "4711/1234567/9b2f…".
// It returns "" when there is no such process.
func Process(pid int) string {
	began, ok, err := processBegan(pid)
	if err != nil || !ok {
		return ""
	}
	return fmt.Sprintf("%d/%s/%s", pid, began, bootID())
}

func parse(id string) (pid int, began, boot string) {
	parts := strings.SplitN(id, "/", 3)
	if len(parts) != 3 {
		return 0, "", ""
	}
	pid, _ = strconv.Atoi(parts[0])
	return pid, parts[1], parts[2]
}

// running tells whether the process named is still there.
func running(id string) (bool, error) {
	pid, began, boot := parse(id)
	if pid <= 1 {
		return false, ops.Errorf(ops.Invalid, "%s does not name a process.", ops.Quote(id))
	}
	if boot != bootID() {
		return false, nil // the machine was started anew since
	}
	now, ok, err := processBegan(pid)
	return ok && now == began, err
}
