package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// TestAccountScripts runs the commands about an account as an administrator and as
// workflows do, each script with accounts, a service and GitHub's API of its own:
//
//	job SUBJECT FILE [ENVIRONMENT]  be a job of that workflow file of core from here on
//	person [ACCOUNT]                be the administrator of dev, who begins, or of another account
//	byhand                          change something in dev's account by hand
//	silent                          nobody answers at dev's host from here on
//	claimed                         another's log group stands where lane plan's would be
//	step CODE NAME                  perform a step of core's workflows; it tells no secret
//	summary REGEXP                  the last step's summary says so
//	secret ACCOUNT NAME VALUE       the secret has this value
//	deployed ACCOUNT                lane plan is there
//
// and the commands of TestScripts that look at outputs.
func TestAccountScripts(t *testing.T) {
	t.Parallel()
	unraced(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "account"), UpdateScripts: *update, RequireUniqueNames: true, Setup: setupAccount,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": cmdExits, "json": cmdJSON, "job": cmdJob, "person": cmdPerson, "byhand": cmdByHand, "silent": cmdSilent, "claimed": cmdClaimed, "step": cmdStep, "summary": cmdSummary, "secret": cmdSecret, "deployed": cmdDeployed},
	})
}

type accountsKey struct{}

// accounts is what a script's commands reach into.
type accounts struct {
	cloud  *emulator.Cloud
	issuer *emulator.Issuer
	mu     sync.Mutex
	claims map[string]any

	silence func() // ends the service
}

