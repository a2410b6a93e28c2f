package emulator

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func iamService() service {
	paging := []string{"MaxItems", "Marker"}
	return &queryService{
		namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		operations: map[string]operation{
			"GetRole":                    {takes: []string{"RoleName"}, do: getRole},
			"ListRolePolicies":           {takes: append([]string{"RoleName"}, paging...), do: listRolePolicies},
			"GetRolePolicy":              {takes: []string{"RoleName", "PolicyName"}, do: getRolePolicy},
			"ListAttachedRolePolicies":   {takes: append([]string{"RoleName"}, paging...), do: listAttachedRolePolicies},
			"GetPolicy":                  {takes: []string{"PolicyArn"}, do: getPolicy},
			"GetPolicyVersion":           {takes: []string{"PolicyArn", "VersionId"}, do: getPolicyVersion},
			"ListOpenIDConnectProviders": {do: listProviders},
			"GetOpenIDConnectProvider":   {takes: []string{"OpenIDConnectProviderArn"}, do: getProvider},
		},
	}
}

type xmlTag struct{ Key, Value string }

type xmlBoundary struct{ PermissionsBoundaryType, PermissionsBoundaryArn string }

type xmlRole struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string // percent-encoded, as IAM gives documents
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *xmlBoundary `xml:",omitempty"`
	Tags                     []xmlTag     `xml:"Tags>member"`
}

// mayRole returns the role that the call names if the caller may do action to it.
func (c *call) mayRole(action string) (Role, error) {
	name := c.param("RoleName")
	if err := c.allow(question{action: action, resource: "arn:aws:iam::" + c.account.ID + ":role/" + name}); err != nil {
		return Role{}, err
	}
	r, ok := c.account.IAM.Role(name)
	if !ok {
		return Role{}, noSuch("role", name)
	}
	return r, nil
}

func getRole(c *call) (any, error) {
	r, err := c.mayRole("iam:GetRole")
	if err != nil {
		return nil, err
	}
	out := xmlRole{
		Path: "/", RoleName: r.Name, RoleID: r.ID, Arn: r.ARN, CreateDate: stamp(r.Created), Description: r.Description,
		AssumeRolePolicyDocument: url.PathEscape(r.Trust), MaxSessionDuration: int(r.MaxSession.Seconds()),
	}
	if r.Boundary != "" {
		out.PermissionsBoundary = &xmlBoundary{"Policy", r.Boundary}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		out.Tags = append(out.Tags, xmlTag{k, r.Tags[k]})
	}
	return struct{ Role xmlRole }{out}, nil
}

func listRolePolicies(c *call) (any, error) {
	r, err := c.mayRole("iam:ListRolePolicies")
	if err != nil {
		return nil, err
	}
	return struct {
		Names       []string `xml:"PolicyNames>member"`
		IsTruncated bool
	}{slices.Sorted(maps.Keys(r.Inline)), false}, nil
}

func getRolePolicy(c *call) (any, error) {
	r, err := c.mayRole("iam:GetRolePolicy")
	if err != nil {
		return nil, err
	}
	name := c.param("PolicyName")
	doc, ok := r.Inline[name]
	if !ok {
		return nil, noSuch("role policy", name)
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{r.Name, name, url.PathEscape(doc)}, nil
}

func listAttachedRolePolicies(c *call) (any, error) {
	r, err := c.mayRole("iam:ListAttachedRolePolicies")
	if err != nil {
		return nil, err
	}
	type member struct{ PolicyName, PolicyArn string }
	var out struct {
		Members     []member `xml:"AttachedPolicies>member"`
		IsTruncated bool
	}
	for _, arn := range r.Attached {
		out.Members = append(out.Members, member{arn[strings.LastIndexByte(arn, '/')+1:], arn})
	}
	return out, nil
}

func (c *call) mayPolicy(action string) (ManagedPolicy, error) {
	arn := c.param("PolicyArn")
	if !strings.HasPrefix(arn, "arn:aws:iam::"+c.account.ID+":policy/") {
		return ManagedPolicy{}, notModeled(action, "policy "+arn+", which AWS or another account manages,")
	}
	if err := c.allow(question{action: action, resource: arn}); err != nil {
		return ManagedPolicy{}, err
	}
	p, ok := c.account.IAM.ManagedPolicy(arn)
	if !ok {
		return ManagedPolicy{}, noSuch("policy", arn)
	}
	return p, nil
}

func getPolicy(c *call) (any, error) {
	p, err := c.mayPolicy("iam:GetPolicy")
	if err != nil {
		return nil, err
	}
	type xmlPolicy struct {
		PolicyName, Arn, Path, CreateDate, Description string
		DefaultVersionID                               string `xml:"DefaultVersionId"`
	}
	return struct{ Policy xmlPolicy }{xmlPolicy{p.Name, p.ARN, "/", stamp(p.Created), p.Description, p.versionID()}}, nil
}

func (p *ManagedPolicy) versionID() string { return "v" + strconv.Itoa(p.Version) }

// getPolicyVersion has the default version alone: older ones are not kept.
func getPolicyVersion(c *call) (any, error) {
	p, err := c.mayPolicy("iam:GetPolicyVersion")
	if err != nil {
		return nil, err
	}
	if c.param("VersionId") != p.versionID() {
		return nil, noSuch("policy version", c.param("VersionId"))
	}
	type version struct {
		Document         string
		VersionID        string `xml:"VersionId"`
		IsDefaultVersion bool
	}
	return struct{ PolicyVersion version }{version{url.PathEscape(p.Document), p.versionID(), true}}, nil
}

func listProviders(c *call) (any, error) {
	if err := c.allow(question{action: "iam:ListOpenIDConnectProviders", resource: "*"}); err != nil {
		return nil, err
	}
	type member struct{ Arn string }
	var out struct {
		Members []member `xml:"OpenIDConnectProviderList>member"`
	}
	for _, arn := range c.account.IAM.Providers() {
		out.Members = append(out.Members, member{arn})
	}
	return out, nil
}

func getProvider(c *call) (any, error) {
	arn := c.param("OpenIDConnectProviderArn")
	if err := c.allow(question{action: "iam:GetOpenIDConnectProvider", resource: arn}); err != nil {
		return nil, err
	}
	p, ok := c.account.IAM.Provider(arn)
	if !ok {
		return nil, noSuch("OpenIDConnect provider", arn)
	}
	return struct {
		URL        string   `xml:"Url"`
		ClientIDs  []string `xml:"ClientIDList>member"`
		CreateDate string
	}{p.URL, p.Audiences, stamp(p.Created)}, nil
}
