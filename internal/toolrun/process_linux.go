package toolrun

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// groupAttr gives a program a process group of its own, and has the kernel kill it
// should the worker die.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killMarked kills every process that carries the mark in its environment, until
// none is found, and returns how many there were. One that cleaned its environment
// is not found: the end of its container ends it.
func killMarked(mark string) int {
	killed := map[int]bool{}
	for range 20 { // one that forks while it is looked for is found in the next round
		found := marked(mark)
		if len(found) == 0 {
			break
		}
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			killed[pid] = true
		}
	}
	return len(killed)
}

func marked(mark string) []int {
	want := []byte(markName + "=" + mark)
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var found []int
	for _, file := range files {
		environ, err := os.ReadFile(file) // empty for one that is dead and not waited for
		if err != nil || !bytes.Contains(environ, want) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}
