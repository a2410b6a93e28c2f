package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator/emulatortest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/enginetest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
)

// TestMain makes the test binary the bundle's program: "work --store URL -- RUN",
// as the lane's template calls it.
func TestMain(m *testing.M) {
	if len(os.Args) > 5 && os.Args[1] == "work" {
		if err := work(os.Args[3], os.Args[5]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work plays a worker, with what a build has in its environment.
func work(url, run string) error {
	ctx := context.Background()
	cfg, err := awsauth.Load(ctx, awsauth.Options{Getenv: os.Getenv})
	if err != nil {
		return err
	}
	st := store.New(s3.New(cfg, strings.TrimPrefix(url, "s3://")))
	ref := ops.RunRef{Lane: ops.Lane(os.Getenv("SYNOPS_LANE")), Run: ops.RunID(run)}
	me := ops.Attempt{Host: "build", Build: os.Getenv("CODEBUILD_BUILD_ID"), Stream: os.Getenv("CODEBUILD_LOG_PATH")}
	if err := enginetest.Work(ctx, st, ref, me, os.Stdout); err != nil {
		return err
	}
	s, err := st.Status(ctx, ref)
	if err == nil && s.Result != nil && s.Result.Attempt == s.Starts[len(s.Starts)-1].N {
		fmt.Println(ops.LineEnded)
	}
	return err
}

// A world is an account with lane admin deployed, and a bundle whose program is
// this test's.
type world struct {
	*emulatortest.World
	*testing.T
	store *store.Store // as the launcher's role has it
}

func newWorld(t *testing.T, change ...func(*emulator.Settings)) *world {
	t.Helper()
	w := &world{World: emulatortest.New(t, change...), T: t}
	w.Lane("admin", "http://127.0.0.1:1")
	exe, err := os.Executable()
	w.ok(err)
	w.Bundle(map[string]string{"synops": "#!/bin/sh\nexec " + ops.ShellQuote(exe) + " \"$@\"\n"})
	w.store = store.New(s3.New(w.As("synops-perform"), w.Resource("StoreBucket")))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.Denials())
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// quick asks often enough for a test.
func quick() pipeline.Pace {
	return pipeline.Pace{Result: 20 * time.Millisecond, LogLeast: 20 * time.Millisecond, LogMost: 100 * time.Millisecond, Build: 10 * time.Millisecond, LogLag: 300 * time.Millisecond}
}

// engine acts as the launcher's role.
func (w *world) engine(change ...func(*pipeline.Config)) *pipeline.Engine {
	w.Helper()
	c := pipeline.Config{Clients: pipeline.Connect(w.As("synops-perform")), Find: w.store.Started, Pace: quick()}
	for _, f := range change {
		f(&c)
	}
	return pipeline.New(c)
}

// kill ends a build as a machine that fails does.
func (w *world) kill(a *ops.Attempt) {
	w.Helper()
	c := codebuild.NewFromConfig(w.Admin())
	_, err := c.StopBuild(w.Context(), &codebuild.StopBuildInput{Id: &a.Build})
	w.ok(err)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		out, err := c.BatchGetBuilds(w.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{a.Build}})
		w.ok(err)
		if out.Builds[0].BuildComplete {
			return
		}
	}
}
