package proof_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestDiskFull fills the store's disk under a worker, where the test may mount
// one. Where it may not, a folder in the way of the next document stands for it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	mounted := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m") == nil
	if mounted {
		t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	}
	r := newRigIn(t, sandbox.Config{}, filepath.Join(disk, "store"))
	r.storeFails(func(ref ops.RunRef) (heal func()) {
		filler := filepath.Join(disk, "filler")
		if !mounted {
			filler = r.runPath(ref, "journal/00000003.jsonl")
			r.ok(os.Mkdir(filler, 0o700))
			return func() { r.ok(os.Remove(filler)) }
		}
		f, err := os.Create(filler)
		r.ok(err)
		for page := bytes.Repeat([]byte{'x'}, 4096); err == nil; {
			_, err = f.Write(page)
		}
		_ = f.Close()
		return func() { r.ok(os.Remove(filler)) }
	})
}
