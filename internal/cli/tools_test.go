package cli_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator/emulatortest"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun/toolruntest"
)

const stackBuilderSource = "Sage-Bionetworks/Synapse-Stack-Builder"

// standInBuilder stands for the Java tool: it takes the same arguments, gets its
// credentials the way the SDKs do, and makes or changes one stack.
func standInBuilder(args []string) int {
	given := map[string]string{}
	for _, a := range args {
		if name, value, ok := strings.Cut(strings.TrimPrefix(a, "-Dorg.sagebionetworks."), "="); ok {
			given[name] = value
		}
	}
	fmt.Println("main class", args[len(args)-1], "for instance", given["instance"])
	fmt.Println("a tool may print what it was given:", os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
	name := fmt.Sprintf("repo-%s-%s-%s", given["stack"], given["instance"], given["beanstalk.number.repo"])
	if given["bind.record.to.stack.csv"] != "" {
		name = given["stack"] + "-dns-record-to-stack-mapping"
	}
	topic := "tools-" + strings.NewReplacer(".", "-").Replace(given["instance"]+given["beanstalk.version.repo"])
	if strings.HasPrefix(given["beanstalk.version.portal"], "broken") {
		topic = "forbidden" // its creation will be denied
	}
	if err := standInStack(name, topic); err != nil {
		fmt.Fprintln(os.Stderr, "the stand-in failed:", err)
		return 3
	}
	return 0
}

func standInStack(name, topic string) error {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithBaseEndpoint(os.Getenv("AWS_ENDPOINT_URL")))
	if err != nil {
		return err
	}
	c := cloudformation.NewFromConfig(cfg)
	kind := cftypes.ChangeSetTypeUpdate
	if _, err := c.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name}); err != nil {
		kind = cftypes.ChangeSetTypeCreate
	}
	set := aws.String(fmt.Sprintf("set-%d", time.Now().UnixNano()))
	template := fmt.Sprintf(`{"Resources":{"Topic":{"Type":"AWS::SNS::Topic","Properties":{"TopicName":%q}}}}`, topic)
	if _, err := c.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: &name, ChangeSetName: set, ChangeSetType: kind, TemplateBody: &template}); err != nil {
		return err
	}
	sets := cloudformation.NewChangeSetCreateCompleteWaiter(c, func(o *cloudformation.ChangeSetCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 10*time.Millisecond
	})
	made := &cloudformation.DescribeChangeSetInput{StackName: &name, ChangeSetName: set}
	if err := sets.Wait(ctx, made, 20*time.Second); err != nil {
		if out, _ := c.DescribeChangeSet(ctx, made); out != nil && strings.Contains(aws.ToString(out.StatusReason), "didn't contain changes") {
			return nil // it is as wanted
		}
		return err
	}
	if _, err := c.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &name, ChangeSetName: set}); err != nil {
		return err
	}
	soon, in := time.Millisecond, &cloudformation.DescribeStacksInput{StackName: &name}
	if kind == cftypes.ChangeSetTypeCreate {
		err = cloudformation.NewStackCreateCompleteWaiter(c, func(o *cloudformation.StackCreateCompleteWaiterOptions) { o.MinDelay, o.MaxDelay = soon, 10*soon }).Wait(ctx, in, time.Minute)
	} else {
		err = cloudformation.NewStackUpdateCompleteWaiter(c, func(o *cloudformation.StackUpdateCompleteWaiterOptions) { o.MinDelay, o.MaxDelay = soon, 10*soon }).Wait(ctx, in, time.Minute)
	}
	if err != nil {
		return fmt.Errorf("stack %s: %w", name, err)
	}
	return nil
}

