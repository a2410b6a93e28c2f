package proof_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator/emulatortest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/pipeline"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/s3"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// A bubble is an emulated account and all that runs in it and asks it, in this one
// process and with a time of its own (testing/synctest): hours pass at once. What
// is a process elsewhere, a launcher or a worker in a build, is a process here that
// meets the world through its calls only, so at each of them it can be killed,
// stopped for a while, or cut off.
type bubble struct {
	*rig
	*emulatortest.World
	dev      *ops.Environment
	bucket   string
	bundle   string        // its version, which runs are pinned to
	sessions time.Duration // what a launcher's credentials are good for

	mu    sync.Mutex
	met   func(p *process, c call) error // what becomes of builds' calls; nil: nothing
	works []*process                     // workers, in the order they began
	going sync.WaitGroup                 // their goroutines, the dead ones' too
}

// newBubble must be called in a bubble of time.
func newBubble(t *testing.T, c sandbox.Config, change ...func(*emulator.Settings)) *bubble {
	t.Helper()
	c.NoThrottle, c.Clients, c.Users, c.Entities = true, 10_000, 10_000, 10_000
	b := &bubble{sessions: time.Hour, rig: &rig{t: t, synapse: sandbox.New(c), host: "http://127.0.0.1:2"}}
	b.gate = newGate(b.synapse)
	b.rig.lost = b.lostAnswers
	b.World = emulatortest.NewUnserved(t, append(change, func(s *emulator.Settings) {
		s.Builds.Provisioning, s.Builds.StopDelay = 15*time.Second, 5*time.Second
		s.Pipelines.VisibleAfter, s.Pipelines.Lag = 2*time.Second, time.Second
		s.LogDelay = 3 * time.Second
		s.Builds.Command = b.command
	})...)
	b.Lane("admin", b.host)
	b.bundle = b.Bundle(map[string]string{"synops": "done in this process"})
	b.ok(b.Dev.Secrets.Put("/synapse/admin-pat", sandbox.AdminToken))
	b.bucket = b.Resource("StoreBucket")
	b.rig.store = store.New(s3.New(b.Admin(), b.bucket))
	path := filepath.Join(t.TempDir(), "environments.yaml")
	b.ok(os.WriteFile(path, fmt.Appendf(nil, `environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    account: %q
    region: us-east-1
    secret: /synapse/admin-pat
    max_targets: 1000
    lanes: [plan, admin]
`, b.host, emulatortest.Account), 0o600))
	file, err := environments.Load(path)
	b.ok(err)
	b.dev, err = file.Environment("dev")
	b.ok(err)
	t.Cleanup(func() {
		for _, p := range b.workers() {
			p.kill()
		}
		b.going.Wait()
		if t.Failed() {
			t.Log(b.Denials())
			for _, stream := range b.Dev.Logs.Streams("/synops/admin") {
				t.Logf("%s:\n%s", stream, strings.Join(b.Dev.Logs.Lines("/synops/admin", stream), "\n"))
			}
		}
	})
	return b
}

func (b *bubble) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// keys are the names of documents below a folder.
func (b *bubble) keys(folder string) []string { return b.Dev.S3.Keys(b.bucket, folder) }

// docs counts the journal documents of all runs.
func (b *bubble) docs() int {
	n := 0
	for _, key := range b.keys("admin/runs/") {
		if strings.Contains(key, "/journal/") {
			n++
		}
	}
	return n
}

// config has the process act with a role's session in the account. It is renewed
// before its time is over, as sessions of an Actions job are.
func (b *bubble) config(p *process, role string) aws.Config {
	c := b.Admin()
	c.HTTPClient = &http.Client{Transport: lineOf{p, c.HTTPClient.(*http.Client).Transport}}
	c.Retryer = nil // as the SDK has it
	c.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		k, err := b.Dev.IAM.RoleCredentials(role, "proof", b.sessions)
		return aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken, CanExpire: true, Expires: k.Expiration}, err
	}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	return c
}

// launcher is a launcher in the process, wired as cli does.
func (b *bubble) launcher(p *process) *launcher.Launcher {
	return b.launcherOf(b.config(p, "synops-perform"), pipeline.Config{})
}

func (b *bubble) launcherOf(c aws.Config, engine pipeline.Config) *launcher.Launcher {
	st := store.New(s3.New(c, b.bucket))
	engine.Clients, engine.Find = pipeline.Connect(c), st.Started
	return &launcher.Launcher{Documents: st, Engine: pipeline.New(engine), Bundle: b.bundle}
}

// workers are those that began so far.
func (b *bubble) workers() []*process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.works)
}

// lostAnswers counts the answers to an effect's calls that did not reach a worker
// which lived on.
func (b *bubble) lostAnswers(effect string) (n int) {
	for _, p := range b.workers() {
		p.mu.Lock()
		for _, e := range p.lost {
			if e == effect {
				n++
			}
		}
		p.mu.Unlock()
	}
	return n
}

// befall has met decide what becomes of builds' calls from now on.
func (b *bubble) befall(met func(p *process, c call) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.met = met
}

// stopBuild stops a build as somebody does who found it in the console.
func (b *bubble) stopBuild(id string) {
	_, err := codebuild.NewFromConfig(b.Admin()).StopBuild(context.Background(), &codebuild.StopBuildInput{Id: &id})
	if err != nil {
		b.t.Error(err)
	}
}

