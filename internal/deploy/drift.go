package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfnapi "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// A Drift is what differs between an account and what it is to be.
type Drift struct {
	Differences []string `json:"differences"` // a sentence each, naming what differs
	Unknown     []string `json:"unknown"`     // what could not be asked, and why
}

func (r *Drift) differs(format string, args ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

// unknown notes err, where it is an answer and no end of our own waiting.
func (r *Drift) unknown(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	r.Unknown = append(r.Unknown, what+": "+err.Error())
	return nil
}

// driftTime bounds waiting for CloudFormation to look at a stack's resources.
const driftTime = 5 * time.Minute

// Deployed tells whether a stack is there, and not for review only.
func (d *Deployer) Deployed(ctx context.Context, name string) (bool, error) {
	s, err := d.find(ctx, name)
	return err == nil && footingOf(s) != create, err
}

// CheckStack notes in r how a stack differs from what it is to be: its template, its
// parameters, and what was changed of its resources behind CloudFormation's back.
// Nothing is changed. What cannot be asked is noted too.
func (d *Deployer) CheckStack(ctx context.Context, s Stack, r *Drift) error {
	now, err := d.find(ctx, s.Name)
	switch {
	case err != nil:
		return err
	case now == nil || now.StackStatus == types.StackStatusReviewInProgress:
		r.differs("%s is not deployed.", s.Name)
		return nil
	case footingOf(now) != update:
		r.differs("%s is %s.", s.Name, now.StackStatus)
		return nil
	}
	out, err := d.c.Clients.Stacks.GetTemplate(ctx, &cfnapi.GetTemplateInput{StackName: now.StackId, TemplateStage: types.TemplateStageOriginal})
	switch {
	case err != nil:
		if err := r.unknown(ctx, s.Name+", its template", awsauth.Explain("reading it", err)); err != nil {
			return err
		}
	case strings.TrimSpace(aws.ToString(out.TemplateBody)) != strings.TrimSpace(string(s.Template)):
		r.differs("%s was deployed from another template than this release's.", s.Name)
	}
	for _, v := range changedValues(now, s.Parameters) {
		r.differs("%s, parameter %s.", s.Name, v)
	}
	if err := d.checkResources(ctx, s.Name, now.StackId, r); err != nil {
		return r.unknown(ctx, s.Name+", its resources", err)
	}
	return nil
}

// checkResources has CloudFormation compare the resources with the template they
// were made from.
func (d *Deployer) checkResources(ctx context.Context, name string, id *string, r *Drift) error {
	begun, err := d.c.Clients.Stacks.DetectStackDrift(ctx, &cfnapi.DetectStackDriftInput{StackName: id})
	if err != nil {
		return awsauth.Explain("asking what was changed by hand", err)
	}
	ctx, stop := context.WithTimeout(ctx, driftTime)
	defer stop()
	pause := d.pacing()
	for {
		out, err := d.c.Clients.Stacks.DescribeStackDriftDetectionStatus(ctx, &cfnapi.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: begun.StackDriftDetectionId})
		if err != nil {
			return awsauth.Explain("waiting for what was changed by hand", err)
		}
		switch out.DetectionStatus {
		case types.StackDriftDetectionStatusDetectionComplete:
			if out.StackDriftStatus == types.StackDriftStatusInSync {
				return nil
			}
			return d.listDrifts(ctx, name, id, r)
		case types.StackDriftDetectionStatusDetectionFailed:
			return &ops.Error{Code: ops.Unavailable, Message: "CloudFormation could not look at all of them: " + sentence(aws.ToString(out.DetectionStatusReason))}
		}
		if err := pause(ctx); err != nil {
			return awsauth.Explain("waiting for what was changed by hand", err)
		}
	}
}

func (d *Deployer) listDrifts(ctx context.Context, name string, id *string, r *Drift) error {
	in := &cfnapi.DescribeStackResourceDriftsInput{StackName: id, StackResourceDriftStatusFilters: []types.StackResourceDriftStatus{types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted}}
	for {
		out, err := d.c.Clients.Stacks.DescribeStackResourceDrifts(ctx, in)
		if err != nil {
			return awsauth.Explain("reading what was changed by hand", err)
		}
		for _, one := range out.StackResourceDrifts {
			what := fmt.Sprintf("%s: %s (%s)", name, shown(aws.ToString(one.LogicalResourceId)), shown(aws.ToString(one.ResourceType)))
			if one.StackResourceDriftStatus == types.StackResourceDriftStatusDeleted {
				r.differs("%s was deleted by hand.", what)
				continue
			}
			var paths []string
			for _, p := range one.PropertyDifferences {
				paths = append(paths, shown(aws.ToString(p.PropertyPath)))
			}
			r.differs("%s was changed by hand: %s.", what, strings.Join(paths, ", "))
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in.NextToken = out.NextToken
	}
}

// CheckBundle notes how the bundle differs from what a deployment by this release
// (synops) leaves.
func (d *Deployer) CheckBundle(ctx context.Context, bucket, synops string, r *Drift) error {
	c, err := d.Current(ctx, bucket)
	if err != nil {
		return r.unknown(ctx, "the bundle", err)
	}
	if c == nil {
		r.differs("No bundle was published.")
		return nil
	}
	if c.Synops != synops {
		r.differs("The bundle is %s and this is %s.", c.Synops, synops)
	}
	newest, err := d.c.Clients.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(BundleKey)})
	if err != nil {
		return r.unknown(ctx, "the bundle", awsauth.Explain("reading "+BundleKey, err))
	}
	defer newest.Body.Close()
	if v := aws.ToString(newest.VersionId); v != c.VersionID {
		r.differs("The newest %s is version %s, and %s names %s: it was not written by a deployment.", BundleKey, shown(v), CurrentKey, shown(c.VersionID))
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, newest.Body); err != nil {
		return r.unknown(ctx, "the bundle", awsauth.Explain("reading "+BundleKey, err))
	}
	if c.Digest.Hex() != hex.EncodeToString(sum.Sum(nil)) {
		r.differs("%s is not the bundle that %s tells of: another digest.", BundleKey, CurrentKey)
	}
	return nil
}
