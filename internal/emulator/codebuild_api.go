package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func codeBuildService() service {
	return jsonService{
		"StartBuild":           jsonOp(startBuild),
		"StopBuild":            jsonOp(stopBuild),
		"BatchGetBuilds":       jsonOp(batchGetBuilds),
		"ListBuildsForProject": jsonOp(listBuildsForProject),
		"BatchGetProjects":     jsonOp(batchGetProjects),
	}
}

func (c *call) mayBuild(action, project string) error {
	return c.allow(question{action: "codebuild:" + action, resource: c.account.CodeBuild.projectARN(project)})
}

// projectOf returns the project that a build's ID or ARN names.
func projectOf(id string) string {
	if _, rest, ok := strings.Cut(id, ":build/"); ok {
		id = rest
	}
	name, _, _ := strings.Cut(id, ":")
	return name
}

type startBuildInput struct {
	ProjectName                  string `json:"projectName"`
	EnvironmentVariablesOverride []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		Type  string `json:"type"`
	} `json:"environmentVariablesOverride"`
}

// startBuild refuses every project: those whose source is CODEPIPELINE, which are
// all that are modeled, are started by their pipeline alone.
func startBuild(c *call, in *startBuildInput) (*nothing, error) {
	if err := c.mayBuild("StartBuild", in.ProjectName); err != nil {
		return nil, err
	}
	if _, ok := c.account.CodeBuild.Project(in.ProjectName); !ok {
		return nil, noProject(in.ProjectName)
	}
	return nil, invalidInput("Build of project %s cannot be started: its source is CODEPIPELINE, which only a pipeline provides", in.ProjectName)
}

type buildOutput struct {
	Build *buildJSON `json:"build"`
}

// stopBuild answers before the build has ended.
// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StopBuild.html
func stopBuild(c *call, in *struct {
	ID string `json:"id"`
}) (*buildOutput, error) {
	if err := c.mayBuild("StopBuild", projectOf(in.ID)); err != nil {
		return nil, err
	}
	b := c.account.CodeBuild.build(in.ID)
	if b == nil {
		return nil, fault("ResourceNotFoundException", "Build not found: %s", in.ID)
	}
	if b.Status() == buildInProgress {
		b.stop()
	}
	return &buildOutput{b.json()}, nil
}

type batchBuilds struct {
	Builds         []*buildJSON `json:"builds"`
	BuildsNotFound []string     `json:"buildsNotFound"`
}

func batchGetBuilds(c *call, in *struct {
	IDs []string `json:"ids"`
}) (*batchBuilds, error) {
	if len(in.IDs) < 1 || len(in.IDs) > 100 {
		return nil, invalidInput("Invalid number of build IDs: %d, must be 1 to 100", len(in.IDs))
	}
	out := &batchBuilds{Builds: []*buildJSON{}, BuildsNotFound: []string{}}
	for _, id := range in.IDs {
		if err := c.mayBuild("BatchGetBuilds", projectOf(id)); err != nil {
			return nil, err
		}
		if b := c.account.CodeBuild.build(id); b != nil {
			out.Builds = append(out.Builds, b.json())
		} else {
			out.BuildsNotFound = append(out.BuildsNotFound, id)
		}
	}
	return out, nil
}

type listBuildsInput struct {
	ProjectName string `json:"projectName"`
	SortOrder   string `json:"sortOrder"`
	NextToken   string `json:"nextToken"`
}

type listBuildsOutput struct {
	IDs       []string `json:"ids"`
	NextToken string   `json:"nextToken,omitempty"`
}

// listBuildsForProject answers at most 100 at a time.
// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ListBuildsForProject.html
func listBuildsForProject(c *call, in *listBuildsInput) (*listBuildsOutput, error) {
	if err := c.mayBuild("ListBuildsForProject", in.ProjectName); err != nil {
		return nil, err
	}
	if _, ok := c.account.CodeBuild.Project(in.ProjectName); !ok {
		return nil, noProject(in.ProjectName)
	}
	ids := []string{}
	for _, b := range c.account.CodeBuild.ofProject(in.ProjectName) {
		ids = append(ids, b.id)
	}
	switch in.SortOrder {
	case "", "DESCENDING":
	case "ASCENDING":
		slices.Reverse(ids)
	default:
		return nil, invalidInput("Invalid sort order %q", in.SortOrder)
	}
	page, next, err := pageOf(ids, in.NextToken, 100)
	return &listBuildsOutput{page, next}, err
}

