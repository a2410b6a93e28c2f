package emulator

import (
	"maps"
	"slices"
	"strconv"
)

func engineTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::CodeBuild::Project":     projectType(),
		"AWS::CodePipeline::Pipeline": pipelineType(),
		"AWS::Logs::LogGroup":         logGroupType(),
		"AWS::Logs::MetricFilter":     metricFilterType(),
	}
}

func projectType() *resourceType {
	return kind("AWS::CodeBuild::Project", kindOf[Project]{
		named: "Name", replace: []string{"Name"},
		asks: func(a *Account, v verb, physical string, _, new *Project) []question {
			arn := a.CodeBuild.projectARN(physical)
			switch v {
			case creates:
				return []question{passes(new.ServiceRole, "codebuild.amazonaws.com"), ask("codebuild:CreateProject", arn)}
			case updates:
				return []question{passes(new.ServiceRole, "codebuild.amazonaws.com"), ask("codebuild:UpdateProject", arn)}
			case deletes:
				return all(arn, "codebuild:DeleteProject")
			}
			return all(arn, "codebuild:BatchGetProjects")
		},
		create: func(a *Account, physical string, p Project) (string, error) {
			if _, taken := a.CodeBuild.Project(physical); taken {
				return "", fault("ResourceAlreadyExistsException", "Project already exists: %s", a.CodeBuild.projectARN(physical))
			}
			p.Name = physical
			return physical, a.CodeBuild.PutProject(p)
		},
		update: func(a *Account, physical string, _, p Project) error {
			p.Name = physical
			return a.CodeBuild.PutProject(p)
		},
		remove: func(a *Account, physical string, _ Project) error { return a.CodeBuild.DeleteProject(physical) },
		read:   func(a *Account, physical string) (Project, bool) { return a.CodeBuild.Project(physical) },
		attr: func(a *Account, physical, name string) (string, bool) {
			return a.CodeBuild.projectARN(physical), name == "Arn"
		},
	})
}

func pipelineType() *resourceType {
	return kind("AWS::CodePipeline::Pipeline", kindOf[Pipeline]{
		named: "Name", most: 100, replace: []string{"Name"},
		asks: func(a *Account, v verb, physical string, _, new *Pipeline) []question {
			arn := a.Pipelines.arn(physical)
			switch v {
			case creates:
				q := []question{passes(new.RoleArn, "codepipeline.amazonaws.com")}
				q = append(q, all(arn, "codepipeline:CreatePipeline", "codepipeline:GetPipelineState", "codepipeline:ListTagsForResource")...)
				return append(q, repeat(ask("codepipeline:TagResource", arn), min(1, len(new.Tags)))...)
			case updates:
				q := []question{passes(new.RoleArn, "codepipeline.amazonaws.com")}
				return append(q, all(arn, "codepipeline:UpdatePipeline", "codepipeline:GetPipelineState", "codepipeline:ListTagsForResource")...)
			case deletes:
				return all(arn, "codepipeline:GetPipeline", "codepipeline:DeletePipeline")
			}
			return all(arn, "codepipeline:GetPipeline")
		},
		create: func(a *Account, physical string, p Pipeline) (string, error) {
			p.Name = physical
			return physical, a.Pipelines.CreatePipeline(p)
		},
		update: func(a *Account, physical string, _, p Pipeline) error {
			p.Name = physical
			return a.Pipelines.UpdatePipeline(p)
		},
		remove: func(a *Account, physical string, _ Pipeline) error { return a.Pipelines.DeletePipeline(physical) },
		read:   func(a *Account, physical string) (Pipeline, bool) { return a.Pipelines.Pipeline(physical) },
		attr: func(a *Account, physical, name string) (string, bool) {
			p, ok := a.Pipelines.Pipeline(physical)
			return strconv.Itoa(p.Version), ok && name == "Version"
		},
		// What a pipeline does not say has a default, which is as good as said.
		normal: func(p *Pipeline) {
			for i := range p.Stages {
				for j := range p.Stages[i].Actions {
					if p.Stages[i].Actions[j].RunOrder == 0 {
						p.Stages[i].Actions[j].RunOrder = 1
					}
				}
			}
		},
	})
}

type logGroupProperties struct {
	LogGroupName    string `json:",omitempty"`
	RetentionInDays Number `json:",omitempty"`
}

