// Package rehearsal is what a rehearsal plays on: two emulated AWS accounts, dev and
// prod, with GitHub's tokens and API and a Synapse for each, and the real synops,
// which is run as a process of its own with the arguments and variables that an
// operator or a workflow's job has.
//
//	stage, err := rehearsal.Open(ctx, rehearsal.Config{Dir: dir, Getenv: os.Getenv})
//	defer stage.Close()
//	err = stage.Build(ctx)
//	story := rehearsal.Tell(stage, os.Stdout)
//	err = story.StandUp(ctx, stage.Dev)
//	err = story.Do(ctx, stage.Job(stage.Dev, rehearsal.Job{Workflow: "run-task.yml", Reviewed: true}), 0, "run", "canary", "minutes=1")
//
// What is not here: what is rehearsed, beyond standing an account up. Only
// cmd/cloudsim and tests import the package.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// Region is where both accounts are.
const Region = "us-east-1"

// Config says where a stage is set up.
type Config struct {
	Dir string // for all that is written; it is made where it is not there
	// Listen and ListenIssuer are loopback addresses of the accounts and of the
	// issuer of tokens; "": 127.0.0.1 and any free port.
	Listen, ListenIssuer string
	Settings             *emulator.Settings // how the accounts behave; nil: as documented
	NoThrottle           bool               // the Synapses answer however fast they are asked
	// Hosts are base URLs, by environment, of Synapses that are served elsewhere. The
	// stage's own is not served then.
	Hosts map[string]string
	// Migration is what two more stacks of dev hold, between which it may migrate; nil:
	// there are none. Their time passes Speed times as fast.
	Migration *migration.Config
	Speed     float64
	Log       *slog.Logger // of the accounts; nil: none
	Release   string       // what the checkout is released as; "": Release
	// Getenv gives this process's variables, of which programs get what they need to
	// run at all. Claims gives those of tokens asked for with the issuer's own
	// RequestToken; nil: none.
	Getenv func(string) string
	Claims func() (map[string]any, error)
}

// A Stage is everything served. Its fields are not to be changed.
type Stage struct {
	Dir       string
	Cloud     *emulator.Cloud
	Issuer    *emulator.Issuer
	Dev, Prod *Environment
	// Base URLs of the accounts, of the issuer and of GitHub's API.
	URL, IssuerURL, GitHubURL string
	// Synops is the program, once Build has returned.
	Synops string
	// Failed gets the error of a server that ended by itself.
	Failed <-chan error

	config  Config
	failed  chan error
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	servers sync.WaitGroup
}

// An Environment is one account, the Synapse that its runs are for, and the ops
// repository whose workflows may ask.
type Environment struct {
	Name, Account string
	Repository    string // owner/name
	RepositoryID  string
	Host          string // base URL of the Synapse
	Synapse       *sandbox.Synapse
	Token         string // its administrator's
	VPC           emulator.VPC
	Pair          *Pair // of stacks; nil: none

	hidden bool // the Synapse may not answer here
}

// A Pair is two stacks that a migration can be between, and their base URLs.
type Pair struct {
	Stacks              *migration.Stacks
	Source, Destination string
}

// Open sets a stage up with empty accounts, and writes the environments file. The
// caller closes it.
func Open(ctx context.Context, c Config) (*Stage, error) {
	s := &Stage{config: c, failed: make(chan error, 8)}
	s.Failed = s.failed
	s.ctx, s.stop = context.WithCancel(ctx)
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stage) open() error {
	var err error
	if s.Dir, err = filepath.Abs(s.config.Dir); err != nil {
		return fmt.Errorf("finding the folder: %w", err)
	}
	for _, name := range []string{"builds", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, name), 0o700); err != nil {
			return fmt.Errorf("making the folder: %w", err)
		}
	}
	s.Issuer = emulator.NewIssuer()
	s.Issuer.Claims = s.config.Claims
	if s.IssuerURL, err = s.serve(s.config.ListenIssuer, s.Issuer); err != nil {
		return err
	}
	s.Dev, s.Prod = newEnvironment("dev", "111111111111", "3001", s.config.NoThrottle), newEnvironment("prod", "222222222222", "3002", s.config.NoThrottle)
	if err := s.openCloud(); err != nil {
		return err
	}
	for _, env := range s.Environments() {
		s.Cloud.Account(env.Account).EC2.PutVPC(env.VPC)
		if env.Host = s.config.Hosts[env.Name]; env.Host != "" {
			env.hidden = true
			continue
		}
		if env.Host, err = s.serve("", env.Synapse); err != nil {
			return err
		}
	}
	if err := s.openPair(); err != nil {
		return err
	}
	if s.GitHubURL, err = s.serve("", gitHub(s.Environments())); err != nil {
		return err
	}
	return s.writeEnvironments()
}

