package emulator

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// provision takes the role's session, the network and the log stream. What is
// missing here shows as the phase's context, and nowhere in a log.
func (b *build) provision(ctx context.Context) error {
	wait(ctx, b.behaves.Provisioning)
	if b.behaves.Fault != "" {
		return &buildTrouble{"INTERNAL_SERVICE_ERROR", b.behaves.Fault, errBuildFault}
	}
	a := b.service.account
	role, err := a.IAM.serviceSession(b.project.ServiceRole, "codebuild.amazonaws.com", "AWSCodeBuild-"+b.uuid, b.behaves.CredentialLife,
		map[string][]string{"aws:SourceArn": {b.service.projectARN(b.project.Name)}, "aws:SourceAccount": {a.ID}})
	if err != nil {
		return failed("ACCESS_DENIED", "CodeBuild is not authorized to perform: sts:AssumeRole on %s: %v", b.project.ServiceRole, err)
	}
	b.mu.Lock()
	b.role = role
	b.mu.Unlock()
	if err := b.attach(role); err != nil {
		return err
	}
	return b.openLog(role)
}

// attach asks for what a build in a VPC does: it makes a network interface in one
// of the subnets. Which one cannot be told, so each must be allowed.
// https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func (b *build) attach(role *Caller) error {
	v, a := b.project.VpcConfig, b.service.account
	if v == nil {
		return nil
	}
	var questions []question
	for _, action := range []string{"DescribeVpcs", "DescribeSubnets", "DescribeSecurityGroups", "DescribeDhcpOptions", "DescribeNetworkInterfaces"} {
		questions = append(questions, question{action: "ec2:" + action, resource: "*"})
	}
	vpc := map[string][]string{"ec2:Vpc": {a.arn("ec2", "vpc/"+v.VpcID)}}
	anInterface := a.arn("ec2", "network-interface/*")
	create := func(resource string, keys map[string][]string) {
		questions = append(questions, question{action: "ec2:CreateNetworkInterface", resource: resource, keys: keys})
	}
	create(anInterface, nil)
	for _, group := range v.SecurityGroupIds {
		create(a.arn("ec2", "security-group/"+group), vpc)
	}
	for _, subnet := range v.Subnets {
		arn := a.arn("ec2", "subnet/"+subnet)
		create(arn, vpc)
		questions = append(questions, question{
			action: "ec2:CreateNetworkInterfacePermission", resource: anInterface,
			keys: merged(vpc, map[string][]string{"ec2:AuthorizedService": {"codebuild.amazonaws.com"}, "ec2:Subnet": {arn}}),
		})
	}
	questions = append(questions, question{action: "ec2:DeleteNetworkInterface", resource: anInterface, keys: vpc})
	for _, q := range questions {
		if err := a.cloud.allow(role, q, jsonDialect); err != nil {
			return failed("VPC_CLIENT_ERROR", "Unexpected EC2 error: UnauthorizedOperation: %v", err)
		}
	}
	return nil
}

// openLog makes the build's log stream, and its group where it is missing.
func (b *build) openLog(role *Caller) error {
	a, group, stream := b.service.account, b.project.logGroup(), b.project.logStream(b.uuid)
	denied := func(err error) error {
		return failed("ACCESS_DENIED", "Service role %s does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build %s. Error message: %v", b.project.ServiceRole, b.arn, err)
	}
	if _, there := a.Logs.Group(group); !there {
		if err := a.cloud.allow(role, question{action: "logs:CreateLogGroup", resource: a.arn("logs", "log-group:"+group)}, jsonDialect); err != nil {
			return denied(err)
		}
		if err := a.Logs.CreateGroup(group, 0); err != nil {
			return denied(err)
		}
	}
	arn := a.arn("logs", "log-group:"+group+":log-stream:"+stream)
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		if err := a.cloud.allow(role, question{action: action, resource: arn}, jsonDialect); err != nil {
			return denied(err)
		}
	}
	if err := a.Logs.CreateStream(group, stream); err != nil {
		return denied(err)
	}
	b.mu.Lock()
	b.logging = true
	b.mu.Unlock()
	return nil
}

