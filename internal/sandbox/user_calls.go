package sandbox

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

func userRoutes() []route {
	return []route{
		{method: "GET", pattern: "/repo/v1/user/{id}/bundle", scopes: view, handle: getBundle},
		{method: "GET", pattern: "/repo/v1/userProfile", scopes: view, handle: getOwnProfile},
		{method: "GET", pattern: "/repo/v1/user/{id}/certifiedUserPassingRecord", scopes: view, handle: getPassingRecord},
		{method: "GET", pattern: "/repo/v1/user/{id}/certifiedUserPassingRecords", scopes: view, handle: getPassingRecords},
		{method: "PUT", pattern: "/repo/v1/user/{id}/revokeCertification", scopes: modify, handle: revokeCertification},
		{method: "POST", pattern: "/repo/v1/admin/redact/user/{id}", scopes: modify, handle: redactUser},
		{method: "PUT", pattern: "/repo/v1/admin/user/{id}/certificationStatus", scopes: modify, status: http.StatusNoContent, handle: setCertified},
		{method: "PUT", pattern: "/repo/v1/admin/resetuserstatus/{id}", scopes: modify, isNew: true, handle: resetUserStatus},
		{method: "DELETE", pattern: "/repo/v1/admin/user/{id}/2fa", scopes: modify, status: http.StatusNoContent, isNew: true, handle: deleteSecondFactor},
		{method: "POST", pattern: "/repo/v1/admin/emailQuarantine/expire", scopes: modify, status: http.StatusNoContent, body: true, handle: expireQuarantine},
	}
}

// mask reads a bundle's mask: decimal, or hex after 0x.
func (q *request) mask() (int64, error) {
	text, ok := q.param("mask")
	if !ok || text == "" {
		return 0, missing("mask")
	}
	digits, hex := strings.CutPrefix(strings.ToLower(text), "0x")
	base := 10
	if hex {
		base = 16
	}
	n, err := strconv.ParseInt(digits, base, 32)
	if err != nil {
		return 0, failed(http.StatusBadRequest, "For input string: %q", text)
	}
	return n, nil
}

func getBundle(q *request) (any, error) {
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	mask, err := q.mask()
	if err != nil {
		return nil, err
	}
	if isGroup(id) {
		return nil, failed(http.StatusBadRequest, "%d is not a user.", id)
	}
	u, ok := q.s.user(id)
	if !ok {
		return nil, noUser(id)
	}
	return u.bundle(mask, q.caller.admin || q.caller.act || q.caller.id == id), nil
}

// bundle holds only what the mask asks for.
func (u *User) bundle(mask int64, private bool) map[string]any {
	b := map[string]any{"userId": u.ID}
	if mask&synapse.BundleProfile != 0 {
		b["userProfile"] = u.profile(private)
	}
	if mask&synapse.BundleORCID != 0 && u.ORCID != "" {
		b["ORCID"] = u.ORCID
	}
	if mask&synapse.BundleVerification != 0 && (private || mask&synapse.BundleVerified != 0) {
		if v := u.submission(private); v != nil {
			b["verificationSubmission"] = v
		}
	}
	for bit, v := range map[int64]bool{synapse.BundleCertified: u.Certified, synapse.BundleVerified: u.Verified, synapse.BundleACT: u.ACT, synapse.BundleReviewer: u.ACT} {
		if mask&bit != 0 {
			b[bundleFlags[bit]] = v
		}
	}
	return b
}

var bundleFlags = map[int64]string{synapse.BundleCertified: "isCertified", synapse.BundleVerified: "isVerified",
	synapse.BundleACT: "isACTMember", synapse.BundleReviewer: "isARReviewer"}

func noUser(id int64) *failure {
	return failed(http.StatusNotFound, "User with id '%d' does not exist", id)
}

// noRow is how the service fails on a user it does not check for: by the database.
func noRow(id int64) *failure {
	return failed(http.StatusInternalServerError, "Cannot add or update a child row: principal %d.", id)
}

