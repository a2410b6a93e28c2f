package awsauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

const (
	bearer = "canary-bearer-7f3a"
	role   = "arn:aws:iam::111111111111:role/synops-observe"
)

// outside is GitHub's token service and STS on one address.
type outside struct {
	*httptest.Server
	mu      sync.Mutex
	minted  int
	given   []url.Values // what STS was asked
	life    time.Duration
	token   func(w http.ResponseWriter, n int)
	signed  string // Authorization of the last call to GetCallerIdentity
	refuses string // STS's error code; "": none
	expired string // the key that is not taken any more
}

func newOutside(t *testing.T) *outside {
	o := &outside{life: time.Hour}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.URL.Path == "/token" {
		o.serveToken(w, r)
		return
	}
	_ = r.ParseForm()
	w.Header().Set("Content-Type", "text/xml")
	switch {
	case o.expired != "" && strings.Contains(r.Header.Get("Authorization"), "Credential="+o.expired+"/"):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse>`)
	case o.refuses != "":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>not
authorized to perform %s</Message></Error><RequestId>r-1</RequestId></ErrorResponse>`, o.refuses, r.Form.Get("Action"))
	case r.Form.Get("Action") == "AssumeRoleWithWebIdentity":
		o.given = append(o.given, r.Form)
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			len(o.given), time.Now().Add(o.life).UTC().Format(time.RFC3339))
	default:
		o.signed = r.Header.Get("Authorization")
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::111111111111:assumed-role/synops-observe/s</Arn><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}
}

func (o *outside) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+bearer || r.URL.Query().Get("audience") != "sts.amazonaws.com" || r.URL.Query().Get("api-version") != "2.0" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.minted++
	if o.token != nil {
		o.token(w, o.minted)
		return
	}
	fmt.Fprintf(w, `{"value":"token-%d"}`, o.minted)
}

// actions is the environment of a job with id-token: write.
func (o *outside) actions() func(string) string {
	env := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": o.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer, "AWS_ENDPOINT_URL": o.URL}
	return func(name string) string { return env[name] }
}

// isolate keeps the machine's own AWS settings out of a test.
func isolate(t *testing.T) {
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

func TestLoad_Actions(t *testing.T) {
	isolate(t)
	o := newOutside(t)
	cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", RoleARN: role, SessionName: "20261123T141502Z-x/1", Getenv: o.actions()})
	if err != nil {
		t.Fatal(err)
	}
	id, err := awsauth.WhoAmI(t.Context(), cfg)
	if err != nil || id.Account != "111111111111" || id.Role() != "synops-observe" {
		t.Fatalf("identity %+v, %v", id, err)
	}
	asked := o.given[0]
	for name, want := range map[string]string{"RoleArn": role, "RoleSessionName": "20261123T141502Z-x-1", "WebIdentityToken": "token-1", "DurationSeconds": "3600"} {
		if got := asked.Get(name); got != want {
			t.Errorf("STS was asked with %s=%q, want %q", name, got, want)
		}
	}
	if !strings.Contains(o.signed, "Credential=ASIA1/") {
		t.Errorf("the call was signed %q, want with the role's key", o.signed)
	}
}

// TestLoad_Renews: credentials that are about to end are replaced, by a token that
// was not used before.
func TestLoad_Renews(t *testing.T) {
	isolate(t)
	o := newOutside(t)
	cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", RoleARN: role, Getenv: o.actions()})
	if err != nil {
		t.Fatal(err)
	}
	keys := func(life time.Duration) string {
		o.mu.Lock()
		o.life = life
		o.mu.Unlock()
		c, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.AccessKeyID
	}
	got := []string{keys(4 * time.Minute), keys(time.Hour), keys(time.Hour)}
	if want := []string{"ASIA1", "ASIA2", "ASIA2"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("keys were %v, want %v: renewed within the last five minutes only", got, want)
	}
	if a, b := o.given[0].Get("WebIdentityToken"), o.given[1].Get("WebIdentityToken"); a == b {
		t.Errorf("both exchanges used %s", a)
	}
}

// TestLoad_EndsEarly: keys that AWS calls expired before their time are replaced, and
// who asked does not notice.
func TestLoad_EndsEarly(t *testing.T) {
	isolate(t)
	o := newOutside(t)
	cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", RoleARN: role, Getenv: o.actions()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ASIA1", "ASIA2", "ASIA2"} {
		if _, err := awsauth.WhoAmI(t.Context(), cfg); err != nil || !strings.Contains(o.signed, "Credential="+want+"/") {
			t.Errorf("signed %q, %v; want with %s", o.signed, err, want)
		}
		o.mu.Lock()
		o.expired = "ASIA1"
		o.mu.Unlock()
	}
}