// asker is a launcher that nothing befalls. It asks seldom: each call of a bubble
// costs what it costs, however fast its time passes.
func (b *bubble) asker() *launcher.Launcher {
	return b.launcherOf(b.config(newProcess(nil), "synops-perform"), pipeline.Config{
		Pace: pipeline.Pace{Result: 10 * time.Second, LogLeast: 10 * time.Second, LogMost: time.Minute, Build: 15 * time.Second, LogLag: 5 * time.Second},
	})
}

// request asks for a task, as synops run does.
func (b *bubble) request(name ops.TaskName, inputs map[string]string) *ops.Request {
	b.t.Helper()
	task, err := tasks.Catalog().Task(name)
	b.ok(err)
	values, err := task.Parse(inputs)
	b.ok(err)
	return &ops.Request{Task: name, TaskVersion: task.Version, Inputs: values.Canonical(), Environment: "dev", Host: b.host, Lane: task.Lane,
		Requester: "proof", Synops: "proof", Pace: ops.Pace{Unlimited: true}}
}

// command does one command of a build: the worker is a process that ends when it is
// killed or the build is ended.
func (b *bubble) command(ctx context.Context, environ []string, command string, out io.Writer) error {
	if !strings.HasPrefix(command, "./synops work ") {
		return nil
	}
	p := newProcess(nil)
	p.env = map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		p.env[name] = value
	}
	b.mu.Lock()
	b.works = append(b.works, p)
	b.mu.Unlock()
	p.met = func(c call) error {
		b.mu.Lock()
		met := b.met
		b.mu.Unlock()
		if met == nil {
			return nil
		}
		return met(p, c)
	}
	ended := make(chan error, 1)
	b.going.Go(func() {
		err := b.work(p, &living{p: p, to: out})
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		ended <- err
	})
	select {
	case err := <-ended:
		return err
	case <-p.dead:
		return errKilled
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
}

// living is the output of a process: what is dead says nothing.
type living struct {
	p  *process
	mu sync.Mutex
	to io.Writer
}

// Write never fails.
func (l *living) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.p.isDead() {
		_, _ = l.to.Write(text)
	}
	return len(text), nil
}

// work is a worker in a build, wired as cli does.
func (b *bubble) work(p *process, out io.Writer) error {
	ctx := context.Background()
	carrier := &http.Client{Transport: lineOf{p, emulatortest.Carrier(b.Cloud)}}
	c := b.config(p, "")
	c.Credentials = aws.NewCredentialsCache(endpointcreds.New(p.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], func(o *endpointcreds.Options) {
		o.HTTPClient, o.AuthorizationToken = carrier, p.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
	}))
	st := store.New(s3.New(c, b.bucket))
	l := b.launcherOf(c, pipeline.Config{})
	minutes, _ := strconv.Atoi(p.env["SYNOPS_BUILD_MINUTES"])
	began, _ := strconv.ParseInt(p.env["CODEBUILD_START_TIME"], 10, 64)
	w := worker.New(worker.Config{
		Documents: st, Catalog: tasks.Catalog(), Environment: b.dev, Host: p.env["SYNAPSE_HOST"], Synops: "proof",
		Pure:     func(name ops.TaskName) (ops.Procedure, error) { return tasks.Bind(name, nil) },
		Open:     b.open(p, c),
		Identity: func(ctx context.Context) (string, error) { return awsauth.Account(ctx, c) },
		Gone:     l.Gone,
		Attempt:  ops.Attempt{Host: "build", Build: p.env["CODEBUILD_BUILD_ID"], Stream: p.env["CODEBUILD_LOG_PATH"], Bundle: p.env["SYNOPS_BUNDLE_VERSION"]},
		Out:      out,
		Limit:    time.Duration(minutes)*time.Minute - time.Since(time.UnixMilli(began)), Next: l.HandOver,
	})
	_, err := w.Work(ctx, ops.RunRef{Lane: ops.Lane(p.env["SYNOPS_LANE"]), Run: ops.RunID(p.env["SYNOPS_RUN"])})
	switch {
	case errors.Is(err, worker.ErrDuplicate):
		return nil
	case err == nil, errors.Is(err, worker.ErrHandedOver):
		_, _ = fmt.Fprintln(out, ops.LineEnded)
		return nil
	}
	_, _ = fmt.Fprintln(out, err)
	return err
}

// open reads the token and binds the task to the service.
func (b *bubble) open(p *process, c aws.Config) func(context.Context, *ops.Request) (*worker.Bound, error) {
	return func(ctx context.Context, req *ops.Request) (*worker.Bound, error) {
		client, err := adminapi.New(adminapi.Config{
			Host: req.Host, Pace: req.Pace, Transport: lineOf{p, emulatortest.Carrier(b.gate)},
			Token: func(ctx context.Context) (string, error) { return awsauth.Fetch(c)(ctx, b.dev.Secret) },
		})
		if err != nil {
			return nil, err
		}
		procedure, err := tasks.Bind(req.Task, client)
		if err != nil {
			return nil, err
		}
		return &worker.Bound{Service: asked{client}, Procedure: procedure, InFlight: client.InFlight}, nil
	}
}

// asked is the client as the worker's guards see it.
type asked struct{ c *adminapi.Client }

func (a asked) Instance(ctx context.Context) (string, string, error) {
	v, err := a.c.Version(ctx)
	return v.Version, v.StackInstance, err
}

func (a asked) Administrator(ctx context.Context) error { return a.c.Administrator(ctx) }

func (a asked) Status(ctx context.Context) (string, string, error) {
	s, err := a.c.StackStatus(ctx)
	return s.Status, s.CurrentMessage, err
}
