package migration

import "strings"

// enum lists the migration types in the order of the service's enum, October 2024:
// name, then "P" or the primary type that owns it, then how its checksum sees it
// (e: etag, d: a timestamp serves, -: by ID only), then u for an extra unique key
// or pk for a primary key that is not the backup ID.
const enum = `
PRINCIPAL P e
GROUP_MEMBERS PRINCIPAL
CREDENTIAL P e
TERMS_OF_USE_AGREEMENT PRINCIPAL
AUTHENTICATED_ON P e
PRINCIPAL_ALIAS P e u
NOTIFICATION_EMAIL P e u
USER_PROFILE P e
STORAGE_LOCATION P e
FILE_HANDLE P e
MULTIPART_UPLOAD P e u
MULTIPART_UPLOAD_PART_STATE MULTIPART_UPLOAD
MULTIPART_UPLOAD_COMPOSER_PART_STATE MULTIPART_UPLOAD
MESSAGE_CONTENT P e
MESSAGE_TO_USER MESSAGE_CONTENT
MESSAGE_RECIPIENT MESSAGE_CONTENT
MESSAGE_STATUS MESSAGE_CONTENT
COMMENT MESSAGE_CONTENT
V2_WIKI_PAGE P e
V2_WIKI_ATTACHMENT_RESERVATION V2_WIKI_PAGE
V2_WIKI_MARKDOWN V2_WIKI_PAGE
V2_WIKI_OWNERS P e pk
ACTIVITY P e
NODE P e u
NODE_REVISION NODE
NODE_ACCESS_REQUIRMENT ACCESS_REQUIREMENT
DOCKER_REPOSITORY_NAME P - u
DOCKER_COMMIT P - u
TEAM P e
MEMBERSHIP_INVITATION_SUBMISSION P e
MEMBERSHIP_REQUEST_SUBMISSION P -
EVALUATION P e u
EVALUATION_ROUND P e
EVALUATION_SUBMISSIONS P e
SUBMISSION P -
SUBMISSION_CONTRIBUTOR P e
SUBMISSION_FILE SUBMISSION
SUBMISSION_STATUS P e
PROJECT_SETTINGS P e u
PROJECT_STATS P e u
ACCESS_REQUIREMENT P e u
ACCESS_REQUIREMENT_REVISION ACCESS_REQUIREMENT
ACCESS_APPROVAL P e pk
ACL P e pk
ACL_ACCESS ACL
ACL_ACCESS_TYPE ACL
FAVORITE P - u
TRASH_CAN P e
DOI P e u
CHALLENGE P e u
CHALLENGE_TEAM P e u
COLUMN_MODEL P - u
BOUND_COLUMN_OWNER P e
BOUND_COLUMN_ORDINAL BOUND_COLUMN_OWNER
TABLE_TRANSACTION P e
TABLE_TRANSACTION_TO_VERSION TABLE_TRANSACTION
TABLE_SEQUENCE P e
TABLE_CHANGE P e u
QUIZ_RESPONSE P e
VERIFICATION_SUBMISSION P e u
VERIFICATION_STATE P - u
VERIFICATION_FILE VERIFICATION_SUBMISSION
FORUM P e u
DISCUSSION_THREAD P e u
DISCUSSION_THREAD_VIEW DISCUSSION_THREAD
DISCUSSION_THREAD_ENTITY_REFERENCE DISCUSSION_THREAD
DISCUSSION_REPLY P e u
SUBSCRIPTION P - pk
BROADCAST_MESSAGE P -
VIEW_TYPE P e
VIEW_SCOPE VIEW_TYPE
VIEW_SNAPSHOT P - u
THROTTLE_RULE P d u
RESEARCH_PROJECT P e u
DATA_ACCESS_REQUEST P e u
DATA_ACCESS_SUBMISSION P e
DATA_ACCESS_SUBMISSION_SUBMITTER P e pk
DATA_ACCESS_SUBMISSION_STATUS DATA_ACCESS_SUBMISSION
DATA_ACCESS_SUBMISSION_ACCESSOR_CHANGE DATA_ACCESS_SUBMISSION
DATA_ACCESS_NOTIFICATIONS P e u
FORM_GROUP P - u
FORM_DATA P e
ORGANIZATION P - u
JSON_SCHEMA P - pk
JSON_SCHEMA_BLOB P - u
JSON_SCHEMA_VERSION P - u
JSON_SCHEMA_LATEST_VERSION P e
JSON_SCHEMA_DEPENDENCY JSON_SCHEMA_VERSION
JSON_SCHEMA_OBJECT_BINDING P - u
DOWNLOAD_LIST P e
DOWNLOAD_LIST_ITEM DOWNLOAD_LIST
DOWNLOAD_ORDER P -
DOWNLOAD_LIST_2 P e
DOWNLOAD_LIST_ITEM_2 DOWNLOAD_LIST_2
DATA_TYPE P - u
OAUTH_SECTOR_IDENTIFIER P -
OAUTH_CLIENT P e
OAUTH_REFRESH_TOKEN P e u
OAUTH_ACCESS_TOKEN P -
PERSONAL_ACCESS_TOKEN P d u
AUTHORIZATION_GRANT P e u
SES_NOTIFICATIONS P -
QUARANTINED_EMAILS P e u
FEATURE_STATUS P e u
MATERIALIZED_VIEW_ID P e
MATERIALIZED_VIEW_SOURCE_TABLE MATERIALIZED_VIEW_ID
PRINCIPAL_OIDC_BINDING P e u
OTP_SECRET P e u
OTP_RECOVERY_CODE OTP_SECRET
TWO_FA_STATUS PRINCIPAL
WEBHOOK P e u
WEBHOOK_VERIFICATION P e
WEBHOOK_ALLOWED_DOMAIN P e
AGENT_REGISTRATION P - u
AGENT_SESSION P e u
TOS_REQUIREMENTS P -
TOS_AGREEMENT P - u
CHANGE P - pk
`