func setupAccount(env *testscript.Env) error {
	a := &accounts{issuer: emulator.NewIssuer()}
	a.issuer.Claims = func() (map[string]any, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.claims, nil
	}
	settings := emulator.Defaults()
	settings.Rates, settings.LogDelay = nil, 0
	issuer, err := serveScript(env, a.issuer)
	if err != nil {
		return err
	}
	a.cloud = emulator.New(emulator.Config{Dir: env.WorkDir, Settings: &settings, Issuers: map[string]string{"token.actions.githubusercontent.com": issuer},
		Accounts: []emulator.AccountConfig{{ID: "111111111111", Name: "dev", Region: "us-east-1"}, {ID: "222222222222", Name: "prod", Region: "us-east-1"}}})
	env.Defer(a.cloud.Close)
	cloud, err := serveScript(env, a.cloud)
	if err != nil {
		return err
	}
	a.cloud.SetURL(cloud)
	a.cloud.Account("dev").EC2.PutVPC(emulator.VPC{ID: "vpc-0a1b2c3d", Default: "nat-1", SecurityGroups: []string{"sg-0a1b2c3d"}, Subnets: []emulator.Subnet{{ID: "subnet-0a1b2c3d", Zone: "us-east-1a"}}})
	dev, _ := sandbox.NewPair(sandbox.Config{NoThrottle: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	env.Defer(stop)
	served := make(chan struct{})
	a.silence = func() { stop(); <-served }
	go func() { _ = dev.Serve(ctx, l); close(served) }()
	gitHub, err := serveScript(env, http.HandlerFunc(serveGitHub))
	if err != nil {
		return err
	}
	env.Values[accountsKey{}] = a
	return setAccount(env, a, cloud, issuer, "http://"+l.Addr().String(), gitHub)
}

// serveScript serves h for as long as the script runs.
func serveScript(env *testscript.Env, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	env.Defer(func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// serveGitHub knows the ops repositories, and one token.
func serveGitHub(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/user" && r.Header.Get("Authorization") == "Bearer ghp_good0123456789good0123456789":
		fmt.Fprint(w, `{"login":"bot"}`)
	case r.URL.Path == "/repos/Sage-Bionetworks/synapse-ops-dev":
		fmt.Fprint(w, `{"id":42,"owner":{"id":7},"created_at":"2021-03-01T00:00:00Z"}`)
	case r.URL.Path == "/user":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func setAccount(env *testscript.Env, a *accounts, cloud, issuer, synapse, gitHub string) error {
	config := filepath.Join(env.WorkDir, "environments.yaml")
	text := fmt.Sprintf(`github: {owner: Sage-Bionetworks, core: synapse-ops-core, release: v0.1.0, code_owners: "@Sage-Bionetworks/operations"}
environments:
  dev:
    repository: Sage-Bionetworks/synapse-ops-dev
    synapse_hosts: [%q]
    account: "111111111111"
    region: us-east-1
    secret: /synapse/admin-pat
    lanes: [plan, admin]
  prod:
    repository: Sage-Bionetworks/synapse-ops-prod
    synapse_hosts: ["https://repo-prod.prod.sagebase.org"]
    account: "222222222222"
    region: us-east-1
    secret: /synapse/admin-pat
    releases: required
  bare:
    repository: Sage-Bionetworks/synapse-ops-bare
    synapse_hosts: ["https://repo-bare.dev.sagebase.org"]
`, synapse)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	binary, err := bundled()
	if err != nil {
		return err
	}
	id, secret := a.cloud.AdminCredentials("111111111111")
	for name, value := range map[string]string{
		"SYNOPS_CONFIG": config, "HOME": env.WorkDir, "USER": "tester", "TZ": "UTC", "AWS_ENDPOINT_URL": cloud, "AWS_EC2_METADATA_DISABLED": "true", "GITHUB_API_URL": gitHub,
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "ISSUER": issuer, "BINARY": binary, "PAT": sandbox.AdminToken,
		"VPC_ID": "vpc-0a1b2c3d", "SUBNETS": "subnet-0a1b2c3d", "SECURITY_GROUP_IDS": "sg-0a1b2c3d",
	} {
		env.Setenv(name, value)
	}
	return nil
}

// standIn is bundled instead of synops, which takes long to build: a program of
// synops' form that becomes this very test binary.
const standIn = `package main

import (
	"os"
	"syscall"
)

var synops string

func main() {
	if err := syscall.Exec(synops, append([]string{"synops"}, os.Args[1:]...), os.Environ()); err != nil {
		panic(err)
	}
}
`

// bundled builds the stand-in.
var bundled = sync.OnceValues(func() (string, error) {
	synops, err := exec.LookPath("synops")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "synops-bundled-")
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"go.mod": "module github.com/Sage-Bionetworks/synapse-ops-core\n\ngo 1.26\n", "cmd/synops/main.go": standIn} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-X main.synops="+synops, "-o", "synops", "./cmd/synops")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return filepath.Join(dir, "synops"), nil
})

func cmdJob(ts *testscript.TestScript, _ bool, args []string) {
	a := ts.Value(accountsKey{}).(*accounts)
	claims := map[string]any{"aud": "sts.amazonaws.com", "sub": "repo:Sage-Bionetworks/synapse-ops-dev:" + args[0], "repository_id": "42", "ref": "refs/heads/main",
		"job_workflow_ref": "Sage-Bionetworks/synapse-ops-core/.github/workflows/" + args[1] + "@refs/heads/main"}
	if len(args) > 2 {
		claims["environment"] = args[2]
	}
	a.mu.Lock()
	a.claims = claims
	a.mu.Unlock()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "ACTIONS_ID_TOKEN_REQUEST_URL": ts.Getenv("ISSUER") + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": a.issuer.RequestToken,
		"GITHUB_REPOSITORY": "Sage-Bionetworks/synapse-ops-dev", "GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1", "CONTEXT": "dev",
		"ROLE_TO_ASSUME": "arn:aws:iam::111111111111:role/synops-observe", "SYNAPSE_DEPLOYMENT_ROLE": "arn:aws:iam::111111111111:role/synops-deploy",
	} {
		ts.Setenv(name, value)
	}
}

func cmdPerson(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "CONTEXT", "ROLE_TO_ASSUME", "SYNAPSE_DEPLOYMENT_ROLE"} {
		ts.Setenv(name, "")
	}
	account := "dev"
	if len(args) > 0 {
		account = args[0]
	}
	a := ts.Value(accountsKey{}).(*accounts)
	id, secret := a.cloud.AdminCredentials(a.cloud.Account(account).ID)
	ts.Setenv("AWS_ACCESS_KEY_ID", id)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

func cmdByHand(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value(accountsKey{}).(*accounts).cloud.Account("dev").Logs.SetRetention("/synops/plan", 1))
}

func cmdSilent(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Value(accountsKey{}).(*accounts).silence()
}

func cmdClaimed(ts *testscript.TestScript, neg bool, _ []string) {
	logs := ts.Value(accountsKey{}).(*accounts).cloud.Account("dev").Logs
	if neg {
		ts.Check(logs.DeleteGroup("/synops/plan"))
		return
	}
	ts.Check(logs.CreateGroup("/synops/plan", 0))
}

// cmdStep performs one step of core's workflows, and looks that nothing tells a
// secret: not what it prints, nor what it leaves the runner, nor a document.
func cmdStep(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: step CODE NAME")
	}
	left := []string{ts.MkAbs("step_output"), ts.MkAbs("step_summary")}
	for _, file := range left {
		ts.Check(os.WriteFile(file, nil, 0o600))
	}
	ts.Setenv("GITHUB_OUTPUT", left[0])
	ts.Setenv("GITHUB_STEP_SUMMARY", left[1])
	code := exitCodeOf(ts.Exec("synops", append([]string{"actions"}, args[1:]...)...))
	told := map[string]string{"standard output": ts.ReadFile("stdout"), "standard error": ts.ReadFile("stderr"), "the outputs": ts.ReadFile(left[0]), "the summary": ts.ReadFile(left[1])}
	documents := ts.Value(accountsKey{}).(*accounts).cloud.Account("dev").S3
	for _, bucket := range documents.Buckets() {
		for _, key := range documents.Keys(bucket, "") {
			data, err := documents.Get(bucket, key, "")
			ts.Check(err)
			told[bucket+"/"+key] = string(data)
		}
	}
	for where, text := range told {
		for _, name := range []string{"GH_PAT", "GH_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"} {
			if secret := ts.Getenv(name); secret != "" && strings.Contains(text, secret) {
				ts.Fatalf("%s tells %s", where, name)
			}
		}
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// cmdSummary looks at the summary of the last step.
func cmdSummary(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("step_summary")
	if regexp.MustCompile(args[0]).MatchString(text) == neg {
		ts.Fatalf("the summary (wanted %q: %t) is\n%s", args[0], !neg, text)
	}
}

func cmdSecret(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.Value(accountsKey{}).(*accounts).cloud.Account(args[0]).Secrets.Value(args[1]); got != args[2] {
		ts.Fatalf("%s is %q", args[1], got)
	}
}

func cmdDeployed(ts *testscript.TestScript, neg bool, args []string) {
	_, there := ts.Value(accountsKey{}).(*accounts).cloud.Account(args[0]).Logs.Group("/synops/plan")
	if there == neg {
		ts.Fatalf("lane plan is deployed: %t", there)
	}
}

// TestAgreed: the environment's name and nothing else goes on.
func TestAgreed(t *testing.T) {
	for answer, want := range map[string]bool{"prod\n": true, " prod \n": true, "prod": true, "yes\n": false, "\n": false, "": false, "dev\n": false, "Prod\n": false} {
		err := cli.Agreed(t.Context(), strings.NewReader(answer), "prod")
		if r := ops.Refused(err); (err == nil) != want || err != nil && (r == nil || r.Guard != "confirm") {
			t.Errorf("%q: %v", answer, err)
		}
	}
	from, to := io.Pipe() // nobody answers
	defer to.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := cli.Agreed(ctx, from, "prod"); !errors.Is(err, context.Canceled) {
		t.Errorf("without an answer: %v", err)
	}
}