func logGroupType() *resourceType {
	return kind("AWS::Logs::LogGroup", kindOf[logGroupProperties]{
		named: "LogGroupName", most: 512, replace: []string{"LogGroupName"},
		asks: func(a *Account, v verb, physical string, old, new *logGroupProperties) []question {
			arn := a.arn("logs", "log-group:"+physical)
			switch v {
			case creates:
				q := all(arn, "logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:ListTagsForResource")
				return append(q, repeat(ask("logs:PutRetentionPolicy", arn), min(1, int(new.RetentionInDays)))...)
			case updates:
				q := all(arn, "logs:DescribeLogGroups", "logs:ListTagsForResource")
				if new.RetentionInDays == 0 && old.RetentionInDays != 0 {
					return append(q, ask("logs:DeleteRetentionPolicy", arn))
				}
				return append(q, ask("logs:PutRetentionPolicy", arn))
			case deletes:
				return all(arn, "logs:DescribeLogGroups", "logs:DeleteLogGroup")
			}
			return all(arn, "logs:DescribeLogGroups")
		},
		create: func(a *Account, physical string, p logGroupProperties) (string, error) {
			return physical, a.Logs.CreateGroup(physical, int(p.RetentionInDays))
		},
		update: func(a *Account, physical string, _, p logGroupProperties) error {
			return a.Logs.SetRetention(physical, int(p.RetentionInDays))
		},
		remove: func(a *Account, physical string, _ logGroupProperties) error { return a.Logs.DeleteGroup(physical) },
		read: func(a *Account, physical string) (logGroupProperties, bool) {
			g, ok := a.Logs.Group(physical)
			return logGroupProperties{LogGroupName: g.Name, RetentionInDays: Number(g.RetentionDays)}, ok
		},
		attr: func(a *Account, physical, name string) (string, bool) {
			return a.Logs.GroupARN(physical), name == "Arn"
		},
	})
}

type metricFilterProperties struct {
	FilterName            string            `json:",omitempty"`
	LogGroupName          string            `json:",omitempty"`
	FilterPattern         string            `json:",omitempty"`
	MetricTransformations []transformedText `json:",omitempty"`
}

type transformedText struct {
	MetricNamespace, MetricName string
	MetricValue                 Text
}

// findFilter returns the metric filter of that name and its group: the names that
// templates give are one space.
func findFilter(a *Account, name string) (string, MetricFilter, bool) {
	a.Logs.mu.Lock()
	groups := slices.Sorted(maps.Keys(a.Logs.groups))
	a.Logs.mu.Unlock()
	for _, group := range groups {
		for _, f := range a.Logs.Filters(group) {
			if f.Name == name {
				return group, f, true
			}
		}
	}
	return "", MetricFilter{}, false
}

func metricFilterType() *resourceType {
	put := func(a *Account, physical string, p metricFilterProperties) error {
		if len(p.MetricTransformations) != 1 {
			return notModeled("AWS::Logs::MetricFilter", "any but one transformation")
		}
		t := p.MetricTransformations[0]
		return a.Logs.PutFilter(p.LogGroupName, MetricFilter{physical, p.FilterPattern, t.MetricNamespace, t.MetricName, string(t.MetricValue)})
	}
	return kind("AWS::Logs::MetricFilter", kindOf[metricFilterProperties]{
		named: "FilterName", most: 512, replace: []string{"FilterName", "LogGroupName"},
		asks: func(a *Account, v verb, physical string, old, new *metricFilterProperties) []question {
			group, _, _ := findFilter(a, physical)
			if new != nil {
				group = new.LogGroupName
			}
			arn := a.arn("logs", "log-group:"+group)
			switch v {
			case creates, updates:
				return all(arn, "logs:PutMetricFilter", "logs:DescribeMetricFilters")
			case deletes:
				return all(a.arn("logs", "log-group:"+old.LogGroupName), "logs:DeleteMetricFilter")
			}
			return all(arn, "logs:DescribeMetricFilters")
		},
		create: func(a *Account, physical string, p metricFilterProperties) (string, error) {
			return physical, put(a, physical, p)
		},
		update: func(a *Account, physical string, _, p metricFilterProperties) error { return put(a, physical, p) },
		remove: func(a *Account, physical string, p metricFilterProperties) error {
			return a.Logs.DeleteFilter(p.LogGroupName, physical)
		},
		read: func(a *Account, physical string) (metricFilterProperties, bool) {
			group, f, ok := findFilter(a, physical)
			return metricFilterProperties{
				FilterName: f.Name, LogGroupName: group, FilterPattern: f.Pattern,
				MetricTransformations: []transformedText{{f.Namespace, f.Metric, Text(f.Value)}},
			}, ok
		},
		attr: func(*Account, string, string) (string, bool) { return "", false },
	})
}