// pageOf returns at most so many items after those of a token, and the next token.
func pageOf[T any](items []T, token string, most int) (page []T, next string, err error) {
	first := 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "page-%d", &first); err != nil || first < 0 || first > len(items) {
			return nil, "", fault("InvalidNextTokenException", "The next token %q is not valid.", token)
		}
	}
	last := min(len(items), first+most)
	if last < len(items) {
		next = fmt.Sprintf("page-%d", last)
	}
	return items[first:last], next, nil
}

type buildJSON struct {
	ID            string           `json:"id"`
	ARN           string           `json:"arn"`
	Number        int              `json:"buildNumber"`
	Start         epoch            `json:"startTime"`
	End           *epoch           `json:"endTime,omitempty"`
	Phase         string           `json:"currentPhase"`
	Status        string           `json:"buildStatus"`
	SourceVersion string           `json:"sourceVersion"`
	Project       string           `json:"projectName"`
	Phases        []buildPhaseJSON `json:"phases"`
	Source        map[string]any   `json:"source"`
	Artifacts     map[string]any   `json:"artifacts"`
	Cache         map[string]any   `json:"cache"`
	Environment   environmentJSON  `json:"environment"`
	ServiceRole   string           `json:"serviceRole"`
	Logs          map[string]any   `json:"logs"`
	Timeout       int              `json:"timeoutInMinutes"`
	QueuedTimeout int              `json:"queuedTimeoutInMinutes"`
	Complete      bool             `json:"buildComplete"`
	Initiator     string           `json:"initiator"`
	VPC           *vpcJSON         `json:"vpcConfig,omitempty"`
}

type buildPhaseJSON struct {
	Type     string             `json:"phaseType"`
	Status   string             `json:"phaseStatus,omitempty"`
	Start    epoch              `json:"startTime"`
	End      *epoch             `json:"endTime,omitempty"`
	Duration *int64             `json:"durationInSeconds,omitempty"`
	Contexts []phaseContextJSON `json:"contexts,omitempty"`
}

type phaseContextJSON struct {
	Code string `json:"statusCode"`
	Text string `json:"message"`
}

type environmentJSON struct {
	Type       string         `json:"type"`
	Image      string         `json:"image"`
	Compute    string         `json:"computeType"`
	Variables  []variableJSON `json:"environmentVariables"`
	Privileged bool           `json:"privilegedMode"`
}

type variableJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type"`
}

type vpcJSON struct {
	ID             string   `json:"vpcId"`
	Subnets        []string `json:"subnets"`
	SecurityGroups []string `json:"securityGroupIds"`
}

func (e *ProjectEnvironment) json(vars []BuildVariable) environmentJSON {
	out := environmentJSON{Type: e.Type, Image: e.Image, Compute: e.ComputeType, Privileged: bool(e.PrivilegedMode), Variables: []variableJSON{}}
	for _, v := range vars {
		out.Variables = append(out.Variables, variableJSON{v.Name, string(v.Value), "PLAINTEXT"})
	}
	return out
}

func (v *ProjectVPC) json() *vpcJSON {
	if v == nil {
		return nil
	}
	return &vpcJSON{v.VpcID, v.Subnets, v.SecurityGroupIds}
}

func (b *build) json() *buildJSON {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := &buildJSON{
		ID: b.id, ARN: b.arn, Number: b.serial, Start: epoch(b.started), Phase: b.phaseNow(), Status: b.status,
		SourceVersion: "arn:aws:s3:::" + b.source.bucket + "/" + b.source.key, Project: b.project.Name,
		Source:    map[string]any{"type": "CODEPIPELINE", "buildspec": b.project.Source.BuildSpec},
		Artifacts: map[string]any{"location": ""}, Cache: map[string]any{"type": "NO_CACHE"},
		Environment: b.project.Environment.json(b.variables), ServiceRole: b.project.ServiceRole,
		Logs: b.logs(), Timeout: int(b.project.TimeoutInMinutes), QueuedTimeout: int(b.project.QueuedTimeoutInMinutes),
		Complete: b.status != buildInProgress, Initiator: b.initiator, VPC: b.project.VpcConfig.json(),
	}
	if !b.ended.IsZero() {
		out.End = (*epoch)(&b.ended)
	}
	for _, p := range b.phases {
		out.Phases = append(out.Phases, p.json())
	}
	return out
}

