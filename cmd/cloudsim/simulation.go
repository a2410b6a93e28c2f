package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// A simulation is a stage and the files about it.
type simulation struct {
	dir    string
	quick  bool
	story  bool // the accounts' log goes to D/cloud.log, so as not to talk into the story
	log    *os.File
	config rehearsal.Config
	stage  *rehearsal.Stage
}

func (s *simulation) file(name string) string { return filepath.Join(s.dir, name) }

func (s *simulation) start(ctx context.Context, p process) error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("finding the folder: %w", err)
	}
	s.dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	settings := emulator.Defaults()
	if s.quick {
		settings.Rates, settings.LogDelay, settings.EmptyLogPages = nil, 0, false
	}
	s.config.Dir, s.config.Settings, s.config.Getenv, s.config.Claims = dir, &settings, p.getenv, s.claims
	log := p.err
	if s.story {
		if s.log, err = os.Create(s.file("cloud.log")); err != nil {
			return fmt.Errorf("writing the accounts' log: %w", err)
		}
		log = s.log
	}
	s.config.Log = slog.New(slog.NewTextHandler(log, nil))
	if s.stage, err = rehearsal.Open(ctx, s.config); err != nil {
		return err
	}
	return s.writeEnvironment()
}

// stop ends what start began, also where that failed.
func (s *simulation) stop() {
	if s.stage != nil {
		s.stage.Close()
	}
	if s.log != nil {
		_ = s.log.Close() // nothing that is wanted after a crash
	}
}

// wait prints what leads to the stage and serves until ctx ends.
func (s *simulation) wait(ctx context.Context, out io.Writer) error {
	text, err := os.ReadFile(s.file("env"))
	if err != nil {
		return fmt.Errorf("reading what was written: %w", err)
	}
	if _, err := out.Write(text); err != nil {
		return fmt.Errorf("saying where it is served: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.stage.Failed:
		return err
	}
}

// tell rehearses.
func (s *simulation) tell(ctx context.Context, out io.Writer, story func(context.Context, *rehearsal.Story) error) error {
	t := rehearsal.Tell(s.stage, out)
	t.Scene("A release of this checkout is built (a few minutes the first time)")
	if err := s.stage.Build(ctx); err != nil {
		return err
	}
	if err := story(ctx, t); err != nil {
		return err
	}
	t.End()
	return nil
}

// claims are those of D/claims.json; without that file a token claims nothing.
func (s *simulation) claims() (map[string]any, error) {
	b, err := os.ReadFile(s.file("claims.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	return m, nil
}

// writeEnvironment writes a file for a shell to source about the stage, and one for
// each account.
func (s *simulation) writeEnvironment() error {
	common := map[string]string{
		"AWS_ENDPOINT_URL": s.stage.URL, "AWS_REGION": rehearsal.Region, "AWS_DEFAULT_REGION": rehearsal.Region, "AWS_EC2_METADATA_DISABLED": "true",
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.stage.IssuerURL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": s.stage.Issuer.RequestToken,
		"GITHUB_API_URL": s.stage.GitHubURL, "SYNOPS_CONFIG": s.stage.EnvironmentsFile(), "CLOUDSIM_DIR": s.dir,
	}
	if err := s.write("env", exports(common)); err != nil {
		return err
	}
	for _, env := range s.stage.Environments() {
		vars := s.stage.Administrator(env).Vars
		vars["CONTEXT"] = env.Name
		// A person has no job's token.
		if err := s.write(env.Name+".env", exports(vars)+"unset AWS_SESSION_TOKEN AWS_PROFILE ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN\n"); err != nil {
			return err
		}
	}
	return nil
}

// exports returns a line for each variable, by name.
func exports(vars map[string]string) string {
	var lines []string
	for name, value := range vars {
		lines = append(lines, "export "+name+"="+ops.ShellQuote(value)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (s *simulation) write(name, text string) error {
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// writeAsked leaves a record of every permission that was asked for.
func (s *simulation) writeAsked() error {
	b, err := json.MarshalIndent(s.stage.Cloud.Asked(), "", "  ")
	if err != nil {
		return fmt.Errorf("writing asked.json: %w", err)
	}
	return s.write("asked.json", string(b)+"\n")
}
