package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// vault is a Secrets Manager with one secret.
type vault struct {
	deploy.Secrets
	versions  map[string][]string // stages by version
	values    map[string]string
	calls     []string
	fail      string
	described *secretsmanager.DescribeSecretOutput
}

func (v *vault) called(name string) error {
	v.calls = append(v.calls, name)
	if v.fail == name {
		return answer("AccessDeniedException", "no")
	}
	return nil
}

func (v *vault) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	if v.described != nil {
		return v.described, nil
	}
	if v.versions == nil {
		return nil, answer("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return &secretsmanager.DescribeSecretOutput{VersionIdsToStages: v.versions}, nil
}

func (v *vault) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	if err := v.called("put"); err != nil {
		return nil, err
	}
	id := aws.ToString(in.ClientRequestToken)
	v.values, v.versions[id] = map[string]string{id: aws.ToString(in.SecretString)}, in.VersionStages
	return &secretsmanager.PutSecretValueOutput{VersionId: aws.String(id), VersionStages: in.VersionStages}, nil
}

func (v *vault) UpdateSecretVersionStage(_ context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	if err := v.called("move"); err != nil {
		return nil, err
	}
	from, to, stage := aws.ToString(in.RemoveFromVersionId), aws.ToString(in.MoveToVersionId), aws.ToString(in.VersionStage)
	for id, stages := range v.versions {
		if slices.Contains(stages, stage) {
			if id != from {
				return nil, answer("InvalidParameterException", "the staging label is on another version")
			}
			v.versions[id] = []string{"AWSPREVIOUS"}
		}
	}
	v.versions[to] = append(v.versions[to], stage)
	return nil, nil
}

const put = "canary-secret-9c1d"

func TestPutSecret(t *testing.T) {
	works := func(context.Context) error { return nil }
	wrong := func(context.Context) error {
		return &ops.Error{Code: ops.Denied, Message: "it is not an administrator's."}
	}
	silent := func(context.Context) error { return &ops.Error{Code: ops.Unavailable, Message: "no answer"} }
	held := map[string][]string{"one": {"AWSCURRENT"}, "zero": {"AWSPREVIOUS"}}
	tests := []struct {
		name      string
		versions  map[string][]string
		check     func(context.Context) error
		unchecked bool
		fail      string
		code      ops.Code
		says      string
		calls     string
	}{
		{name: "works", versions: held, check: works, calls: "put move"},
		{name: "the first value", versions: map[string][]string{}, check: works, calls: "put move"},
		{name: "does not work", versions: held, check: wrong, code: ops.Denied, says: "not an administrator's"},
		{name: "does not work, said to be unchecked", versions: held, check: wrong, unchecked: true, code: ops.Denied},
		{name: "cannot tell", versions: held, check: silent, code: ops.Unavailable, says: "--unchecked"},
		{name: "cannot tell, unchecked", versions: held, check: silent, unchecked: true, calls: "put move"},
		{name: "no check", versions: held, code: ops.Unavailable, says: "the task canary"},
		{name: "no secret", check: works, code: ops.NotFound, says: "synops bootstrap -e dev"},
		{name: "may not put", versions: held, check: works, fail: "put", code: ops.Denied, calls: "put"},
		{name: "may not move", versions: held, check: works, fail: "move", code: ops.Denied, says: "still the current one", calls: "put move"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &vault{fail: tt.fail}
			if tt.versions != nil {
				v.versions = map[string][]string{}
				for id, stages := range tt.versions {
					v.versions[id] = stages
				}
			}
			got, err := newBench(t, deploy.Clients{Secrets: v}).PutSecret(t.Context(), "/synapse/admin-pat", put, tt.check, tt.unchecked)
			if strings.Join(v.calls, " ") != tt.calls {
				t.Errorf("called %q, want %q", v.calls, tt.calls)
			}
			if tt.code != "" {
				wantError(t, err, tt.code, tt.says)
				if tt.versions["one"] != nil && !slices.Contains(v.versions["one"], "AWSCURRENT") {
					t.Error("the value there was is not the current one any more")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(v.versions[got.Version], "AWSCURRENT") || v.values[got.Version] != put || got.Checked == tt.unchecked {
				t.Errorf("put %+v, versions %v", got, v.versions)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), put) {
				t.Error("the value shows")
			}
		})
	}
	for _, value := range []string{"", strings.Repeat("x", 65_537)} {
		_, err := newBench(t, deploy.Clients{}).PutSecret(t.Context(), "x", value, works, false)
		wantError(t, err, ops.Invalid, "65536")
	}
}

// TestPutSecret_Race: a value put by somebody else meanwhile stays.
func TestPutSecret_Race(t *testing.T) {
	v := &vault{versions: map[string][]string{"one": {"AWSCURRENT"}}}
	meanwhile := func(context.Context) error {
		v.versions = map[string][]string{"one": {"AWSPREVIOUS"}, "two": {"AWSCURRENT"}}
		return nil
	}
	_, err := newBench(t, deploy.Clients{Secrets: v}).PutSecret(t.Context(), "x", put, meanwhile, false)
	if err == nil || !slices.Contains(v.versions["two"], "AWSCURRENT") {
		t.Errorf("%v; versions %v", err, v.versions)
	}
}

func TestGitHub_Check(t *testing.T) {
	for status, code := range map[int]ops.Code{200: "", 401: ops.Denied, 403: ops.Unavailable, 404: ops.Unavailable, 500: ops.Unavailable, 302: ops.Unavailable} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+put || r.URL.Path != "/user" {
				t.Errorf("asked %s as %q", r.URL, r.Header.Get("Authorization"))
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"login":"bot"}`)
		}))
		g := &deploy.GitHub{URL: srv.URL, Token: put}
		if err := g.Check(t.Context()); ops.CodeOf(err) != code || err != nil && strings.Contains(err.Error(), put) {
			t.Errorf("status %d: %v, want %q", status, err, code)
		}
		srv.Close()
		if err := g.Check(t.Context()); ops.CodeOf(err) != ops.Unavailable {
			t.Errorf("nobody answers: %v", err)
		}
	}
	if err := (&deploy.GitHub{URL: "http://api.example.org", Token: put}).Check(t.Context()); ops.CodeOf(err) != ops.Invalid {
		t.Errorf("plain http: %v", err)
	}
}
