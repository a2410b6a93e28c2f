package emulator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Builds is how builds behave.
type Builds struct {
	// Provisioning is how long a build is in that phase: public reports tell of 90
	// seconds to 4 minutes. https://github.com/aws/aws-codebuild-docker-images/issues/296
	Provisioning time.Duration
	// NeverBegins keeps builds in the phase QUEUED until their queued timeout, as when
	// the account has no machine left.
	// https://docs.aws.amazon.com/codebuild/latest/userguide/builds-working.html
	NeverBegins bool
	// Fault ends builds in PROVISIONING with FAULT and this text as the phase's
	// context, and without a log; "" none.
	// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_PhaseContext.html
	Fault string
	// StopDelay passes between StopBuild's answer and the end of the build: it only
	// "attempts to stop". https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StopBuild.html
	StopDelay time.Duration
	// StopGrace lets a stopped build's processes see SIGTERM first. No page promises
	// them any, so the default is sudden death.
	StopGrace time.Duration
	// Minute is how long a minute of build and queued timeouts lasts; 0: a minute.
	Minute time.Duration
	// CredentialLife is how long the credentials that a build is served are good for.
	// 0: an hour, which is what public reports tell: https://github.com/prowler-cloud/prowler/issues/1259
	CredentialLife time.Duration
	// Prefix is put before every command, such as: ip netns exec NAME.
	Prefix []string
	// Command does a build's commands in this process, in place of processes of their
	// own; nil: processes. environ and out are what a process would have. When ctx
	// ends it is to end at once, as what is killed does. No signal reaches it before.
	Command func(ctx context.Context, environ []string, command string, out io.Writer) error
}

// defaultBuilds is a build service that works, fast.
func defaultBuilds() Builds {
	return Builds{
		Provisioning: 200 * time.Millisecond, StopDelay: 50 * time.Millisecond,
		Minute: time.Minute, CredentialLife: time.Hour,
	}
}

// CodeBuild holds an account's build projects and their builds.
type CodeBuild struct {
	account *Account

	mu       sync.Mutex
	projects map[string]*Project
	behaves  map[string]Builds // by project; others behave as the settings say
	started  map[string]int    // builds ever started, by project
	builds   map[string]*build // by ID
}

// A Project is a build project, in the words of AWS::CodeBuild::Project.
type Project struct {
	Name                   string
	Description            string `json:",omitempty"`
	ServiceRole            string
	Source                 ProjectSource
	Artifacts              ProjectArtifacts
	Environment            ProjectEnvironment
	VpcConfig              *ProjectVPC   `json:",omitempty"`
	LogsConfig             *ProjectLogs  `json:",omitempty"`
	Cache                  *ProjectCache `json:",omitempty"`
	TimeoutInMinutes       Number        `json:",omitempty"` // 0 when put: 60
	QueuedTimeoutInMinutes Number        `json:",omitempty"` // 0 when put: 480
	ConcurrentBuildLimit   Number        `json:",omitempty"` // 0: none
	AutoRetryLimit         Number
	EncryptionKey          string `json:",omitempty"`
	Visibility             string `json:",omitempty"`
	Tags                   []Tag  `json:",omitempty"`

	// Created and Updated are no properties.
	Created, Updated time.Time `json:"-"`
}

// ProjectSource is where a project's source comes from.
type ProjectSource struct {
	Type      string
	BuildSpec string
}

// ProjectArtifacts is where a project's output goes.
type ProjectArtifacts struct{ Type string }

// ProjectEnvironment is what a project's builds run in.
type ProjectEnvironment struct {
	Type, Image, ComputeType string
	ImagePullCredentialsType string `json:",omitempty"`
	PrivilegedMode           Flag
	EnvironmentVariables     []BuildVariable `json:",omitempty"`
}

// A BuildVariable is an environment variable of a build.
type BuildVariable struct {
	Name  string
	Value Text
	Type  string `json:",omitempty"` // "" means PLAINTEXT
}

// ProjectVPC is the network that a project's builds have.
type ProjectVPC struct {
	VpcID            string `json:"VpcId"`
	Subnets          []string
	SecurityGroupIds []string
}

// ProjectLogs is where a project's builds log.
type ProjectLogs struct {
	CloudWatchLogs struct{ Status, GroupName, StreamName string }
}

// ProjectCache is kept and not acted on: every build begins with nothing.
type ProjectCache struct {
	Type     string
	Location string   `json:",omitempty"`
	Modes    []string `json:",omitempty"`
}

func newCodeBuild(a *Account) *CodeBuild {
	return &CodeBuild{account: a, projects: map[string]*Project{}, behaves: map[string]Builds{}, started: map[string]int{}, builds: map[string]*build{}}
}

// Behave makes the builds of one project that start from now on behave otherwise
// than the settings say.
func (s *CodeBuild) Behave(project string, b Builds) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaves[project] = b
}

// Kill ends the processes of a project's builds in progress as a machine's end does:
// they are told nothing, and the builds fail. It returns how many builds had any, once
// they have ended.
func (s *CodeBuild) Kill(project string) int {
	n := 0
	for _, b := range s.ofProject(project) {
		b.mu.Lock()
		h, going := b.holder, b.status == buildInProgress
		b.mu.Unlock()
		if h != nil && going {
			h.signal(syscall.SIGKILL)
			<-b.done
			n++
		}
	}
	return n
}

// Project returns the project of that name.
func (s *CodeBuild) Project(name string) (Project, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[name]
	if p == nil {
		return Project{}, false
	}
	return *p, true
}

