package rehearsal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// open sets a stage up whose synops is a shell script, so that nothing is built.
func open(t *testing.T, script string) *rehearsal.Stage {
	t.Helper()
	s, err := rehearsal.Open(t.Context(), rehearsal.Config{Dir: t.TempDir(), Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Synops = filepath.Join(s.Dir, "synops")
	if err := os.WriteFile(s.Synops, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStory_Do: who does what, what it says, how it ends; and what is given on
// standard input is not told.
func TestStory_Do(t *testing.T) {
	s := open(t, `echo "to $CONTEXT"; echo "working" >&2; read -r line; [ "$line" = hidden ] || exit 9; exit "$2"`)
	var out bytes.Buffer
	story := rehearsal.Tell(s, &out)
	story.Scene("dev: a scene")
	job := s.Job(s.Dev, rehearsal.Job{Workflow: "run-task.yml", Reviewed: true})
	got, err := story.DoWith(t.Context(), job, "token.txt", "hidden\n", 3, "run", "3")
	if err != nil || got.Code != 3 || got.Stdout != "to dev\n" || got.Stderr != "working\n" {
		t.Errorf("answered %+v, %v", got, err)
	}
	_, err = story.DoWith(t.Context(), job, "", "hidden\n", 0, "run", "1")
	if e, ok := errors.AsType[*rehearsal.UnexpectedCode](err); !ok || e.Got != 1 || e.Want != 0 {
		t.Errorf("another exit code than wanted: %v", err)
	}
	story.End()
	text := out.String()
	for _, want := range []string{"── dev: a scene  [0.", "# job of run-task.yml in synapse-ops-dev, after its reviewers' yes\n$ synops run 3 <token.txt\nworking\nto dev\n(exit code 3, ", "  dev: a scene\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hidden") {
		t.Errorf("standard input is told:\n%s", text)
	}
}

// TestStory_Brief: progress is left out where all went as it should.
func TestStory_Brief(t *testing.T) {
	s := open(t, `echo "what went wrong" >&2; exit "$1"`)
	for want, code := range map[bool]string{false: "0", true: "1"} {
		var out bytes.Buffer
		story := rehearsal.Tell(s, &out)
		story.Brief = true
		_, err := story.Do(t.Context(), s.Administrator(s.Prod), 0, code)
		if strings.Contains(out.String(), "what went wrong") != want || (err != nil) != want {
			t.Errorf("exit code %s: %v\n%s", code, err, out.String())
		}
	}
}

// TestStage_Run_Interrupted: who stops a rehearsal stops the command, as by Ctrl-C.
func TestStage_Run_Interrupted(t *testing.T) {
	s := open(t, `trap 'echo interrupted >caught; exit 130' INT; echo ready >&2; while :; do sleep 0.05; done`)
	ctx, stop := context.WithCancel(t.Context())
	_, err := s.Run(ctx, rehearsal.Command{Actor: s.Administrator(s.Dev), Progress: writerFunc(func([]byte) { stop() })})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "caught")); err != nil {
		t.Errorf("the command was not interrupted: %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// TestStage_Environ: of this process's variables a command gets few, and none that
// may hold a secret.
func TestStage_Environ(t *testing.T) {
	s := open(t, "")
	t.Setenv("AWS_PROFILE", "somebody")
	t.Setenv("SYNAPSE_ADMIN_PAT", "secret")
	env := strings.Join(s.Environ(s.Administrator(s.Dev)), "\n")
	if strings.Contains(env, "AWS_PROFILE") || strings.Contains(env, "SYNAPSE_ADMIN_PAT") || strings.Contains(env, "ACTIONS_ID_TOKEN") {
		t.Errorf("an administrator has:\n%s", env)
	}
	for _, want := range []string{"AWS_ENDPOINT_URL=" + s.URL, "HOME=" + s.Dir, "SYNOPS_CONFIG=" + s.Dir, "VPC_ID=vpc-dev", "SUBNETS=subnet-dev-a,subnet-dev-b"} {
		if !strings.Contains(env, want) {
			t.Errorf("an administrator lacks %s:\n%s", want, env)
		}
	}
}

// TestStage_Job: each job's token is its own, and the accounts know the issuer. No
// role is there yet, which the answer tells from a token that is not taken.
func TestStage_Job(t *testing.T) {
	s := open(t, "")
	for _, reviewed := range []bool{false, true} {
		vars := s.Job(s.Prod, rehearsal.Job{Workflow: "run-task.yml", Reviewed: reviewed, Run: 7}).Vars
		token := idToken(t, vars)
		client := sts.New(sts.Options{Region: rehearsal.Region, BaseEndpoint: &s.URL, Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{}, HTTPClient: client(t)})
		_, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: aws.String(vars["ROLE_TO_ASSUME"]), RoleSessionName: aws.String("run-7"), WebIdentityToken: &token})
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "AccessDenied" {
			t.Errorf("a role that is not there: %v", err)
		}
		if got, want := vars["ROLE_TO_ASSUME"], map[bool]string{false: "arn:aws:iam::222222222222:role/synops-observe", true: "arn:aws:iam::222222222222:role/synops-perform"}[reviewed]; got != want {
			t.Errorf("reviewed %v: ROLE_TO_ASSUME is %s, want %s", reviewed, got, want)
		}
	}
	one, two := s.Job(s.Dev, rehearsal.Job{}), s.Job(s.Dev, rehearsal.Job{})
	if one.Vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] == two.Vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
		t.Error("two jobs share a token")
	}
}

func client(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// idToken asks the issuer as a job does.
func idToken(t *testing.T, vars map[string]string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, vars["ACTIONS_ID_TOKEN_REQUEST_URL"]+"&audience=sts.amazonaws.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
	resp, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Value string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || strings.Count(out.Value, ".") != 2 {
		t.Fatalf("%s: %q, %v", resp.Status, out.Value, err)
	}
	return out.Value
}

// TestStage_GitHub shows what synops asks for to who has the token.
func TestStage_GitHub(t *testing.T) {
	s := open(t, "")
	ask := func(path, token string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, s.GitHubURL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	at := "/repos/Sage-Bionetworks/synapse-ops-prod"
	if code, body := ask(at, rehearsal.GitHubToken); code != 200 || !strings.Contains(body, `"id":3002`) {
		t.Errorf("the repository: %d %s", code, body)
	}
	for token, want := range map[string]int{"": 404, "ghp_another": 401} {
		if code, _ := ask(at, token); code != want {
			t.Errorf("with token %q: %d, want %d", token, code, want)
		}
	}
	if code, _ := ask("/repos/somebody/else", rehearsal.GitHubToken); code != 404 {
		t.Errorf("another repository: %d", code)
	}
}

// TestStage_Build_Elsewhere: outside of a checkout it says what is wrong.
func TestStage_Build_Elsewhere(t *testing.T) {
	s := open(t, "")
	t.Chdir(t.TempDir())
	if err := s.Build(t.Context()); err == nil || !strings.Contains(err.Error(), "no checkout of synapse-ops-core") {
		t.Errorf("built with %v", err)
	}
}