// TestWhoAmI_RenewalFails: whoever cannot renew just now is told to try again, and not
// that there is nothing to sign in with.
func TestWhoAmI_RenewalFails(t *testing.T) {
	cut := &smithyhttp.RequestSendError{Err: errors.New("connection reset by peer")}
	for name, c := range map[string]struct {
		err  error
		code ops.Code
	}{
		"STS drops the call":    {&smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRoleWithWebIdentity", Err: cut}, ops.Unavailable},
		"STS has too many":      {&smithy.GenericAPIError{Code: "Throttling", Message: "Rate exceeded"}, ops.Unavailable},
		"there is nothing":      {errors.New("static credentials are empty"), ops.Denied},
		"this is no machine of": {fmt.Errorf("no EC2 IMDS role found, %w", cut), ops.Denied},
	} {
		cfg := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, c.err }))}
		if _, err := awsauth.WhoAmI(t.Context(), cfg); ops.CodeOf(err) != c.code {
			t.Errorf("%s: %v (%s), want %s", name, err, ops.CodeOf(err), c.code)
		}
	}
}

func TestLoad_DefaultChain(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIALAPTOP")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	o := newOutside(t)
	env := func(name string) string {
		if name == "AWS_ENDPOINT_URL" {
			return o.URL
		}
		return ""
	}
	cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", RoleARN: role, Getenv: env})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awsauth.WhoAmI(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(o.signed, "Credential=AKIALAPTOP/") || o.minted != 0 {
		t.Errorf("signed %q with %d tokens asked for, want the machine's own key", o.signed, o.minted)
	}
}

// TestLoad_Keys: the keys that Getenv names are taken, and not the process's own; half
// a pair is none.
func TestLoad_Keys(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAPROCESS")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	o := newOutside(t)
	for given, want := range map[string]string{"y": "AKIAGIVEN", "": "AKIAPROCESS"} {
		env := map[string]string{"AWS_ENDPOINT_URL": o.URL, "AWS_ACCESS_KEY_ID": "AKIAGIVEN", "AWS_SECRET_ACCESS_KEY": given}
		cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", Getenv: func(name string) string { return env[name] }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := awsauth.WhoAmI(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(o.signed, "Credential="+want+"/") {
			t.Errorf("with the secret %q it is signed %q, want with %s", given, o.signed, want)
		}
	}
}

func TestLoad_Refused(t *testing.T) {
	isolate(t)
	tests := []struct {
		name  string
		setup func(o *outside, env map[string]string)
		code  ops.Code
		says  []string
	}{
		{"no permission for tokens", func(o *outside, _ map[string]string) {
			o.token = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusForbidden) }
		}, ops.Denied, []string{"no identity token", "id-token: write"}},
		{"token service down", func(o *outside, _ map[string]string) {
			o.token = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusBadGateway) }
		}, ops.Unavailable, []string{"502"}},
		{"no token in the answer", func(o *outside, _ map[string]string) {
			o.token = func(w http.ResponseWriter, _ int) { fmt.Fprint(w, "<html>canary-token</html>") }
		}, ops.Unavailable, []string{"hold no token"}},
		{"a redirect", func(o *outside, _ map[string]string) {
			o.token = func(w http.ResponseWriter, _ int) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusFound)
			}
		}, ops.Denied, []string{"status 302"}},
		{"the trust policy says no", func(o *outside, _ map[string]string) { o.refuses = "AccessDenied" },
			ops.Denied, []string{"AccessDenied", "asking AWS who we are"}},
		{"plain http elsewhere", func(_ *outside, env map[string]string) { env["AWS_ENDPOINT_URL"] = "http://aws.example.org" },
			ops.Invalid, []string{"neither https nor on this machine"}},
		{"token over plain http", func(_ *outside, env map[string]string) {
			env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://tokens.example.org"
		}, ops.Invalid, []string{"ACTIONS_ID_TOKEN_REQUEST_URL"}},
		{"no role", func(_ *outside, env map[string]string) { env["role"] = "synops-observe" }, ops.Invalid, []string{"not a role's ARN"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutside(t)
			get := o.actions()
			env := map[string]string{"role": role}
			tt.setup(o, env)
			lookup := func(name string) string {
				if v, ok := env[name]; ok {
					return v
				}
				return get(name)
			}
			cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1", RoleARN: env["role"], Getenv: lookup})
			if err == nil {
				_, err = awsauth.WhoAmI(t.Context(), cfg)
			}
			if ops.CodeOf(err) != tt.code {
				t.Fatalf("error is %v (%s), want %s", err, ops.CodeOf(err), tt.code)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("error shows a secret or breaks a line: %q", err)
			}
		})
	}
}

func TestWhoAmI_NoCredentials(t *testing.T) {
	isolate(t)
	cfg, err := awsauth.Load(t.Context(), awsauth.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = awsauth.WhoAmI(t.Context(), cfg)
	if ops.CodeOf(err) != ops.Denied || !strings.Contains(err.Error(), "no AWS credentials") {
		t.Errorf("error is %v, want that there are no credentials", err)
	}
}

func TestExplain(t *testing.T) {
	if awsauth.Explain("x", nil) != nil {
		t.Error("no error became one")
	}
	err := awsauth.Explain("waiting", fmt.Errorf("operation error: %w", context.Canceled))
	if ops.CodeOf(err) != ops.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled call is %v", err)
	}
}