// logs names the stream once it is there; before, CodeBuild knows the group only.
func (b *build) logs() map[string]any {
	group := b.project.logGroup()
	m := map[string]any{"groupName": group, "cloudWatchLogs": map[string]any{"status": "ENABLED", "groupName": group}}
	if b.logging {
		stream := b.project.logStream(b.uuid)
		m["streamName"] = stream
		m["deepLink"] = fmt.Sprintf("https://console.aws.amazon.com/cloudwatch/home?region=%s#logsV2:log-groups/log-group/%s/log-events/%s", b.service.account.Region, group, stream)
		m["cloudWatchLogsArn"] = b.service.account.arn("logs", "log-group:"+group+":log-stream:"+stream)
	}
	return m
}

func (p buildPhase) json() buildPhaseJSON {
	out := buildPhaseJSON{Type: p.name, Status: p.status, Start: epoch(p.start)}
	if !p.end.IsZero() {
		out.End = (*epoch)(&p.end)
		seconds := int64(p.end.Sub(p.start) / time.Second)
		out.Duration = &seconds
	}
	if p.code != "" {
		out.Contexts = []phaseContextJSON{{p.code, p.text}}
	}
	return out
}

type projectJSON struct {
	Name            string          `json:"name"`
	ARN             string          `json:"arn"`
	Description     string          `json:"description,omitempty"`
	ServiceRole     string          `json:"serviceRole"`
	Source          map[string]any  `json:"source"`
	Artifacts       map[string]any  `json:"artifacts"`
	Environment     environmentJSON `json:"environment"`
	Timeout         int             `json:"timeoutInMinutes"`
	QueuedTimeout   int             `json:"queuedTimeoutInMinutes"`
	ConcurrentLimit int             `json:"concurrentBuildLimit,omitempty"`
	AutoRetryLimit  int             `json:"autoRetryLimit"`
	Logs            map[string]any  `json:"logsConfig"`
	VPC             *vpcJSON        `json:"vpcConfig,omitempty"`
	Created         epoch           `json:"created"`
	Modified        epoch           `json:"lastModified"`
}

type batchProjects struct {
	Projects         []projectJSON `json:"projects"`
	ProjectsNotFound []string      `json:"projectsNotFound"`
}

func batchGetProjects(c *call, in *struct {
	Names []string `json:"names"`
}) (*batchProjects, error) {
	out := &batchProjects{Projects: []projectJSON{}, ProjectsNotFound: []string{}}
	for _, name := range in.Names {
		if err := c.mayBuild("BatchGetProjects", name); err != nil {
			return nil, err
		}
		p, ok := c.account.CodeBuild.Project(name)
		if !ok {
			out.ProjectsNotFound = append(out.ProjectsNotFound, name)
			continue
		}
		out.Projects = append(out.Projects, projectJSON{
			Name: p.Name, ARN: c.account.CodeBuild.projectARN(p.Name), Description: p.Description, ServiceRole: p.ServiceRole,
			Source:    map[string]any{"type": p.Source.Type, "buildspec": p.Source.BuildSpec},
			Artifacts: map[string]any{"type": p.Artifacts.Type}, Environment: p.Environment.json(p.Environment.EnvironmentVariables),
			Timeout: int(p.TimeoutInMinutes), QueuedTimeout: int(p.QueuedTimeoutInMinutes), ConcurrentLimit: int(p.ConcurrentBuildLimit),
			AutoRetryLimit: int(p.AutoRetryLimit), VPC: p.VpcConfig.json(), Created: epoch(p.Created), Modified: epoch(p.Updated),
			Logs: map[string]any{"cloudWatchLogs": map[string]any{"status": "ENABLED", "groupName": p.logGroup()}},
		})
	}
	return out, nil
}
