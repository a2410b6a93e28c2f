package emulator

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

func stsService() service {
	common := []string{"RoleArn", "RoleSessionName", "DurationSeconds", "Policy"}
	return &queryService{
		namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		operations: map[string]operation{
			"GetCallerIdentity":         {do: getCallerIdentity},
			"AssumeRole":                {takes: append([]string{"SerialNumber", "TokenCode", "ExternalId"}, common...), do: assumeRole},
			"AssumeRoleWithWebIdentity": {takes: append([]string{"WebIdentityToken"}, common...), do: assumeRoleWithWebIdentity},
		},
	}
}

// getCallerIdentity needs no permission; AWS documents that a denial of it has no
// effect.
func getCallerIdentity(c *call) (any, error) {
	if c.caller.Account == nil {
		return nil, &Fault{"MissingAuthenticationToken", "Request is missing Authentication Token", 403}
	}
	id := c.caller.ARN[strings.LastIndexByte(c.caller.ARN, '/')+1:]
	if c.caller.Role != "" {
		id = c.caller.roleID + ":" + id
	}
	return struct {
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	}{c.caller.ARN, id, c.account.ID}, nil
}

type stsCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

type assumedRole struct {
	Credentials     stsCredentials
	AssumedRoleUser assumedRoleUser

	// Of web identity only.
	SubjectFromWebIdentityToken string `xml:",omitempty"`
	Audience                    string `xml:",omitempty"`
	Provider                    string `xml:",omitempty"`
}

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// An assumption is what both ways of assuming a role have in common.
type assumption struct {
	account  *Account
	role     Role
	trust    *policy.Document
	session  []*policy.Document
	name     string
	duration time.Duration
	given    bool // the duration was asked for
}

// assumption reads the common parameters. A role that does not exist is refused as
// one that does not trust: who asks shall not find out.
func (c *call) assumption() (*assumption, error) {
	arn, name := c.param("RoleArn"), c.param("RoleSessionName")
	if !sessionName.MatchString(name) {
		return nil, fault("ValidationError", "Value %q at 'roleSessionName' failed to satisfy constraint: [\\w+=,.@-]*, 2 to 64 characters", name)
	}
	denied := &Fault{"AccessDenied", "Not authorized to perform sts:" + c.param("Action"), http.StatusForbidden}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || !strings.HasPrefix(parts[5], "role/") {
		return nil, fault("ValidationError", "%q is invalid", arn)
	}
	a := &assumption{account: c.cloud.Account(parts[4]), name: name, duration: time.Hour}
	if a.account == nil {
		return nil, denied
	}
	var ok bool
	if a.role, ok = a.account.IAM.Role(strings.TrimPrefix(parts[5], "role/")); !ok {
		return nil, denied
	}
	var err error
	if a.trust, err = a.account.IAM.parse(a.role.Trust); err != nil {
		return nil, err
	}
	if err := a.readDuration(c.param("DurationSeconds")); err != nil {
		return nil, err
	}
	return a, a.readSessionPolicy(c.param("Policy"))
}

// readDuration: 900 s to the role's MaxSessionDuration, 3600 s unless asked.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (a *assumption) readDuration(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 900 || n > 43200 {
		return fault("ValidationError", "Value %q at 'durationSeconds' failed to satisfy constraint: 900 to 43200", text)
	}
	a.duration, a.given = time.Duration(n)*time.Second, true
	if a.duration > a.role.MaxSession {
		return fault("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

func (a *assumption) readSessionPolicy(text string) error {
	switch {
	case text == "":
		return nil
	case len(text) > 2048:
		return fault("ValidationError", "The session policy has %d characters; 2048 are allowed.", len(text))
	}
	d, err := a.account.IAM.parse(text)
	a.session = []*policy.Document{d}
	return err
}

// issue makes the session and its credentials.
func (a *assumption) issue(c *Cloud, mfa bool) (*assumedRole, error) {
	who, err := a.account.IAM.session(a.role.Name, a.name, a.duration)
	if err != nil {
		return nil, err
	}
	who.session, who.mfa = a.session, mfa
	k := c.keys.issue(who)
	return &assumedRole{
		Credentials:     stsCredentials{k.AccessKeyID, k.SecretAccessKey, k.SessionToken, stamp(k.Expiration)},
		AssumedRoleUser: assumedRoleUser{a.role.ID + ":" + a.name, who.ARN},
	}, nil
}

func assumeRole(c *call) (any, error) {
	if c.caller.Account == nil {
		return nil, &Fault{"MissingAuthenticationToken", "Request is missing Authentication Token", 403}
	}
	a, err := c.assumption()
	if err != nil {
		return nil, err
	}
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html (role chaining)
	if c.caller.temporary() && a.given && a.duration > time.Hour {
		return nil, fault("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	keys := map[string][]string{"sts:RoleSessionName": {a.name}}
	if id := c.param("ExternalId"); id != "" {
		keys["sts:ExternalId"] = []string{id}
	}
	mfa, err := c.secondFactor()
	if err != nil {
		return nil, err
	}
	if mfa {
		keys["aws:MultiFactorAuthPresent"] = []string{"true"}
		keys["aws:MultiFactorAuthAge"] = []string{"0"}
	}
	err = c.allow(question{action: "sts:AssumeRole", resource: a.role.ARN, keys: keys, owner: a.account, policies: []*policy.Document{a.trust}})
	if err != nil {
		return nil, err
	}
	out, err := a.issue(c.cloud, mfa)
	if err == nil {
		c.trail(a)
	}
	return out, err
}

// trail tells the role's account that it was assumed, as CloudTrail does where a
// trail is on. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
func (c *call) trail(a *assumption) {
	a.account.Events.Emit(Event{
		Source: "aws.sts", DetailType: "AWS API Call via CloudTrail",
		Detail: map[string]any{
			"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": a.account.Region,
			"userIdentity":      map[string]any{"arn": c.caller.ARN, "accountId": c.account.ID},
			"requestParameters": map[string]any{"roleArn": a.role.ARN, "roleSessionName": a.name},
		},
	})
}

// secondFactor tells whether the caller showed its device's code. A wrong one is
// refused, not ignored.
func (c *call) secondFactor() (bool, error) {
	serial, code := c.param("SerialNumber"), c.param("TokenCode")
	if cmp.Or(serial, code) == "" {
		return false, nil
	}
	want := strings.Replace(c.caller.ARN, ":user/", ":mfa/", 1)
	if c.caller.user == nil || serial != want || code != c.caller.user.mfa {
		return false, &Fault{"AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", 403}
	}
	return true, nil
}