// log writes lines of CodeBuild's own.
func (b *build) log(format string, args ...any) {
	b.put("[Container] " + b.service.account.cloud.now().Format("2006/01/02 15:04:05.000000") + " " + fmt.Sprintf(format, args...))
}

func (b *build) put(lines ...string) {
	// A group that somebody deleted meanwhile loses the lines, as it does there.
	_ = b.service.account.Logs.Put(b.project.logGroup(), b.project.logStream(b.uuid), lines...)
}

// readObject asks for an object as who, in the bucket's own policy as well, and
// returns it.
func (a *Account) readObject(who *Caller, from artifact, version string, actions ...string) (*objectVersion, error) {
	owner, state := a.cloud.findBucket(from.bucket)
	if state == nil {
		return nil, noSuchBucket(from.bucket)
	}
	for _, action := range actions {
		if err := a.askBucket(who, action, from.bucket, from.key); err != nil {
			return nil, err
		}
	}
	return owner.version(from.bucket, from.key, version)
}

// askBucket asks whether who may do something to a bucket, or to an object of it.
func (a *Account) askBucket(who *Caller, action, bucket, key string) error {
	owner, state := a.cloud.findBucket(bucket)
	if state == nil {
		return noSuchBucket(bucket)
	}
	owner.mu.Lock()
	doc := state.policy
	owner.mu.Unlock()
	arn := "arn:aws:s3:::" + bucket
	if key != "" {
		arn += "/" + key
	}
	return a.cloud.allow(who, question{
		action: action, resource: arn, owner: owner.account, policies: []*policy.Document{doc},
		keys: map[string][]string{"aws:SecureTransport": {"true"}},
	}, s3Dialect)
}

// download unpacks the source and starts the group that all of the build's
// processes belong to. Permissions as on
// https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
func (b *build) download(context.Context) error {
	err := b.service.account.askBucket(b.role, "s3:GetBucketLocation", b.source.bucket, "")
	var v *objectVersion
	if err == nil {
		v, err = b.service.account.readObject(b.role, b.source, "", "s3:GetObject", "s3:GetObjectVersion")
	}
	if err != nil {
		return failed("CLIENT_ERROR", "error while downloading the source from %s/%s: %v", b.source.bucket, b.source.key, err)
	}
	for _, name := range []string{"src", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(b.dir(), name), 0o700); err != nil {
			return &buildTrouble{"INTERNAL_SERVICE_ERROR", err.Error(), errBuildFault}
		}
	}
	if err := unzip(v.body, filepath.Join(b.dir(), "src")); err != nil {
		return failed("CLIENT_ERROR", "error while unpacking the source: %v", err)
	}
	var h *holder
	if b.behaves.Command == nil {
		if h, err = newHolder(); err != nil {
			return &buildTrouble{"INTERNAL_SERVICE_ERROR", err.Error(), errBuildFault}
		}
	}
	b.mu.Lock()
	b.holder, b.env = h, b.environment()
	b.mu.Unlock()
	b.log("Waiting for agent ping")
	return nil
}

// mostUnpacked is the most that a source may unpack to.
const mostUnpacked = 1 << 30

func unzip(body []byte, dir string) error {
	r, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	left := int64(mostUnpacked)
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) || !f.Mode().IsRegular() && !f.Mode().IsDir() {
			return fmt.Errorf("%q is not a file inside of it", f.Name)
		}
		name := filepath.Join(dir, f.Name)
		if f.Mode().IsDir() {
			if err := os.MkdirAll(name, 0o700); err != nil {
				return err
			}
			continue
		}
		n, err := unzipFile(f, name, left)
		if left -= n; err != nil {
			return err
		}
	}
	return nil
}

func unzipFile(f *zip.File, name string, most int64) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return 0, err
	}
	from, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode().Perm())
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(to, io.LimitReader(from, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("it unpacks to more than %d bytes", mostUnpacked)
	}
	return n, errors.Join(err, to.Close())
}
