package emulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

func secretsService() service {
	return jsonService{
		"CreateSecret":             jsonOp(createSecret),
		"GetSecretValue":           jsonOp(getSecretValue),
		"PutSecretValue":           jsonOp(putSecretValue),
		"DescribeSecret":           jsonOp(describeSecret),
		"ListSecretVersionIds":     jsonOp(listSecretVersionIDs),
		"UpdateSecretVersionStage": jsonOp(updateSecretVersionStage),
		"GetResourcePolicy":        jsonOp(getSecretPolicy),
		"PutResourcePolicy":        jsonOp(putSecretPolicy),
	}
}

type secretAnswer struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	CreatedDate   *epoch   `json:",omitempty"`
}

func answerFor(s Secret, v *SecretVersion) *secretAnswer {
	out := &secretAnswer{ARN: s.ARN, Name: s.Name}
	if v != nil {
		out.VersionID, out.VersionStages = v.ID, v.Stages
	}
	return out
}

type createSecretInput struct {
	Name, Description, ClientRequestToken string
	SecretString                          *string
}

func createSecret(c *call, in *createSecretInput) (*secretAnswer, error) {
	arn := c.account.arn("secretsmanager", "secret:"+in.Name+"-??????")
	if err := c.allow(question{action: "secretsmanager:CreateSecret", resource: arn, keys: map[string][]string{"secretsmanager:Name": {in.Name}}}); err != nil {
		return nil, err
	}
	if in.SecretString != nil && len(*in.SecretString) > mostSecret {
		return nil, fault("InvalidParameterException", "The secret value has more than %d bytes.", mostSecret)
	}
	if _, err := c.account.Secrets.Create(in.Name, in.Description, in.SecretString); err != nil {
		return nil, err
	}
	s, _ := c.account.Secrets.Secret(in.Name)
	return answerFor(s, s.staged(stageCurrent)), nil
}

type getSecretValueInput struct{ SecretID, VersionID, VersionStage string }

func getSecretValue(c *call, in *getSecretValueInput) (*secretAnswer, error) {
	keys := map[string][]string{"secretsmanager:SecretId": {in.SecretID}}
	stage := in.VersionStage
	if stage == "" && in.VersionID == "" {
		stage = stageCurrent
	}
	if stage != "" {
		keys["secretsmanager:VersionStage"] = []string{stage}
	}
	if in.VersionID != "" {
		keys["secretsmanager:VersionId"] = []string{in.VersionID}
	}
	owner, s, err := c.secret("secretsmanager:GetSecretValue", in.SecretID, keys)
	if err != nil {
		return nil, err
	}
	v := s.Versions[in.VersionID]
	if in.VersionID == "" {
		v = s.staged(stage)
	}
	if v == nil || stage != "" && !slices.Contains(v.Stages, stage) {
		return nil, fault("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", stage)
	}
	owner.accessed(s.Name)
	out := answerFor(s, v)
	out.SecretString, out.SecretBinary, out.CreatedDate = v.Text, v.Binary, new(epoch(v.Created))
	return out, nil
}

// accessed notes the day of the last access, which is all the service keeps.
func (s *Secrets) accessed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret := s.secrets[name]; secret != nil {
		secret.Accessed = s.account.cloud.now().Truncate(24 * time.Hour)
	}
}

type putSecretValueInput struct {
	SecretID, ClientRequestToken string
	SecretString                 *string
	SecretBinary                 []byte
	VersionStages                []string
}