// sized is what is assumed of a type: rows, span of IDs, and the cost in µs per row
// of its backup and restore.
type sized struct {
	primary, secondary, span int64
	backup, restore          float64
}

const (
	k = 1_000
	m = 1_000_000
)

// sizes: of types that are not small. A name ending in * stands for all types that
// begin so; its rows are spread over them.
var sizes = map[string]sized{
	"FILE_HANDLE":                      {90 * m, 0, 160 * m, 90, 330},
	"CHANGE":                           {100 * m, 0, 420 * m, 50, 260},
	"NODE":                             {14 * m, 18 * m, 65 * m, 150, 400},
	"MESSAGE_CONTENT":                  {1500 * k, 9 * m, 2 * m, 80, 250},
	"ACL":                              {400 * k, 9 * m, 500 * k, 60, 220},
	"MULTIPART_UPLOAD":                 {800 * k, 4 * m, 3 * m, 80, 250},
	"TABLE_CHANGE":                     {5 * m, 0, 6 * m, 60, 260},
	"TABLE_TRANSACTION":                {4 * m, 500 * k, 5 * m, 50, 230},
	"DOWNLOAD_LIST_2":                  {40 * k, 3 * m, 3600 * k, 50, 220},
	"SES_NOTIFICATIONS":                {3 * m, 0, 4 * m, 100, 300},
	"V2_WIKI_PAGE":                     {600 * k, 2 * m, 650 * k, 120, 300},
	"PRINCIPAL":                        {250 * k, 1300 * k, 3600 * k, 60, 250},
	"BOUND_COLUMN_OWNER":               {80 * k, 1500 * k, 65 * m, 60, 250},
	"PROJECT_STATS":                    {1500 * k, 0, 2 * m, 50, 250},
	"OAUTH_*":                          {1500 * k, 0, 3 * m, 60, 250},
	"ACTIVITY":                         {1200 * k, 0, 1400 * k, 200, 350},
	"SUBSCRIPTION":                     {800 * k, 0, 1200 * k, 50, 250},
	"SUBMISSION":                       {300 * k, 400 * k, 10 * m, 200, 350},
	"DISCUSSION_*":                     {100 * k, 600 * k, 200 * k, 60, 250},
	"PRINCIPAL_ALIAS":                  {500 * k, 0, 600 * k, 60, 250},
	"V2_WIKI_OWNERS":                   {300 * k, 0, 650 * k, 60, 250},
	"MEMBERSHIP_INVITATION_SUBMISSION": {300 * k, 0, 400 * k, 60, 250},
	"MEMBERSHIP_REQUEST_SUBMISSION":    {300 * k, 0, 400 * k, 60, 250},
	"SUBMISSION_STATUS":                {300 * k, 0, 10 * m, 100, 300},
	"ACCESS_APPROVAL":                  {300 * k, 0, 400 * k, 60, 250},
	"COLUMN_MODEL":                     {300 * k, 0, 400 * k, 80, 280},
	"JSON_SCHEMA_*":                    {200 * k, 100 * k, 300 * k, 120, 300},
	"CREDENTIAL":                       {200 * k, 0, 3600 * k, 60, 250},
	"AUTHENTICATED_ON":                 {200 * k, 0, 3600 * k, 60, 250},
	"USER_PROFILE":                     {200 * k, 0, 3600 * k, 120, 300},
	"FAVORITE":                         {200 * k, 0, 300 * k, 60, 250},
	"NOTIFICATION_EMAIL":               {200 * k, 0, 200 * k, 60, 250},
	"VIEW_TYPE":                        {60 * k, 200 * k, 65 * m, 60, 250},
	"DATA_ACCESS_*":                    {50 * k, 200 * k, 80 * k, 150, 300},
	"DOCKER_REPOSITORY_NAME":           {10 * k, 0, 65 * m, 60, 250},
	"DOCKER_COMMIT":                    {100 * k, 0, 200 * k, 60, 250},
	"TABLE_SEQUENCE":                   {20 * k, 0, 65 * m, 60, 250},
	"TEAM":                             {30 * k, 0, 3600 * k, 60, 250},
	"STORAGE_LOCATION":                 {60 * k, 0, 100 * k, 60, 250},
	"DOI":                              {20 * k, 0, 30 * k, 60, 250},
	"EVALUATION":                       {10 * k, 0, 10 * m, 60, 250},
	"ACCESS_REQUIREMENT":               {5 * k, 30 * k, 10 * m, 100, 300},
}

