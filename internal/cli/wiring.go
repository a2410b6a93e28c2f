package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/engine/local"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/launcher"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/redact"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/secret"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

var launcherStillRunning = launcher.ErrStillRunning

// tokenSource is where the environment's token comes from on this machine.
func (a *app) tokenSource(env *ops.Environment) (secret.Source, error) {
	text := a.p.Getenv(varTokenSource)
	switch {
	case text != "": // a worker: its launcher says
	case env.TokenSource != "":
		text = env.TokenSource
	case a.breakGlass != "" && env.Secret != "":
		text = secret.SchemeManager + ":" + env.Secret
	default:
		text = "env:SYNAPSE_ADMIN_PAT"
	}
	return secret.ParseSource(text)
}

// tokens returns a function that reads the token anew at each call, having it
// masked in every stream before anybody can print it.
func (a *app) tokens(env *ops.Environment) (func(context.Context) (string, error), error) {
	src, err := a.tokenSource(env)
	if err != nil {
		return nil, err
	}
	reader := &secret.Reader{Getenv: a.p.Getenv, OpenFD: a.p.OpenFD, Fetch: a.fetch(env)}
	return func(ctx context.Context) (string, error) {
		s, err := reader.Read(ctx, src)
		if err != nil {
			return "", err
		}
		if err := a.secrets.Add(s.Reveal()); err != nil {
			return "", fmt.Errorf("masking the token of %s: %w", src, err)
		}
		return s.Reveal(), nil
	}, nil
}

// bind reads the token and ties the request's task to its host.
func (a *app) bind(env *ops.Environment, st *store.Store, used *[]apiClient) func(context.Context, *ops.Request) (*worker.Bound, error) {
	return func(ctx context.Context, req *ops.Request) (*worker.Bound, error) {
		if tasks.OfMigration(req.Task) {
			return a.bindMigration(ctx, env, req, used)
		}
		task, err := tasks.Catalog().Task(req.Task)
		if err != nil || task.NoService {
			return a.bindTools(ctx, env, st, req.Task)
		}
		if task.AnyLane && a.tokenless() {
			return a.bindTokenless(env, req, used)
		}
		token, err := a.tokens(env)
		if err != nil {
			return nil, err
		}
		first, err := token(ctx) // a missing token is refused before anything is asked
		if err != nil {
			return nil, err
		}
		if err := a.holdsNoToken(req); err != nil {
			return nil, err
		}
		c, err := adminapi.New(adminapi.Config{Host: req.Host, Pace: req.Pace, UserAgent: "synops/" + version(), Token: onceThen(first, token), Mask: a.secrets.String})
		if err != nil {
			return nil, err
		}
		*used = append(*used, c)
		procedure, err := tasks.Bind(req.Task, c)
		if err != nil {
			return nil, err
		}
		return &worker.Bound{Service: service{c}, Procedure: procedure, InFlight: c.InFlight}, nil
	}
}

// An apiClient is one that was opened: what it cost is told in the end, and it is
// closed.
type apiClient interface {
	Stats() adminapi.Stats
	Close()
}

// onceThen gives the token that was already read, and reads anew from then on.
func onceThen(first string, again func(context.Context) (string, error)) func(context.Context) (string, error) {
	given := make(chan string, 1)
	given <- first
	return func(ctx context.Context) (string, error) {
		select {
		case t := <-given:
			return t, nil
		default:
			return again(ctx)
		}
	}
}

// service is the API client as the worker's guards see it.
type service struct{ c *adminapi.Client }

func (s service) Instance(ctx context.Context) (string, string, error) {
	v, err := s.c.Version(ctx)
	return v.Version, v.StackInstance, err
}

func (s service) Administrator(ctx context.Context) error { return s.c.Administrator(ctx) }

func (s service) Status(ctx context.Context) (string, string, error) {
	st, err := s.c.StackStatus(ctx)
	return st.Status, st.CurrentMessage, err
}

// worker returns a worker for the chosen environment. st is nil for one that only
// plans. The clients it opens are appended to used.
func (a *app) worker(choice *environments.Choice, st *store.Store, used *[]apiClient) *worker.Worker {
	began := time.Now()
	c := worker.Config{
		Catalog: tasks.Catalog(), Environment: choice.Environment, Host: choice.Host, Repository: a.p.Getenv(varRepository), Synops: version(),
		PlanOnly:   a.planOnly,
		Pure:       func(name ops.TaskName) (ops.Procedure, error) { return tasks.Bind(name, nil) },
		Open:       a.bind(choice.Environment, st, used),
		Attempt:    ops.Attempt{Host: a.p.Host, Process: local.Process(os.Getpid())},
		Out:        a.out,
		Beat:       time.Second,
		Identity:   a.identity(choice.Environment),
		CancelPoll: 250 * time.Millisecond,
		Cost:       func() string { return cost(*used, time.Since(began)) },
	}
	if st == nil {
		c.Read = a.read
	}
	if st != nil {
		c.Documents = st
		c.Gone = a.launcher(st, choice, nil).Gone
	}
	if a.bucket != nil {
		c.Beat, c.CancelPoll = 0, 0 // the worker's own: each is a call now
	}
	if b := a.inBuild(); b != nil && st != nil {
		b.dress(&c, st, a.launcher(st, choice, nil).HandOver, a.out)
		if choice.Environment.Account != "" {
			c.Allowed = a.allowedInBuild(choice.Environment)
		}
	}
	return worker.New(c)
}

