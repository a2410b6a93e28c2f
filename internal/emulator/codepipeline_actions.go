package emulator

import (
	"context"
	"encoding/base32"
	"fmt"
	"net/url"
	"time"
)

// fetch is the S3 source action: it takes the object's newest version, or the one
// that the start named, into the pipeline's bucket. Permissions on tags and access
// lists, which the pages name too, are not asked: nothing here has either, and no
// page says that the action fails without them.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3.html
// https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
func (e *execution) fetch(who *Caller, run *actionRun) error {
	a := e.service.account
	from, version := artifact{run.resolved["S3Bucket"], run.resolved["S3ObjectKey"]}, ""
	for _, o := range e.overrides {
		if o.Action == run.action.Name && o.Type == "S3_OBJECT_KEY" {
			from.key = o.Value
		} else if o.Action == run.action.Name {
			version = o.Value
		}
	}
	for _, bucket := range []string{from.bucket, e.pipeline.ArtifactStore.Location} {
		for _, action := range []string{"s3:GetBucketVersioning", "s3:GetBucketLocation"} {
			if err := a.askBucket(who, action, bucket, ""); err != nil {
				return &actionFailure{"PermissionError", err.Error()}
			}
		}
	}
	if b, _ := a.S3.Bucket(from.bucket); !b.Versioned {
		return &actionFailure{"ConfigurationError", fmt.Sprintf("Versioning is not enabled for the Amazon S3 bucket %s.", from.bucket)}
	}
	v, err := a.readObject(who, from, version, "s3:GetObject", "s3:GetObjectVersion")
	if err != nil {
		return &actionFailure{"PermissionError", fmt.Sprintf("The object with key %q and version %q could not be taken from %s: %v", from.key, version, from.bucket, err)}
	}
	to := artifact{e.pipeline.ArtifactStore.Location, fmt.Sprintf("%.20s/%.10s/%s", e.pipeline.Name, run.action.OutputArtifacts[0].Name, base32.StdEncoding.EncodeToString(random(5))[:7])}
	if err := a.askBucket(who, "s3:PutObject", to.bucket, to.key); err != nil {
		return &actionFailure{"PermissionError", err.Error()}
	}
	if _, err := a.S3.Put(to.bucket, to.key, v.body); err != nil {
		return &actionFailure{"ConfigurationError", err.Error()}
	}
	e.took(run, from, to, v)
	return nil
}

// took records what the source action made, for the actions that follow.
func (e *execution) took(run *actionRun, from, to artifact, v *objectVersion) {
	s := e.service
	s.mu.Lock()
	defer s.mu.Unlock()
	name := run.action.OutputArtifacts[0].Name
	e.artifacts[name] = to
	e.revisions = append(e.revisions, artifactRevision{run.action.Name, name, v.id, "Amazon S3 version id: " + v.id, v.modified})
	run.outputs = map[string]string{"BucketName": from.bucket, "ObjectKey": from.key, "VersionId": v.id, "ETag": v.etag}
	if run.action.Namespace != "" {
		e.outputs[run.action.Namespace] = run.outputs
	}
}

// build is the CodeBuild action. The role needs StartBuild and BatchGetBuilds and
// nothing more: it cannot stop the build, and never does.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodeBuild.html
func (e *execution) build(ctx context.Context, who *Caller, run *actionRun) error {
	a, project := e.service.account, run.resolved["ProjectName"]
	vars, err := buildVariables(run.resolved["EnvironmentVariables"])
	if err != nil {
		return &actionFailure{"ConfigurationError", err.Error()}
	}
	may := func(action string, who *Caller) error {
		if err := a.cloud.allow(who, question{action: action, resource: a.CodeBuild.projectARN(project)}, jsonDialect); err != nil {
			return &actionFailure{"PermissionError", fmt.Sprintf("Error calling %s: %v", action, err)}
		}
		return nil
	}
	if err := may("codebuild:StartBuild", who); err != nil {
		return err
	}
	e.service.mu.Lock()
	source := e.artifacts[run.action.InputArtifacts[0].Name]
	e.service.mu.Unlock()
	b, err := a.CodeBuild.start(buildStart{project: project, initiator: "codepipeline/" + e.pipeline.Name, variables: vars, source: source})
	if err != nil {
		return &actionFailure{"JobFailed", fmt.Sprintf("Error calling startBuild: %v", err)}
	}
	e.link(run, b)
	if err := e.await(ctx, b); err != nil {
		return err
	}
	// Roles' sessions last an hour, builds longer.
	if who, err = e.service.session(&e.pipeline, e.id); err != nil {
		return &actionFailure{"PermissionError", err.Error()}
	}
	if err := may("codebuild:BatchGetBuilds", who); err != nil {
		return err
	}
	if status := b.Status(); status != buildSucceeded {
		return &actionFailure{"JobFailed", "Build terminated with state: " + status}
	}
	return nil
}

// link notes which build does the action.
func (e *execution) link(run *actionRun, b *build) {
	a := e.service.account
	e.service.mu.Lock()
	defer e.service.mu.Unlock()
	run.external = b.id
	run.externalURL = fmt.Sprintf("https://console.aws.amazon.com/codebuild/home?region=%s#/builds/%s/view/new", a.Region, url.PathEscape(b.id))
	run.logStream = a.arn("logs", "log-group:"+b.project.logGroup()+":log-stream:"+b.project.logStream(b.uuid))
	run.updated = a.cloud.now()
	e.service.notify()
}

// await waits for the build's end, or for that of interest in it.
func (e *execution) await(ctx context.Context, b *build) error {
	var limit <-chan time.Time
	settings := e.service.account.cloud.settings.Pipelines
	if settings.ActionLimit > 0 {
		t := time.NewTimer(settings.ActionLimit)
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-b.done:
	case <-limit:
		return &actionFailure{"TimeoutError", "The action execution has exceeded its time limit."}
	case <-e.abandoned:
		return errAbandoned
	case <-ctx.Done():
		return ctx.Err()
	}
	wait(ctx, settings.Lag)
	return nil
}

// buildVariables reads EnvironmentVariables once references are resolved.
func buildVariables(value string) ([]BuildVariable, error) {
	if value == "" {
		return nil, nil
	}
	vars, err := readActionVariables(value)
	if err != nil {
		return nil, err
	}
	var out []BuildVariable
	for _, v := range vars {
		out = append(out, BuildVariable{v.Name, Text(v.Value), v.Type})
	}
	return out, nil
}