// newDeployLane is a lane whose account has lane deploy too, sources on a server that
// asks for the token, and stand-ins where a build's image has Java and Maven.
func newDeployLane(t *testing.T) (*lane, *toolruntest.Server) {
	t.Helper()
	l := newLane(t)
	l.config = strings.Replace(l.config, "lanes: [plan, admin]", "lanes: [plan, admin, deploy, migrate]", 1)
	l.vars["SYNOPS_CONFIG"] = l.file("account.yaml", l.config)
	for _, name := range []string{"plan", "deploy"} {
		l.World.Lane(name, l.vars["SANDBOX"])
	}
	sources := toolruntest.Serve(t)
	builder, err := exec.LookPath("stand-in-builder")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	l.bin = bin
	for name, script := range map[string]string{
		"java": "case \"$1\" in -version) echo 'openjdk version \"stand-in\"' >&2;; *) " + builder + " \"$@\" || exit; [ ! -e " + bin + "/hold ] || touch " + bin + "/held; while [ -e " + bin + "/hold ]; do sleep 0.02; done;; esac",
		"mvn":  "case \"$2\" in -version) echo 'Apache Maven stand-in';; *) mkdir -p target && cp made.jar target/stack-builder-0.2.0-SNAPSHOT-jar-with-dependencies.jar && echo BUILD SUCCESS;; esac",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
	}
	l.line = "export PATH=" + bin + ":$PATH GITHUB_SERVER_URL=" + sources.URL + " GORACE='" + os.Getenv("GORACE") + "'"
	l.bundle(l.line)
	if err := l.Dev.Secrets.Put("/synops/gh-pat", toolruntest.Token); err != nil {
		t.Fatal(err)
	}
	// What the account gives its builder: its boundary is the account's to choose.
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:*","Resource":"*"},
		{"Effect":"Allow","Action":"sns:*","Resource":"arn:aws:sns:us-east-1:` + emulatortest.Account + `:tools-*"}]}`
	arn, err := l.Dev.IAM.PutPolicy("stack-building", "What stacks need", document)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Dev.IAM.UpdateRole("synops-stack-builder", func(r *emulator.Role) { r.Boundary, r.Attached = arn, []string{arn} }); err != nil {
		t.Fatal(err)
	}
	return l, sources
}

// jarOf is a jar that has the classes.
func jarOf(t *testing.T, classes ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, c := range classes {
		if _, err := z.Create("org/sagebionetworks/template/" + c + ".class"); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func buildStackArgs(instance, version string) []string {
	return []string{"instance=" + instance, "repo-and-workers-version=" + version, "repo-beanstalk-version=0", "portal-version=" + version, "portal-beanstalk-version=0", "vpc-subnet-color=Green", "-e", "dev"}
}

// TestTools_BuildStack: from plan to report on an emulated account: a private source
// fetched and built once, a stack made with the builder's own credentials, then
// changed from what was kept, compared with the run before, and deleted.
func TestTools_BuildStack(t *testing.T) {
	l, sources := newDeployLane(t)
	commit := sources.Commit(stackBuilderSource, "release-544", map[string]string{"made.jar": jarOf(t, "repo/RepositoryBuilderMain")})
	l.become("synops-observe")
	planned := l.synops(nil, append([]string{"plan", "build-stack"}, buildStackArgs("544", "544.0")...)...)
	wantAnswer(t, planned, 0, commit[:12], `property beanstalk.version.repo="544.0"`, "last run: none that succeeded", "stacks: none of those concerned is there")
	l.become("synops-perform")

	first := l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("544", "544.0")...)...)
	wantAnswer(t, first, 0, "SUCCEEDED", "fetching "+stackBuilderSource+" at "+commit, "| BUILD SUCCESS", "kept the build", "main class org.sagebionetworks.template.repo.RepositoryBuilderMain for instance 544",
		"a tool may print what it was given: [redacted]", "Stack repo-dev-544-0 is CREATE_COMPLETE")
	if strings.Contains(first.stdout+first.stderr, toolruntest.Token) {
		t.Error("the sources' token is shown")
	}

	asked := sources.Requests.Load()
	second := l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("544", "544.1")...)...)
	wantAnswer(t, second, 0, "SUCCEEDED", `differs beanstalk.version.repo: "544.0" → "544.1"`, "last run: "+runOf(t, first), "stack repo-dev-544-0: CREATE_COMPLETE since", "Stack repo-dev-544-0 is UPDATE_COMPLETE")
	for _, not := range []string{"fetching ", "| BUILD SUCCESS"} {
		if strings.Contains(second.stderr, not) {
			t.Errorf("the second run says %q", not)
		}
	}
	if n := sources.Requests.Load() - asked; n > 2 {
		t.Errorf("%d requests to the sources for a commit alone", n)
	}

	wantAnswer(t, l.synops(nil, "run", "delete-stack", "stacks=repo-dev-544-0", "-e", "dev"), 3, "--confirm repo-dev-544-0")
	wantAnswer(t, l.synops(nil, "run", "delete-stack", "stacks=synops-lane-plan", "-e", "dev", "--confirm", "synops-lane-plan"), 3, "foreign-stack")
	wantAnswer(t, l.synops(nil, "run", "delete-stack", "stacks=repo-dev-544-0", "-e", "dev", "--confirm", "repo-dev-544-0"), 0, "SUCCEEDED", "deleted")
	if status, _ := l.Dev.Stacks.Stack("repo-dev-544-0"); status != "" && status != "DELETE_COMPLETE" {
		t.Errorf("the stack is %s", status)
	}
}

// TestTools_Fails: what CloudFormation refused first is in the report.
func TestTools_Fails(t *testing.T) {
	l, sources := newDeployLane(t)
	sources.Commit(stackBuilderSource, "release-545", map[string]string{"made.jar": jarOf(t, "repo/RepositoryBuilderMain")})
	args := buildStackArgs("545", "545.0")
	args[3] = "portal-version=broken"
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, args...)...), 1, "FAILED", "the tool ended with exit code 3", "Stack repo-dev-545-0 is ROLLBACK_COMPLETE; first to fail: Topic (AWS::SNS::Topic) CREATE_FAILED")
	sources.Commit(stackBuilderSource, "develop", map[string]string{"made.jar": jarOf(t, "repo/RepositoryBuilderMain")})
	wantAnswer(t, l.synops(nil, "run", "build-etl-jobs", "-e", "dev"), 3, `refused by guard "tool"`, "has no org/sagebionetworks/template/etl/EtlBuilderMain.class")
	wantAnswer(t, l.synops(nil, append([]string{"run", "build-stack"}, buildStackArgs("546", "546.0")...)...), 1, "has no branch or tag", "release-546")
}

// Without an account there is nothing to work on, and constants are checked first.
func TestTools_NeedAnAccount(t *testing.T) {
	r := newRig(t)
	wantAnswer(t, r.synops(nil, "plan", "build-etl-jobs", "-e", "dev"), 3, "works on an AWS account, and dev names none")
	own := strings.Replace(string(environmentsFile("http://127.0.0.1:1", "https://repo-prod.prod.sagebase.org")), "    instances: [\"dev*\"]\n", "    constants: {shared: {stak: dev}}\n", 1)
	wantAnswer(t, r.synops(map[string]string{"SYNOPS_CONFIG": r.file("own.yaml", own)}, "plan", "build-etl-jobs", "-e", "dev"), 2,
		`shared constant "stak". Did you mean "stack"?`, `constant "stack" of build-etl-jobs: it is required`)
	var task struct {
		Constants []struct{ Name string } `json:"constants"`
	}
	if err := json.Unmarshal([]byte(r.synops(nil, "tasks", "show", "build-cdn", "--format", "json").stdout), &task); err != nil || len(task.Constants) == 0 {
		t.Errorf("%+v %v", task, err)
	}
}
