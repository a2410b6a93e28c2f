package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// TestPipeline_SameRelease: a bundle of another release, a release that may not run
// any more and an account without a bundle are told of before anything is written or
// started, with what to do.
func TestPipeline_SameRelease(t *testing.T) {
	l := newLane(t)
	task := []string{"run", "decertify-user", "users=3350396", "-e", "dev"}
	for _, c := range []struct {
		synops, lowest string
		says           []string
	}{
		{"v1.4.0", "v1.0.0", []string{"synops-lowest", "synops devel is below v1.0.0", "Use synops v1.0.0 or later"}},
		{"v1.4.0", "devel", []string{"synops-version", "this is synops devel", "the bundle in dev is v1.4.0", "synops deploy -e dev", "Ask with synops v1.4.0"}},
	} {
		l.Current("some-version", c.synops, c.lowest)
		before := len(l.Cloud.Asked())
		says := append(c.says, "Nothing: no run was started")
		wantAnswer(t, l.synops(nil, task...), 3, says...)
		for _, a := range l.asked("synops-perform", before) {
			if strings.HasPrefix(a, "codepipeline:") || a == "s3:PutObject" {
				t.Errorf("it asked for %s", a)
			}
		}
	}
	admin := s3.NewFromConfig(l.Admin(), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := admin.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(l.Resource("BundleBucket")), Key: aws.String("current.json")}); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, l.synops(nil, task...), 1, "No bundle was deployed yet (synops deploy -e dev)", "Nothing: no run was started")
}

// TestPipeline_Pinned: a run keeps to the bundle that was current when it was asked
// for, although a newer one is there when its build fetches it; and a release that
// was withdrawn meanwhile is refused by the build itself.
func TestPipeline_Pinned(t *testing.T) {
	l := newLane(t)
	l.bundle("echo an older bundle") // not the one that is pinned
	pinned := l.bundle("echo this is the pinned bundle")
	l.bundle("echo a newer bundle; exit 1")
	l.Current(pinned, "devel", "devel")
	got := l.synops(nil, "run", "decertify-user", "users=3350396", "-e", "dev")
	wantAnswer(t, got, 0, "SUCCEEDED", "this is the pinned bundle")

	withdrawn := filepath.Join(l.dir, "withdrawn")
	l.bundle("while [ ! -e " + ops.ShellQuote(withdrawn) + " ]; do sleep 0.05; done") // the build begins, and its worker does not yet
	got = l.synops(nil, "run", "decertify-user", "users=3350397", "-e", "dev", "--detach")
	wantAnswer(t, got, 0)
	l.Current(pinned, "v2.0.0", "v2.0.0")
	l.file("withdrawn", "")
	wantAnswer(t, l.synops(nil, "follow", runOf(t, got), "-e", "dev"), 3, "synops-lowest", "Nothing was changed")
}

// bundle publishes a bundle that runs a line before the program.
func (l *lane) bundle(line string) string {
	l.rig.t.Helper()
	return l.World.Bundle(map[string]string{"environments.yaml": l.config, "synops": fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", line, ops.ShellQuote(l.worker))})
}
