package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var export = regexp.MustCompile(`(?m)^export ([A-Z_]+)='?(.*?)'?$`)

func environment(text string) map[string]string {
	m := map[string]string{}
	for _, f := range export.FindAllStringSubmatch(text, -1) {
		m[f[1]] = f[2]
	}
	return m
}

// TestRun drives the program as a shell and an SDK would: what it prints leads to
// both accounts and to the issuer, and it leaves a record behind.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- process{[]string{"serve", "--dir", dir, "--quick"}, w, io.Discard, os.Getenv}.run(ctx)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	var printed strings.Builder
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "SYNOPS_CONFIG") { // the last by name
			break
		}
	}
	env := environment(printed.String())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for name, account := range map[string]string{"dev": "111111111111", "prod": "222222222222"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".env"))
		if err != nil {
			t.Fatal(err)
		}
		own := environment(string(b))
		if own["AWS_ENDPOINT_URL"] != env["AWS_ENDPOINT_URL"] || own["CONTEXT"] != name || own["VPC_ID"] != "vpc-"+name {
			t.Errorf("%s.env: %s", name, b)
		}
		out, err := sts.NewFromConfig(config(env, client, credentials.NewStaticCredentialsProvider(own["AWS_ACCESS_KEY_ID"], own["AWS_SECRET_ACCESS_KEY"], ""))).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil || *out.Account != account {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "claims.json"), []byte(`{"sub":"repo:a/b:ref:refs/heads/main"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	token := fetch(t, client, env)
	_, err := sts.NewFromConfig(config(env, client, aws.AnonymousCredentials{})).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::111111111111:role/nobody"), RoleSessionName: aws.String("run-1"), WebIdentityToken: &token,
	})
	if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "AccessDenied" {
		t.Errorf("a role that is not there: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "asked.json")); err != nil {
		t.Error(err)
	}
}

func config(env map[string]string, client *http.Client, k aws.CredentialsProvider) aws.Config {
	return aws.Config{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), HTTPClient: client, Credentials: k,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// fetch asks the issuer as a job does.
func fetch(t *testing.T, client *http.Client, env map[string]string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, env["ACTIONS_ID_TOKEN_REQUEST_URL"]+"&audience=sts.amazonaws.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Value string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || strings.Count(out.Value, ".") != 2 {
		t.Fatalf("token %q (%s), %v", out.Value, resp.Status, err)
	}
	return out.Value
}

func TestRun_Usage(t *testing.T) {
	for _, args := range [][]string{nil, {"srve"}, {"serve", "--dir"}, {"serve", "--dir", "x", "y"}, {"serve", "--nonsense"}, {"rehearse"}, {"rehearse", "--keep"}, {"rehearse", "acount"}, {"rehearse", "account", "x"}} {
		var says bytes.Buffer
		err := process{args, io.Discard, &says, os.Getenv}.run(context.Background())
		if exitCode(err) != 2 || err == nil || !strings.Contains(says.String(), "cloudsim rehearse NAME") {
			t.Errorf("%q: %v, %s", args, err, says.String())
		}
	}
	err := process{[]string{"serve", "--dir", t.TempDir(), "--listen", "127.0.0.1:99999"}, io.Discard, io.Discard, os.Getenv}.run(context.Background())
	if exitCode(err) != 1 || err == nil {
		t.Errorf("an address that is none: %v", err)
	}
}
