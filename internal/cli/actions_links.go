package cli

import (
	"context"
	"net/url"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/report"
)

// documents are the console's pages of a run: its documents, and the build and log
// of its newest attempt. None where the environment names no account.
func (j *job) documents(ctx context.Context, ref ops.RunRef) []report.Link {
	env := j.named()
	if env == nil || env.Account == "" || env.Region == "" {
		return nil
	}
	st, err := j.open(ctx)
	if err != nil {
		return nil
	}
	console := "https://" + env.Region + ".console.aws.amazon.com"
	var links []report.Link
	if bucket, ok := strings.CutPrefix(st.URL(), s3Scheme); ok {
		at := url.Values{"region": {env.Region}, "prefix": {string(ref.Lane) + "/runs/" + string(ref.Run) + "/"}}
		links = append(links, report.Link{Label: "Documents of the run", URL: console + "/s3/buckets/" + url.PathEscape(bucket) + "?" + at.Encode()})
	}
	attempts, err := st.Attempts(ctx, ref)
	if err != nil || len(attempts) == 0 || attempts[len(attempts)-1].Build == "" {
		return links
	}
	last := attempts[len(attempts)-1]
	project, _, _ := strings.Cut(last.Build, ":")
	links = append(links, report.Link{Label: "Build", URL: console + "/codesuite/codebuild/" + env.Account + "/projects/" + url.PathEscape(project) + "/build/" + url.QueryEscape(last.Build)})
	if last.Stream != "" {
		links = append(links, report.Link{Label: "Log in full", URL: console + "/cloudwatch/home?region=" + env.Region +
			"#logsV2:log-groups/log-group/" + fragment("/synops/"+string(ref.Lane)) + "/log-events/" + fragment(last.Stream)})
	}
	return links
}

// fragment escapes a name as CloudWatch's console does: twice, with "$" for "%".
func fragment(s string) string {
	return strings.ReplaceAll(url.QueryEscape(url.QueryEscape(s)), "%", "$")
}
