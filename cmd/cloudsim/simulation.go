package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

const region = "us-east-1"

// accounts are those that every simulation has, each with a network of its own.
var accounts = []emulator.AccountConfig{
	{ID: "111111111111", Name: "dev", Region: region},
	{ID: "222222222222", Name: "prod", Region: region},
}

// A simulation is the accounts and the issuer, served.
type simulation struct {
	dir, listen, listenIssuer string
	quick                     bool

	cloud   *emulator.Cloud
	issuer  *emulator.Issuer
	servers []*http.Server
	urls    []string // of the accounts, of the issuer
	failed  chan error
}

// start serves both; the accounts need to know where the issuer is.
func (s *simulation) start(log io.Writer) error {
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return fmt.Errorf("finding the folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "builds"), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	if s.issuer, err = emulator.NewIssuer(); err != nil {
		return err
	}
	s.issuer.Claims = s.claims
	issuer, err := s.serve(s.listenIssuer, s.issuer)
	if err != nil {
		return err
	}
	settings := emulator.Defaults()
	if s.quick {
		settings.Rates, settings.LogDelay, settings.EmptyLogPages = nil, 0, false
	}
	s.cloud = emulator.New(emulator.Config{
		Accounts: accounts, Issuers: map[string]string{strings.TrimPrefix(emulator.IssuerURL, "https://"): issuer},
		Dir: filepath.Join(s.dir, "builds"), Settings: &settings,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	for _, a := range accounts {
		s.cloud.Account(a.ID).EC2.PutVPC(network(a.Name))
	}
	url, err := s.serve(s.listen, s.cloud)
	if err != nil {
		return err
	}
	s.cloud.SetURL(url)
	s.urls = []string{url, issuer}
	return nil
}

// network is an account's: two private subnets behind NAT, and the endpoints that
// spare them the way.
func network(name string) emulator.VPC {
	return emulator.VPC{
		ID: "vpc-" + name, Default: "nat-" + name, SecurityGroups: []string{"sg-" + name},
		Subnets:   []emulator.Subnet{{ID: "subnet-" + name + "-a", Zone: region + "a"}, {ID: "subnet-" + name + "-b", Zone: region + "b"}},
		Endpoints: []string{"com.amazonaws." + region + ".s3", "com.amazonaws." + region + ".secretsmanager"},
	}
}

// serve serves h at the address and returns its URL.
func (s *simulation) serve(address string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving: %w", err)
		}
	}()
	return "http://" + l.Addr().String(), nil
}

// stop ends the servers and all builds.
func (s *simulation) stop() {
	for _, server := range s.servers {
		_ = server.Close() // whoever still waits for an answer gets none
	}
	if s.cloud != nil {
		s.cloud.Close()
	}
}

// claims are those of D/claims.json; without that file a token claims nothing.
func (s *simulation) claims() (map[string]any, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "claims.json"))
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

// announce writes the files and prints the lines that D/env holds.
func (s *simulation) announce(w io.Writer) error {
	lines := exports(
		"AWS_ENDPOINT_URL", s.urls[0], "AWS_REGION", region, "AWS_DEFAULT_REGION", region, "AWS_EC2_METADATA_DISABLED", "true",
		"ACTIONS_ID_TOKEN_REQUEST_URL", s.urls[1]+"/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", s.issuer.RequestToken,
		"CLOUDSIM_DIR", s.dir,
	)
	for _, a := range accounts {
		id, secret := s.cloud.AdminCredentials(a.ID)
		v := network(a.Name)
		text := exports(
			"AWS_ACCESS_KEY_ID", id, "AWS_SECRET_ACCESS_KEY", secret, "CONTEXT", a.Name,
			"VPC_ID", v.ID, "SUBNETS", v.Subnets[0].ID+","+v.Subnets[1].ID, "SECURITY_GROUP_IDS", v.SecurityGroups[0],
		) + "unset AWS_SESSION_TOKEN AWS_PROFILE\n"
		if err := s.write(a.Name+".env", lines+text); err != nil {
			return err
		}
	}
	if err := s.write("env", lines); err != nil {
		return err
	}
	_, err := io.WriteString(w, lines)
	return err
}

// exports returns a line for each name and value, in single quotes.
func exports(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "export %s='%s'\n", pairs[i], strings.ReplaceAll(pairs[i+1], "'", `'\''`))
	}
	return b.String()
}

func (s *simulation) write(name, text string) error {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// writeAsked leaves a record of every permission that was asked for.
func (s *simulation) writeAsked() error {
	b, err := json.MarshalIndent(s.cloud.Asked(), "", "  ")
	if err != nil {
		return fmt.Errorf("writing asked.json: %w", err)
	}
	return s.write("asked.json", string(b)+"\n")
}
