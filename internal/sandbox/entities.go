package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// An Entity is a file, folder or project, as far as its access goes.
type Entity struct {
	ID         string   `json:"id"` // such as syn123
	Owner      string   `json:"owner"`
	Benefactor string   `json:"benefactor,omitempty"` // whose ACL it inherits; "": it has its own
	Public     []string `json:"public,omitempty"`     // access types that its own ACL grants to the public
	Trashed    bool     `json:"trashed,omitempty"`
}

type dataType struct {
	kind   synapse.DataType
	by, on string
}

func entityRoutes() []route {
	return []route{
		{method: "PUT", pattern: "/repo/v1/entity/{id}/datatype", scopes: view | modify, handle: setDataType},
		{method: "GET", pattern: "/repo/v1/entity/{id}/permissions", scopes: view, handle: getPermissions},
		{method: "GET", pattern: "/repo/v1/entity/{id}/acl", scopes: view, handle: getACL},
	}
}

// IsOpenData tells whether an entity's data type is OPEN_DATA, be there such an
// entity or not.
func (s *Synapse) IsOpenData(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := entityNumber(id)
	return err == nil && s.state.dataTypes[n].kind == synapse.OpenData
}

// Entity returns an entity, and whether there is one; it may be in the trash.
func (s *Synapse) Entity(id string) (Entity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := entityNumber(id)
	if err != nil {
		return Entity{}, false
	}
	return s.entity(n)
}

// SetEntity adds an entity or replaces one.
func (s *Synapse) SetEntity(e Entity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := entityNumber(e.ID)
	if err != nil {
		panic("sandbox: " + err.Error())
	}
	e.Public = slices.Clone(e.Public)
	s.state.entities[n] = e
}

// entity computes what is not stored: extra entities let the public read and
// download, but every tenth inherits its ACL from syn123.
func (s *Synapse) entity(n int64) (Entity, bool) {
	if e, ok := s.state.entities[n]; ok {
		return e, true
	}
	i := n - firstEntity
	if i < 0 || i >= int64(s.config.Entities) {
		return Entity{}, false
	}
	e := Entity{ID: entityID(n), Owner: owner}
	if i%10 == 9 {
		e.Benefactor = "syn123"
	} else {
		e.Public = []string{"READ", "DOWNLOAD"}
	}
	return e, true
}

var entityPattern = regexp.MustCompile(`^(?i:syn)?([0-9]{1,18})(\.[0-9]+)?$`)

func entityNumber(id string) (int64, error) {
	m := entityPattern.FindStringSubmatch(strings.TrimSpace(id))
	if m == nil {
		return 0, failed(http.StatusBadRequest, "%s is not a valid Synapse ID.", id)
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits fit
	return n, nil
}

func entityID(n int64) string { return "syn" + strconv.FormatInt(n, 10) }

// setDataType does not ask whether the entity exists when the caller is an
// administrator or ACT: a slip in the ID succeeds. The ID comes back as it was
// asked, with or without its prefix.
func setDataType(q *request) (any, error) {
	text, _ := q.param("type")
	kind := synapse.DataType(text)
	if text == "" {
		return nil, missing("type")
	}
	if kind != synapse.OpenData && kind != synapse.SensitiveData {
		return nil, failed(http.StatusBadRequest, "No enum constant org.sagebionetworks.repo.model.DataType.%s", text)
	}
	n, err := entityNumber(q.vars["id"])
	if err != nil {
		return nil, err
	}
	by := strconv.FormatInt(q.caller.id, 10)
	if q.caller.mustBeACT() != nil {
		if e, ok := q.s.entity(n); !ok || e.Owner != by || kind == synapse.OpenData {
			return nil, failed(http.StatusForbidden, "You lack the permission to change the data type of %s.", entityID(n))
		}
	}
	d := dataType{kind, by, stamp(time.Now())}
	q.s.state.dataTypes[n] = d
	return synapse.DataTypeResponse{ObjectID: q.vars["id"], ObjectType: "ENTITY", DataType: kind, UpdatedBy: d.by, UpdatedOn: d.on}, nil
}

// visible returns the entity of the path and the entity whose ACL rules it.
func (q *request) visible() (e, ruler Entity, err error) {
	n, err := entityNumber(q.vars["id"])
	if err != nil {
		return e, ruler, err
	}
	e, ok := q.s.entity(n)
	if !ok {
		return e, ruler, failed(http.StatusNotFound, "Resource: '%s' does not exist", entityID(n))
	}
	if e.Trashed {
		return e, ruler, failed(http.StatusNotFound, "Entity %s is in trash can.", e.ID)
	}
	ruler = e
	if e.Benefactor != "" {
		b, _ := entityNumber(e.Benefactor)
		ruler, _ = q.s.entity(b)
	}
	if !q.caller.admin && e.Owner != strconv.FormatInt(q.caller.id, 10) && !slices.Contains(ruler.Public, "READ") {
		return e, ruler, failed(http.StatusForbidden, "You lack READ access to the requested entity.")
	}
	return e, ruler, nil
}

func getPermissions(q *request) (any, error) {
	e, ruler, err := q.visible()
	if err != nil {
		return nil, err
	}
	n, _ := entityNumber(e.ID)
	ownerID, _ := principal(e.Owner)
	boss := q.caller.admin || q.caller.id == ownerID
	open := q.s.state.dataTypes[n].kind == synapse.OpenData
	download := boss || slices.Contains(ruler.Public, "DOWNLOAD") && (open || !q.caller.anonymous)
	p := map[string]any{"ownerPrincipalId": ownerID, "isEntityOpenData": open, "canDownload": download,
		"canView": true, "canPublicRead": slices.Contains(ruler.Public, "READ"), "isCertificationRequired": true}
	for _, right := range []string{"canEdit", "canMove", "canAddChild", "canCertifiedUserEdit", "canCertifiedUserAddChild", "isCertifiedUser",
		"canChangePermissions", "canChangeSettings", "canDelete", "canUpload", "canEnableInheritance", "canModerate", "isDataContributor"} {
		p[right] = boss
	}
	return p, nil
}

func getACL(q *request) (any, error) {
	e, _, err := q.visible()
	if err != nil {
		return nil, err
	}
	if e.Benefactor != "" {
		return nil, failed(http.StatusNotFound, "The requested ACL does not exist. This entity inherits its permissions from: /entity/%s/acl", e.Benefactor)
	}
	ownerID, _ := principal(e.Owner)
	access := []synapse.ResourceAccess{{PrincipalID: ownerID, AccessType: []string{"CREATE", "READ", "UPDATE", "DELETE", "CHANGE_PERMISSIONS", "DOWNLOAD", "MODERATE", "CHANGE_SETTINGS"}}}
	if len(e.Public) > 0 {
		access = append(access, synapse.ResourceAccess{PrincipalID: publicGroup, AccessType: e.Public})
	}
	return map[string]any{"id": e.ID, "createdBy": e.Owner, "creationDate": seeded, "modifiedBy": e.Owner, "modifiedOn": seeded,
		"etag": etagOf("acl"+e.ID, 0), "resourceAccess": access}, nil
}
