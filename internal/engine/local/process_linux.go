package local

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// processBegan returns when pid began, in clock ticks since the machine's start
// (field 22 of /proc/PID/stat, see proc(5)); false when it is gone, or a zombie, of
// which it still tells the beginning.
func processBegan(pid int) (string, bool, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("asking for process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses and may hold anything.
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 20 {
		return "", false, fmt.Errorf("asking for process %d: its state is not understood", pid)
	}
	// A killed process reads as a zombie while a thread of it still finishes a
	// write to the disk: it is gone when no other thread is left (field 20).
	if fields[0] == "X" || fields[0] == "Z" && len(fields[17]) == 1 && fields[17] <= "1" {
		return fields[19], false, nil
	}
	return fields[19], true, nil
}

// bootID changes with each start of the machine.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// processTable names the PID namespace that this process is in, "" when it cannot
// be told.
func processTable() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(name, "pid:"), "[]")
}