// openPair serves what Config.Migration says, by names that dev's runs may reach.
func (s *Stage) openPair() error {
	if s.config.Migration == nil {
		return nil
	}
	c := *s.config.Migration
	c.Instances = [2]string{"dev601", "dev602"}
	p, err := migration.New(c)
	if err != nil {
		return fmt.Errorf("making a pair of stacks: %w", err)
	}
	pair := &Pair{Stacks: migration.NewStacks(p, time.Now, s.config.Speed)}
	if pair.Source, err = s.serve("", pair.Stacks.Handler(migration.Source)); err != nil {
		return err
	}
	if pair.Destination, err = s.serve("", pair.Stacks.Handler(migration.Destination)); err != nil {
		return err
	}
	s.Dev.Pair = pair
	return nil
}

func (s *Stage) openCloud() error {
	c := emulator.Config{
		Issuers: map[string]string{strings.TrimPrefix(emulator.IssuerURL, "https://"): s.IssuerURL},
		Dir:     filepath.Join(s.Dir, "builds"), Settings: s.config.Settings, Log: s.config.Log,
	}
	for _, env := range s.Environments() {
		c.Accounts = append(c.Accounts, emulator.AccountConfig{ID: env.Account, Name: env.Name, Region: Region})
	}
	s.Cloud = emulator.New(c)
	url, err := s.serve(s.config.Listen, s.Cloud)
	if err != nil {
		return err
	}
	s.URL = url
	s.Cloud.SetURL(url)
	return nil
}

// Environments are dev and prod.
func (s *Stage) Environments() []*Environment { return []*Environment{s.Dev, s.Prod} }

// newEnvironment has a Synapse with a stack and an administrator of its own, so that
// work aimed at the wrong one shows, and a network with two private subnets behind
// NAT.
func newEnvironment(name, account, repositoryID string, noThrottle bool) *Environment {
	env := &Environment{
		Name: name, Account: account, Repository: owner + "/synapse-ops-" + name, RepositoryID: repositoryID, Token: name + "-" + sandbox.AdminToken,
		VPC: emulator.VPC{
			ID: "vpc-" + name, Default: "nat-" + name, SecurityGroups: []string{"sg-" + name},
			Subnets:   []emulator.Subnet{{ID: "subnet-" + name + "-a", Zone: Region + "a"}, {ID: "subnet-" + name + "-b", Zone: Region + "b"}},
			Endpoints: []string{"com.amazonaws." + Region + ".s3", "com.amazonaws." + Region + ".secretsmanager"},
		},
	}
	env.Synapse = sandbox.New(sandbox.Config{Stack: name, Instance: env.instance(), Token: env.Token, NoThrottle: noThrottle})
	return env
}

// instance is what its Synapse says that it is.
func (e *Environment) instance() string {
	return map[string]string{"dev": "dev544", "prod": "544"}[e.Name]
}

// serve serves h until the stage is closed and returns its base URL.
func (s *Stage) serve(address string, h http.Handler) (string, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers.Add(2)
	go func() {
		defer s.servers.Done()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving: %w", err)
		}
	}()
	go func() {
		defer s.servers.Done()
		<-s.ctx.Done()
		_ = server.Close() // whoever still waits for an answer gets none
	}()
	return "http://" + l.Addr().String(), nil
}

// Close ends the servers and all builds. Files stay.
func (s *Stage) Close() {
	s.stop()
	s.servers.Wait()
	if s.Cloud != nil {
		s.Cloud.Close()
	}
}