// cost says what the calls of a run cost, for whoever wonders where the time went.
func cost(clients []apiClient, took time.Duration) string {
	var requests int64
	var waited time.Duration
	for _, c := range clients {
		s := c.Stats()
		requests, waited = requests+s.Requests, waited+s.Waited
	}
	return fmt.Sprintf("%d requests, %v waiting for them, %v in all", requests, legible(waited), legible(took))
}

// legible rounds d to what a reader compares: tenths of a second, or of a
// millisecond.
func legible(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// launcher returns the seat that starts and follows runs in st. token is handed to
// the workers it starts; nil where none is started or the worker reads its own.
func (a *app) launcher(st *store.Store, choice *environments.Choice, token []byte) *launcher.Launcher {
	c := local.Config{Command: a.p.Command, Store: st.URL(), LogFile: st.LogFile, Host: a.p.Host, Token: token}
	if choice != nil {
		own := []string{varContext + "=" + string(choice.Environment.Name), varHost + "=" + choice.Host}
		if config := a.configPath(); config != "" {
			own = append(own, varConfig+"="+config)
		}
		if token != nil {
			own = append(own, varTokenSource+"=pipe:3")
		}
		if a.breakGlass != "" {
			own = append(own, a.glassEnviron(choice.Environment)...)
		}
		c.Env = a.p.environ(own...)
	}
	return &launcher.Launcher{Documents: st, Engine: a.engineFor(st, c)}
}

// starter returns a launcher that can start workers for a request, whose newest
// start is pinned to a bundle, if it has one: a token in our environment is handed
// to them over a pipe, any other source they read themselves.
func (a *app) starter(ctx context.Context, st *store.Store, choice *environments.Choice, req *ops.Request, pinned string) (*launcher.Launcher, error) {
	engine, err := a.engineOf(choice.Environment)
	if err != nil {
		return nil, err
	}
	if engine == enginePipeline {
		l := a.launcher(st, choice, nil)
		l.Bundle, err = a.pin(ctx, choice.Environment, req.Synops, pinned)
		return l, err
	}
	if task, err := tasks.Catalog().Task(req.Task); err == nil && task.NoService && a.breakGlass == "" {
		return a.launcher(st, choice, nil), nil // no token is read
	}
	src, err := a.tokenSource(choice.Environment)
	if err != nil {
		return nil, err
	}
	if a.breakGlass != "" {
		if err := a.glassBroken(ctx, choice.Environment, src); err != nil {
			return nil, err
		}
		if err := a.allowed(ctx, choice.Environment, req.Synops); err != nil {
			return nil, err
		}
	}
	if src.Scheme != secret.SchemeEnv && src.Scheme != secret.SchemeFile {
		return a.launcher(st, choice, nil), nil
	}
	// Read here also where the worker reads it anew: what is wrong with it is told
	// before a run is made, and what holds it is not written down.
	read, err := a.tokens(choice.Environment)
	if err != nil {
		return nil, err
	}
	token, err := read(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.holdsNoToken(req); err != nil {
		return nil, err
	}
	if src.Scheme == secret.SchemeFile {
		return a.launcher(st, choice, nil), nil
	}
	return a.launcher(st, choice, []byte(token)), nil
}

// holdsNoToken refuses a request that holds a token we know, whatever its shape: it
// would be kept in documents, and the service might show it to the world.
func (a *app) holdsNoToken(req *ops.Request) error {
	const hint = "Secrets are never inputs: they are read from their store at run time. Revoke this one."
	var errs []ops.InputError
	for _, name := range slices.Sorted(maps.Keys(req.Inputs)) {
		if v := req.Inputs[name]; a.secrets.String(v) != v {
			errs = append(errs, ops.InputError{Input: name, Value: redact.Mark, Reason: "the value holds the token itself.", Hint: hint})
		}
	}
	switch {
	case len(errs) > 0:
		return &ops.InputErrors{Task: req.Task, Errors: errs}
	case a.secrets.String(req.Reason) != req.Reason:
		return &ops.Error{Code: ops.Invalid, Message: "--reason holds the token itself.", Hint: hint}
	}
	return nil
}

func (a *app) configPath() string {
	path := a.config
	if path == "" {
		path = a.p.Getenv(varConfig)
	}
	return absolute(path)
}

// claimKey names this asking: the same job of the same workflow run always the
// same, on a laptop never twice.
func (a *app) claimKey() string {
	run := a.p.Getenv("GITHUB_RUN_ID")
	if run == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // never fails; see crypto/rand
		return hex.EncodeToString(b)
	}
	return a.jobKey(a.p.Getenv("GITHUB_JOB"))
}

// jobKey names the asking of a job of this workflow run, for ever: a run that is
// started again has the same.
func (a *app) jobKey(job string) string {
	parts := []string{a.p.Getenv("GITHUB_REPOSITORY_ID"), a.p.Getenv("GITHUB_RUN_ID"), job, a.p.Getenv(varCall)}
	return ops.DigestOf(fmt.Appendf(nil, "%q", parts)).Hex()[:32]
}
