// Package synapse holds the wire types and enumerations of the Synapse REST API,
// as far as operational tasks use them. Source: the schemas and controllers of
// Sage-Bionetworks/Synapse-Repository-Services. No I/O here.
//
// Unset fields are omitted on the wire, never null, so absent booleans are
// pointers where absence means something.
package synapse

import "encoding/json"

// Bits of a user bundle's mask (GET /repo/v1/user/{id}/bundle).
const (
	BundleProfile      = 0x1
	BundleORCID        = 0x2
	BundleVerification = 0x4
	BundleCertified    = 0x8
	BundleVerified     = 0x10
	BundleACT          = 0x20
	BundleReviewer     = 0x40
	BundleAll          = 0xFFFF
)

// Well-known principals, which no task removes, decertifies or re-enables.
const (
	AdminUser          = "1"
	Administrators     = "2"
	CertifiedUsers     = "3"
	ACT                = "464532"
	AuthenticatedUsers = "273948"
	Public             = "273949"
	AnonymousUser      = "273950"
	SageTeam           = "273957"
)

// WellKnown names the well-known principals by ID.
var WellKnown = map[string]string{
	AdminUser:          "the built-in administrator",
	Administrators:     "the Administrators group",
	CertifiedUsers:     "the Certified Users group",
	ACT:                "the Access and Compliance Team",
	AuthenticatedUsers: "the group of all authenticated users",
	Public:             "the public group",
	AnonymousUser:      "the anonymous user",
	SageTeam:           "the Sage Bionetworks team",
}

// UserProfile is a person's profile. Everything but OwnerID and UserName is
// personal data.
type UserProfile struct {
	OwnerID              string   `json:"ownerId"`
	UserName             string   `json:"userName,omitempty"`
	FirstName            string   `json:"firstName,omitempty"`
	LastName             string   `json:"lastName,omitempty"`
	Summary              string   `json:"summary,omitempty"`
	Position             string   `json:"position,omitempty"`
	Location             string   `json:"location,omitempty"`
	Industry             string   `json:"industry,omitempty"`
	Company              string   `json:"company,omitempty"`
	URL                  string   `json:"url,omitempty"`
	Email                string   `json:"email,omitempty"`
	Emails               []string `json:"emails,omitempty"`
	OpenIDs              []string `json:"openIds,omitempty"`
	CreatedOn            string   `json:"createdOn,omitempty"`
	Etag                 string   `json:"etag,omitempty"`
	TwoFactorAuthEnabled *bool    `json:"twoFactorAuthEnabled,omitempty"`
}

// UserBundle holds only what the mask asked for. Raw is the whole answer, byte
// for byte: what is filed before an account is redacted.
type UserBundle struct {
	UserID      string          `json:"userId"`
	UserProfile *UserProfile    `json:"userProfile,omitempty"`
	ORCID       string          `json:"ORCID,omitempty"`
	IsCertified *bool           `json:"isCertified,omitempty"`
	IsVerified  *bool           `json:"isVerified,omitempty"`
	IsACTMember *bool           `json:"isACTMember,omitempty"`
	IsReviewer  *bool           `json:"isARReviewer,omitempty"`
	Raw         json.RawMessage `json:"-"`
}

// OAuthClient is an OAuth 2.0 client. Etag is absent for callers that are neither
// its owner nor administrator.
type OAuthClient struct {
	ClientID            string   `json:"client_id"`
	ClientName          string   `json:"client_name,omitempty"`
	RedirectURIs        []string `json:"redirect_uris,omitempty"`
	Verified            bool     `json:"verified"`
	ClientURI           string   `json:"client_uri,omitempty"`
	PolicyURI           string   `json:"policy_uri,omitempty"`
	TosURI              string   `json:"tos_uri,omitempty"`
	SectorIdentifierURI string   `json:"sector_identifier_uri,omitempty"`
	SectorIdentifier    string   `json:"sector_identifier,omitempty"`
	CreatedBy           string   `json:"createdBy,omitempty"`
	CreatedOn           string   `json:"createdOn,omitempty"`
	ModifiedOn          string   `json:"modifiedOn,omitempty"`
	Etag                string   `json:"etag,omitempty"`
}

// DataType says whether an entity may be downloaded without an access
// requirement.
type DataType string

// The data types.
const (
	OpenData      DataType = "OPEN_DATA"
	SensitiveData DataType = "SENSITIVE_DATA"
)

// DataTypeResponse answers PUT /repo/v1/entity/{id}/datatype.
type DataTypeResponse struct {
	ObjectID   string   `json:"objectId"`
	ObjectType string   `json:"objectType"`
	DataType   DataType `json:"dataType"`
	UpdatedBy  string   `json:"updatedBy,omitempty"`
	UpdatedOn  string   `json:"updatedOn,omitempty"`
}

// EntityPermissions is the part of UserEntityPermissions that tasks read.
type EntityPermissions struct {
	CanView          bool  `json:"canView"`
	CanDownload      bool  `json:"canDownload"`
	CanPublicRead    bool  `json:"canPublicRead"`
	IsEntityOpenData bool  `json:"isEntityOpenData"`
	OwnerPrincipalID int64 `json:"ownerPrincipalId,omitempty"`
}

// ACL is an access control list: 404 where it is inherited.
type ACL struct {
	ID             string           `json:"id"`
	Etag           string           `json:"etag,omitempty"`
	ResourceAccess []ResourceAccess `json:"resourceAccess"`
}

// ResourceAccess grants access types to a principal.
type ResourceAccess struct {
	PrincipalID int64    `json:"principalId"`
	AccessType  []string `json:"accessType"`
}

