package tasks

import (
	"context"
	"encoding/json"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Service is all that tasks ask of one Synapse host; internal/adminapi fulfills
// it. Each file declares the part it calls. Errors carry ops codes: NotFound for
// 404, Denied for 401 and 403, Conflict for 409 and 412, Invalid for 400,
// Unavailable when nothing was done, and Unsettled when a write that must not be
// sent twice got no answer. Safe for concurrent use.
type Service interface {
	users
	oauthClients
	dataTypes
	features
	realms
	jobs
	stackStatus
	ids
	grids
	emails
	vitals
}

type users interface {
	// Self returns the profile of the token's own user.
	Self(ctx context.Context) (synapse.UserProfile, error)
	UserBundle(ctx context.Context, id string, mask int) (synapse.UserBundle, error)
	RedactUser(ctx context.Context, id string) error
	SetCertified(ctx context.Context, id string, certified bool) error
	ResetUserStatus(ctx context.Context, id string) error
	DeleteSecondFactor(ctx context.Context, id string) error
}

type emails interface {
	ExpireQuarantine(ctx context.Context, email string) error
}

type oauthClients interface {
	OAuthClient(ctx context.Context, id string) (synapse.OAuthClient, error)
	// SetOAuthClientVerified answers Conflict when etag is stale. It may be sent
	// again blindly: compare-and-set.
	SetOAuthClientVerified(ctx context.Context, id string, verified bool, etag string) (synapse.OAuthClient, error)
}

type dataTypes interface {
	EntityPermissions(ctx context.Context, id string) (synapse.EntityPermissions, error)
	// EntityACL answers NotFound when the entity inherits its ACL.
	EntityACL(ctx context.Context, id string) (synapse.ACL, error)
	SetDataType(ctx context.Context, id string, t synapse.DataType) (synapse.DataTypeResponse, error)
}

type features interface {
	Feature(ctx context.Context, name string) (synapse.FeatureStatus, error)
	SetFeature(ctx context.Context, name string, enabled bool) (synapse.FeatureStatus, error)
}

type realms interface {
	Realms(ctx context.Context) ([]string, error)
	Realm(ctx context.Context, id string) (synapse.Realm, error)
	// CreateRealm is sent once; a lost answer is Unsettled.
	CreateRealm(ctx context.Context, r synapse.Realm) (synapse.Realm, error)
	// DeleteRealm is sent once; a lost answer is Unsettled.
	DeleteRealm(ctx context.Context, id string) error
}

type jobs interface {
	// StartAdminJob is sent once; a lost answer is Unsettled.
	StartAdminJob(ctx context.Context, request json.RawMessage) (synapse.AsyncJobStatus, error)
	AdminJob(ctx context.Context, id string) (synapse.AsyncJobStatus, error)
}

type stackStatus interface {
	StackStatus(ctx context.Context) (synapse.StackStatus, error)
	SetStackStatus(ctx context.Context, s synapse.StackStatus) (synapse.StackStatus, error)
}

type ids interface {
	// ExportIDs returns the decoded SQL script.
	ExportIDs(ctx context.Context) (string, error)
}

type grids interface {
	// BackfillGridSessions returns how many sessions were touched. It is sent once;
	// a lost answer is Unsettled.
	BackfillGridSessions(ctx context.Context) (int64, error)
}

type vitals interface {
	Version(ctx context.Context) (synapse.Version, error)
	// Administrator proves that the token is an administrator's, by a path that
	// answers in every state of the stack. Denied: it is not.
	Administrator(ctx context.Context) error
	// RenewToken reads the token anew from its source.
	RenewToken(ctx context.Context) error
}
