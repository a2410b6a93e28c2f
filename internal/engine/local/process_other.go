//go:build !linux

package local

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// processBegan returns when pid began, as ps tells; false when it is gone, or
// a zombie, of which it still tells the beginning.
func processBegan(pid int) (string, bool, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("asking for process %d: %w", pid, err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 {
		return "", false, nil
	}
	return strings.Join(fields[1:], "_"), !strings.HasPrefix(fields[0], "Z"), nil
}

// bootID changes with each start of the machine.
var bootID = sync.OnceValue(func() string {
	out, err := exec.Command("sysctl", "-n", "kern.boottime").Output()
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "/", "_")), "_")
})

// processTable is the same for every process here.
func processTable() string { return "" }