// FeatureStatus is a feature switch. One never set reads as enabled.
type FeatureStatus struct {
	Feature string `json:"feature"`
	Enabled bool   `json:"enabled"`
}

// Features lists the feature switches seen in the service's sources; newer
// releases may know more.
var Features = []string{
	"DATA_ACCESS_NOTIFICATIONS", "DATA_ACCESS_AUTO_REVOCATION", "MULTIPART_AUTO_CLEANUP",
	"DATA_DOWNLOAD_THROUGH_CLOUDFRONT", "CHANGE_PASSWORD_2FA_CHECK_BYPASS",
	"USE_NEW_ASYNC_GOOGLE_MULTIPART_UPLOAD", "ENFORCE_PROJECT_STORAGE_LIMITS",
	"ALLOW_AGENT_WRITES", "DISABLE_2FA_REQUIREMENT", "DISABLE_INACTIVE_USERS",
}

// InvertedFeatures are switches whose "enabled" turns a protection off or people
// away, worth a word in a plan.
var InvertedFeatures = map[string]string{
	"DISABLE_2FA_REQUIREMENT": "enabled means that two-factor authentication is NOT required (administrators always need it)",
	"DISABLE_INACTIVE_USERS":  "enabled means that inactive accounts ARE disabled",
}

// Concrete types of identity providers.
const (
	OAuthProviderType   = "org.sagebionetworks.repo.model.auth.OAuthIdentityProvider"
	SynapseProviderType = "org.sagebionetworks.repo.model.auth.SynapseIdentityProvider"
)

// SynapseProvider is our name for the provider without a provider field.
const SynapseProvider = "SYNAPSE"

// OAuthProviders lists the identity providers a realm may have.
var OAuthProviders = []string{"GOOGLE_OAUTH_2_0", "ORCID", "ARCUS_BIOSCIENCES", "SAGE_BIONETWORKS", "NIH_RESEARCHER_AUTH_SERVICE"}

// IdentityProvider is one way to log in to a realm.
type IdentityProvider struct {
	ConcreteType string `json:"concreteType"`
	Provider     string `json:"provider,omitempty"`
}

// Realm is a closed world of users with its own identity providers.
type Realm struct {
	ID               string             `json:"id,omitempty"`
	Name             string             `json:"name"`
	CreatedOn        string             `json:"createdOn,omitempty"`
	IdentityProvider []IdentityProvider `json:"identityProvider"`
}

// DefaultRealm is the name of the realm that cannot be deleted.
const DefaultRealm = "SYNAPSE"

// JobState is the state of an asynchronous job.
type JobState string

// The job states; Failed and Complete are final.
const (
	JobProcessing JobState = "PROCESSING"
	JobFailed     JobState = "FAILED"
	JobComplete   JobState = "COMPLETE"
)

// AsyncJobStatus answers both POST and GET of an asynchronous job: 200 in every
// state, failed ones too.
type AsyncJobStatus struct {
	JobState        JobState        `json:"jobState"`
	JobCanceling    bool            `json:"jobCanceling"`
	JobID           string          `json:"jobId"`
	RequestBody     json.RawMessage `json:"requestBody,omitempty"`
	ResponseBody    json.RawMessage `json:"responseBody,omitempty"`
	Etag            string          `json:"etag,omitempty"`
	StartedByUserID int64           `json:"startedByUserId,omitempty"`
	StartedOn       string          `json:"startedOn,omitempty"`
	ChangedOn       string          `json:"changedOn,omitempty"`
	ProgressMessage string          `json:"progressMessage,omitempty"`
	ProgressCurrent int64           `json:"progressCurrent,omitempty"`
	ProgressTotal   int64           `json:"progressTotal,omitempty"`
	Exception       string          `json:"exception,omitempty"`
	ErrorMessage    string          `json:"errorMessage,omitempty"`
	ErrorDetails    string          `json:"errorDetails,omitempty"` // a stack trace: never logged
	RuntimeMS       int64           `json:"runtimeMS,omitempty"`
}

// Concrete types of admin jobs.
const (
	ArchivalRequestType  = "org.sagebionetworks.repo.model.file.FileHandleArchivalRequest"
	ArchivalResponseType = "org.sagebionetworks.repo.model.file.FileHandleArchivalResponse"
	MigrationRequestType = "org.sagebionetworks.repo.model.migration.AsyncMigrationRequest"
)

// Version answers GET /repo/v1/version, without a token and in maintenance.
type Version struct {
	Version       string `json:"version"`
	StackInstance string `json:"stackInstance"`
}

// The stack's states. At the HTTP edge READ_ONLY and DOWN act the same.
const (
	ReadWrite = "READ_WRITE"
	ReadOnly  = "READ_ONLY"
	Down      = "DOWN"
)

// StackStatus is the stack's state. PUT replaces all of it: an omitted message is
// erased.
type StackStatus struct {
	Status                    string `json:"status"`
	CurrentMessage            string `json:"currentMessage,omitempty"`
	PendingMaintenanceMessage string `json:"pendingMaintenanceMessage,omitempty"`
}

// ErrorResponse is the body of most errors. Never branch on Reason.
type ErrorResponse struct {
	ConcreteType string `json:"concreteType,omitempty"`
	Reason       string `json:"reason"`
	ErrorCode    string `json:"errorCode,omitempty"`
	// OAuth errors
	Error            string `json:"error,omitempty"`
	ErrorDescription string `json:"error_description,omitempty"`
}

// Concrete types of errors.
const (
	ErrorType      = "org.sagebionetworks.repo.model.ErrorResponse"
	OAuthErrorType = "org.sagebionetworks.repo.model.OAuthErrorResponse"
)