// putSecretValue: a token used before is the same version; with another value it is
// refused. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
func putSecretValue(c *call, in *putSecretValueInput) (*secretAnswer, error) {
	owner, s, err := c.secret("secretsmanager:PutSecretValue", in.SecretID, map[string][]string{"secretsmanager:SecretId": {in.SecretID}})
	if err != nil {
		return nil, err
	}
	if (in.SecretString == nil) == (in.SecretBinary == nil) {
		return nil, fault("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
	}
	if len(in.SecretBinary) > mostSecret || in.SecretString != nil && len(*in.SecretString) > mostSecret {
		return nil, fault("InvalidParameterException", "The secret value has more than %d bytes.", mostSecret)
	}
	if n := len(in.ClientRequestToken); n < 32 || n > 64 {
		return nil, fault("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
	}
	owner.mu.Lock()
	defer owner.mu.Unlock()
	secret := owner.secrets[s.Name]
	if secret == nil {
		return nil, noSecret()
	}
	if v := secret.Versions[in.ClientRequestToken]; v != nil {
		if !v.holds(in) {
			return nil, fault("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", in.ClientRequestToken, s.ARN)
		}
		return answerFor(*secret, v), nil
	}
	v := &SecretVersion{ID: in.ClientRequestToken, Text: in.SecretString, Binary: in.SecretBinary, Created: c.cloud.now()}
	secret.Versions[v.ID], secret.Changed = v, v.Created
	stages := in.VersionStages
	if len(stages) == 0 {
		stages = []string{stageCurrent}
	}
	for _, stage := range stages {
		secret.move(stage, v)
	}
	return answerFor(*secret, secret.Versions[v.ID]), nil
}

func (v *SecretVersion) holds(in *putSecretValueInput) bool {
	if in.SecretString == nil || v.Text == nil {
		return in.SecretString == nil && v.Text == nil && bytes.Equal(in.SecretBinary, v.Binary)
	}
	return *in.SecretString == *v.Text
}

type secretIDInput struct{ SecretID string }

type describeSecretOutput struct {
	ARN, Name          string
	Description        string `json:",omitempty"`
	CreatedDate        epoch
	LastChangedDate    epoch
	LastAccessedDate   *epoch `json:",omitempty"`
	VersionIdsToStages map[string][]string
	Tags               []jsonTag
}

type jsonTag struct{ Key, Value string }

func tagsOf(m map[string]string) []jsonTag {
	out := []jsonTag{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, jsonTag{k, m[k]})
	}
	return out
}

func describeSecret(c *call, in *secretIDInput) (*describeSecretOutput, error) {
	_, s, err := c.secret("secretsmanager:DescribeSecret", in.SecretID, nil)
	if err != nil {
		return nil, err
	}
	out := &describeSecretOutput{
		ARN: s.ARN, Name: s.Name, Description: s.Description, CreatedDate: epoch(s.Created), LastChangedDate: epoch(s.Changed),
		VersionIdsToStages: map[string][]string{}, Tags: tagsOf(s.Tags),
	}
	if !s.Accessed.IsZero() {
		out.LastAccessedDate = new(epoch(s.Accessed))
	}
	for id, v := range s.Versions {
		if len(v.Stages) > 0 { // versions without a stage are deprecated and not shown
			out.VersionIdsToStages[id] = v.Stages
		}
	}
	return out, nil
}

type listVersionsInput struct {
	SecretID          string
	IncludeDeprecated bool
}

type secretVersionEntry struct {
	VersionID     string `json:"VersionId"`
	VersionStages []string
	CreatedDate   epoch
}

type listVersionsOutput struct {
	ARN, Name string
	Versions  []secretVersionEntry
}

func listSecretVersionIDs(c *call, in *listVersionsInput) (*listVersionsOutput, error) {
	_, s, err := c.secret("secretsmanager:ListSecretVersionIds", in.SecretID, nil)
	if err != nil {
		return nil, err
	}
	out := &listVersionsOutput{ARN: s.ARN, Name: s.Name, Versions: []secretVersionEntry{}}
	for _, id := range slices.Sorted(maps.Keys(s.Versions)) {
		if v := s.Versions[id]; in.IncludeDeprecated || len(v.Stages) > 0 {
			out.Versions = append(out.Versions, secretVersionEntry{id, v.Stages, epoch(v.Created)})
		}
	}
	return out, nil
}

type updateStageInput struct{ SecretID, VersionStage, MoveToVersionID, RemoveFromVersionID string }

// updateSecretVersionStage: who moves a stage says from where, so that a mover with
// old news is refused.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
func updateSecretVersionStage(c *call, in *updateStageInput) (*secretAnswer, error) {
	owner, s, err := c.secret("secretsmanager:UpdateSecretVersionStage", in.SecretID, map[string][]string{"secretsmanager:VersionStage": {in.VersionStage}})
	if err != nil {
		return nil, err
	}
	owner.mu.Lock()
	defer owner.mu.Unlock()
	secret := owner.secrets[s.Name]
	if secret == nil {
		return nil, noSecret()
	}
	from := secret.staged(in.VersionStage)
	to := secret.Versions[in.MoveToVersionID]
	switch {
	case from != nil && from != to && from.ID != in.RemoveFromVersionID:
		return nil, fault("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", in.VersionStage, from.ID)
	case from == nil && in.RemoveFromVersionID != "":
		return nil, fault("InvalidParameterException", "The version in RemoveFromVersionId does not have the staging label %s.", in.VersionStage)
	case in.MoveToVersionID != "" && to == nil:
		return nil, noSecret()
	case to == nil && in.VersionStage == stageCurrent:
		return nil, fault("InvalidParameterException", "You can't remove the staging label AWSCURRENT; move it.")
	case to == nil:
		secret.unstage(in.VersionStage, from)
	default:
		secret.move(in.VersionStage, to)
	}
	return &secretAnswer{ARN: s.ARN, Name: s.Name}, nil
}

type secretPolicyOutput struct {
	ARN, Name      string
	ResourcePolicy string `json:",omitempty"`
}

func getSecretPolicy(c *call, in *secretIDInput) (*secretPolicyOutput, error) {
	_, s, err := c.secret("secretsmanager:GetResourcePolicy", in.SecretID, nil)
	if err != nil {
		return nil, err
	}
	return &secretPolicyOutput{s.ARN, s.Name, s.Policy}, nil
}

type putSecretPolicyInput struct {
	SecretID, ResourcePolicy string
	BlockPublicPolicy        bool
}

func putSecretPolicy(c *call, in *putSecretPolicyInput) (*secretPolicyOutput, error) {
	keys := map[string][]string{"secretsmanager:BlockPublicPolicy": {"false"}}
	if in.BlockPublicPolicy {
		keys["secretsmanager:BlockPublicPolicy"] = []string{"true"}
	}
	owner, s, err := c.secret("secretsmanager:PutResourcePolicy", in.SecretID, keys)
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse([]byte(in.ResourcePolicy))
	switch {
	case err != nil || !json.Valid([]byte(in.ResourcePolicy)):
		return nil, fault("MalformedPolicyDocumentException", "This resource policy contains invalid JSON or an element that is not known: %v", err)
	case in.BlockPublicPolicy && isPublic(doc):
		return nil, fault("PublicPolicyException", "This resource policy grants broad public access to the secret.")
	}
	if err := owner.Update(s.Name, func(s *Secret) { s.Policy = in.ResourcePolicy }); err != nil {
		return nil, err
	}
	return &secretPolicyOutput{ARN: s.ARN, Name: s.Name}, nil
}