// PutProject stores a project, in place of the one of that name.
func (s *CodeBuild) PutProject(p Project) error {
	if err := p.check(s.account); err != nil {
		return err
	}
	p.Updated = s.account.cloud.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Created = p.Updated
	if old := s.projects[p.Name]; old != nil {
		p.Created = old.Created
	}
	s.projects[p.Name] = &p
	return nil
}

// DeleteProject removes a project. Its builds go on.
func (s *CodeBuild) DeleteProject(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.projects[name] == nil {
		return noProject(name)
	}
	delete(s.projects, name)
	return nil
}

func noProject(name string) *Fault {
	return fault("ResourceNotFoundException", "Project cannot be found: %s", name)
}

func invalidInput(format string, args ...any) *Fault {
	return fault("InvalidInputException", format, args...)
}

var (
	projectName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9\-_]{1,149}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// check asks what CodeBuild asks of a project, and fills in its defaults. Figures:
// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html
func (p *Project) check(a *Account) error {
	if p.TimeoutInMinutes == 0 {
		p.TimeoutInMinutes = 60
	}
	if p.QueuedTimeoutInMinutes == 0 {
		p.QueuedTimeoutInMinutes = 480
	}
	switch {
	case !projectName.MatchString(p.Name):
		return invalidInput("Invalid project name %q", p.Name)
	case p.Source.Type != "CODEPIPELINE" || p.Artifacts.Type != "CODEPIPELINE":
		return notModeled("a build project", fmt.Sprintf("source %q with artifacts %q", p.Source.Type, p.Artifacts.Type))
	case !slices.Contains([]string{"LINUX_CONTAINER", "ARM_CONTAINER"}, p.Environment.Type):
		return notModeled("a build project", fmt.Sprintf("environment type %q", p.Environment.Type))
	case !slices.Contains([]string{"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"}, p.Environment.ComputeType):
		return notModeled("a build project", fmt.Sprintf("compute type %q", p.Environment.ComputeType))
	case p.Environment.Image == "":
		return invalidInput("Invalid environment: image is missing")
	case p.TimeoutInMinutes < 5 || p.TimeoutInMinutes > 2160:
		return invalidInput("Invalid timeout %d: 5 to 2160 minutes", p.TimeoutInMinutes)
	case p.QueuedTimeoutInMinutes < 5 || p.QueuedTimeoutInMinutes > 480:
		return invalidInput("Invalid queued timeout %d: 5 to 480 minutes", p.QueuedTimeoutInMinutes)
	case p.AutoRetryLimit != 0:
		return notModeled("a build project", fmt.Sprintf("autoRetryLimit %d", p.AutoRetryLimit))
	}
	if _, ok := a.IAM.roleOf(p.ServiceRole); !ok {
		return invalidInput("Role %s cannot be found or does not belong to the account", p.ServiceRole)
	}
	if _, err := readBuildspec(p.Source.BuildSpec); err != nil {
		return err
	}
	return p.checkParts()
}

func (p *Project) checkParts() error {
	// https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html
	if v := p.VpcConfig; v != nil && (v.VpcID == "" || len(v.Subnets) == 0 || len(v.Subnets) > 16 || len(v.SecurityGroupIds) == 0 || len(v.SecurityGroupIds) > 5) {
		return invalidInput("Invalid vpc config: a VPC, 1 to 16 subnets and 1 to 5 security groups")
	}
	if l := p.LogsConfig; l != nil && l.CloudWatchLogs.Status != "ENABLED" {
		return notModeled("a build project", fmt.Sprintf("log status %q", l.CloudWatchLogs.Status))
	}
	return checkBuildVariables(p.Environment.EnvironmentVariables)
}

func checkBuildVariables(vars []BuildVariable) error {
	seen := map[string]bool{}
	for _, v := range vars {
		switch {
		case !variableName.MatchString(v.Name):
			return invalidInput("Invalid environment variable name %q", v.Name)
		case seen[v.Name]:
			return invalidInput("Environment variable %q is there twice", v.Name)
		case v.Type != "" && v.Type != "PLAINTEXT":
			return notModeled("an environment variable", fmt.Sprintf("type %q", v.Type))
		}
		seen[v.Name] = true
	}
	return nil
}

// logGroup is where the project's builds log.
// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CloudWatchLogsConfig.html
func (p *Project) logGroup() string {
	if p.LogsConfig != nil && p.LogsConfig.CloudWatchLogs.GroupName != "" {
		return p.LogsConfig.CloudWatchLogs.GroupName
	}
	return "/aws/codebuild/" + p.Name
}

func (p *Project) logStream(build string) string {
	if p.LogsConfig != nil && p.LogsConfig.CloudWatchLogs.StreamName != "" {
		return p.LogsConfig.CloudWatchLogs.StreamName + "/" + build
	}
	return build
}

func (s *CodeBuild) projectARN(name string) string {
	return s.account.arn("codebuild", "project/"+name)
}

// behavior returns how a project's next build behaves. It is called under the lock.
func (s *CodeBuild) behavior(project string) Builds {
	b, ok := s.behaves[project]
	if !ok {
		b = s.account.cloud.settings.Builds
	}
	b.Minute, b.CredentialLife = cmp.Or(b.Minute, time.Minute), cmp.Or(b.CredentialLife, time.Hour)
	return b
}

// build returns the build of that ID or ARN; nil when there is none.
func (s *CodeBuild) build(id string) *build {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.builds[id]; b != nil {
		return b
	}
	for _, b := range s.builds {
		if b.arn == id {
			return b
		}
	}
	return nil
}

// ofProject returns a project's builds, newest first.
func (s *CodeBuild) ofProject(name string) []*build {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*build
	for b := range maps.Values(s.builds) {
		if b.project.Name == name {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b *build) int { return b.serial - a.serial })
	return out
}