// small is what is assumed of every other type.
var small = sized{2 * k, 2 * k, 3 * k, 60, 250}

// loginTouched are the types of which many bins change every day.
var loginTouched = map[string]bool{
	"PRINCIPAL": true, "CREDENTIAL": true, "AUTHENTICATED_ON": true, "USER_PROFILE": true,
	"DOWNLOAD_LIST_2": true, "PROJECT_STATS": true, "MESSAGE_CONTENT": true,
}

// A Type is one primary migration type as the simulation assumes it.
type Type struct {
	Name        string
	Secondaries []string
	Etag        bool // its checksum sees an update in place
	Unique      bool // rows hold a second unique value
	Moves       bool // the primary key is not the backup ID: an update gives the row another ID
	Primary     int64
	Secondary   int64
	Span        int64
	Backup      float64 // µs per row
	Restore     float64
	Small       bool
}

// Types returns the primary types in migration order, and the names of all types
// in enum order.
func Types() (primary []Type, all []string) {
	var lines [][]string
	owned := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(enum)) {
		f := append(strings.Fields(line), "", "")
		lines = append(lines, f)
		all = append(all, f[0])
		if f[1] != "P" {
			owned[f[1]] = append(owned[f[1]], f[0])
		}
	}
	share := map[string]int64{}
	for _, f := range lines {
		if f[1] == "P" {
			share[group(f[0])]++
		}
	}
	for _, f := range lines {
		if f[1] != "P" {
			continue
		}
		g := group(f[0])
		s, known := sizes[g]
		if !known {
			s = small
			if owned[f[0]] == nil {
				s.secondary = 0
			}
		}
		n := int64(1)
		if strings.HasSuffix(g, "*") {
			n = share[g]
		}
		primary = append(primary, Type{
			Name: f[0], Secondaries: owned[f[0]], Etag: f[2] != "-", Unique: f[3] == "u", Moves: f[3] == "pk",
			Primary: s.primary / n, Secondary: s.secondary / n, Span: s.span, Backup: s.backup, Restore: s.restore, Small: !known,
		})
	}
	return primary, all
}

// group is the entry of sizes that a type's rows are in.
func group(name string) string {
	if _, ok := sizes[name]; ok {
		return name
	}
	for _, p := range []string{"OAUTH_", "DISCUSSION_", "JSON_SCHEMA_", "DATA_ACCESS_"} {
		if strings.HasPrefix(name, p) {
			return p + "*"
		}
	}
	return name
}