func getOwnProfile(q *request) (any, error) {
	u, ok := q.s.user(q.caller.id)
	if !ok {
		return nil, noUser(q.caller.id)
	}
	return u.profile(true), nil
}

func getPassingRecord(q *request) (any, error) {
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	u, ok := q.s.user(id)
	if !ok || u.Record == nil {
		return nil, failed(http.StatusNotFound, "No passing record for user %d.", id)
	}
	return u.Record, nil
}

func getPassingRecords(q *request) (any, error) {
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	all := []*PassingRecord{}
	if u, _ := q.s.user(id); u.Record != nil {
		all = append(all, u.Record)
	}
	return map[string]any{"results": all, "totalNumberOfResults": len(all)}, nil
}

// revokeCertification answers 500, not 403, to those who may not: the exception
// has no handler.
func revokeCertification(q *request) (any, error) {
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	if q.caller.mustBeACT() != nil {
		return nil, failed(http.StatusInternalServerError, "Forbidden")
	}
	u, ok := q.s.user(id)
	if !ok {
		return nil, noUser(id)
	}
	if !u.Certified || u.Record == nil {
		return nil, failed(http.StatusBadRequest, "The user is not certified.")
	}
	q.s.change(id, func(p *patch) { p.set(certified, false); p.revokedAt = time.Now().Unix() })
	u, _ = q.s.user(id)
	return u.Record, nil
}

// adminTarget is how most administrative user calls begin: a number, then the
// right to do it.
func (q *request) adminTarget() (int64, error) {
	id, err := q.number("id")
	if err != nil {
		return 0, err
	}
	return id, q.caller.mustBeAdmin()
}

func redactUser(q *request) (any, error) {
	id, err := q.adminTarget()
	if err != nil {
		return nil, err
	}
	if _, ok := q.s.user(id); !ok {
		return nil, failed(http.StatusInternalServerError, "Index 0 out of bounds for length 0")
	}
	q.s.change(id, func(p *patch) { p.redacted = true })
	return nil, nil
}

// setCertified does not ask whether the user exists when it takes the
// certification away; the passing record stays either way.
func setCertified(q *request) (any, error) {
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	on, err := q.boolean("isCertified", nil)
	if err != nil {
		return nil, err
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	if on && isGroup(id) {
		return nil, failed(http.StatusBadRequest, "%d is not an individual user.", id)
	}
	if _, ok := q.s.user(id); !ok {
		if on {
			return nil, noUser(id)
		}
		return nil, nil
	}
	q.s.change(id, func(p *patch) { p.set(certified, on) })
	return nil, nil
}

func resetUserStatus(q *request) (any, error) {
	id, err := q.adminTarget()
	if err != nil {
		return nil, err
	}
	if _, ok := q.s.user(id); !ok {
		return nil, noRow(id)
	}
	q.s.change(id, func(p *patch) { p.set(disabled, false) })
	return nil, nil
}

func deleteSecondFactor(q *request) (any, error) {
	id, err := q.adminTarget()
	if err != nil {
		return nil, err
	}
	if _, ok := q.s.user(id); !ok {
		return nil, noRow(id)
	}
	q.s.change(id, func(p *patch) { p.set(secondFactor, false) })
	return nil, nil
}

// expireQuarantine checks the body before the caller. The record stays, so a
// repeat succeeds.
func expireQuarantine(q *request) (any, error) {
	var in struct {
		Email string `json:"email"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if strings.TrimSpace(in.Email) == "" {
		return nil, failed(http.StatusBadRequest, "email is required and must not be a blank string.")
	}
	if err := q.caller.mustBeAdmin(); err != nil {
		return nil, err
	}
	if _, known := q.s.quarantined(in.Email); !known {
		return nil, failed(http.StatusNotFound, "The email address is not in the quarantine.")
	}
	q.s.state.quarantine[quarantineKey(in.Email)] = time.Now()
	return nil, nil
}

func quarantineKey(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

func (s *Synapse) quarantined(email string) (now, known bool) {
	until, ok := s.state.quarantine[quarantineKey(email)]
	return ok && time.Now().Before(until), ok
}
