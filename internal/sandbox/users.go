package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// A User is an account as the service holds it.
type User struct {
	ID        string         `json:"id"`
	UserName  string         `json:"user_name"`
	FirstName string         `json:"first_name"`
	LastName  string         `json:"last_name"`
	Emails    []string       `json:"emails"`
	OpenIDs   []string       `json:"open_ids,omitempty"`
	ORCID     string         `json:"orcid,omitempty"`
	Company   string         `json:"company,omitempty"`
	Location  string         `json:"location,omitempty"`
	Summary   string         `json:"summary,omitempty"`
	Certified bool           `json:"certified"`
	Verified  bool           `json:"verified"` // has an approved verification submission
	TwoFactor bool           `json:"two_factor"`
	Disabled  bool           `json:"disabled"` // for inactivity
	Redacted  bool           `json:"redacted"`
	Admin     bool           `json:"admin,omitempty"`
	ACT       bool           `json:"act,omitempty"`
	Unsigned  bool           `json:"unsigned,omitempty"` // has not signed the terms of use
	Record    *PassingRecord `json:"record,omitempty"`   // of the certification quiz
	Etag      string         `json:"etag"`
}

// A PassingRecord is the outcome of a person's certification quiz.
type PassingRecord struct {
	UserID      string   `json:"userId"`
	QuizID      int      `json:"quizId"`
	ResponseID  int64    `json:"responseId"`
	Score       int      `json:"score"`
	Passed      bool     `json:"passed"`
	Certified   bool     `json:"certified"`
	Revoked     bool     `json:"revoked"`
	PassedOn    string   `json:"passedOn,omitempty"`
	RevokedOn   string   `json:"revokedOn,omitempty"`
	Corrections []string `json:"corrections"`
}

// patch is what has been changed of a user since the seed: small, because a bulk
// task may change a hundred thousand.
type patch struct {
	known, value flags
	redacted     bool
	revokedAt    int64 // Unix seconds; 0: not revoked
	edits        uint32
}

type flags uint8

const (
	certified flags = 1 << iota
	secondFactor
	disabled
)

func (p *patch) set(f flags, v bool) {
	p.known |= f
	p.value &^= f
	if v {
		p.value |= f
	}
}

func (p patch) get(f flags, before bool) bool {
	if p.known&f == 0 {
		return before
	}
	return p.value&f != 0
}

// User returns a user as it stands, and whether there is one.
func (s *Synapse) User(id string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := principal(id)
	if !ok {
		return User{}, false
	}
	return s.user(n)
}

// SetUser adds a user or replaces one whole.
func (s *Synapse) SetUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := principal(u.ID)
	if !ok {
		panic(fmt.Sprintf("sandbox: %q is not a user ID", u.ID))
	}
	delete(s.state.patches, n)
	u.Emails, u.OpenIDs = slices.Clone(u.Emails), slices.Clone(u.OpenIDs)
	s.state.users[n] = u
}

// user is User under the lock.
func (s *Synapse) user(id int64) (User, bool) {
	u, ok := s.state.users[id]
	if !ok {
		i := id - firstUser
		if i < 0 || i >= int64(s.config.Users) {
			return User{}, false
		}
		u = computedUser(i)
	}
	p := s.state.patches[id]
	u.Certified = p.get(certified, u.Certified)
	u.TwoFactor = p.get(secondFactor, u.TwoFactor)
	u.Disabled = p.get(disabled, u.Disabled)
	u.Etag = etagOf("user"+u.ID, int64(p.edits))
	u.Emails, u.OpenIDs = slices.Clone(u.Emails), slices.Clone(u.OpenIDs)
	if u.Record != nil {
		r := *u.Record
		r.UserID, r.Certified = u.ID, u.Certified
		if p.revokedAt != 0 {
			r.Revoked, r.RevokedOn = true, stamp(time.Unix(p.revokedAt, 0))
		}
		u.Record = &r
	}
	if p.redacted {
		u.redact()
	}
	return u, true
}

// redact leaves of an account what the service leaves. The second factor, quiz
// record and submissions stay.
func (u *User) redact() {
	u.Redacted = true
	u.UserName = u.ID
	u.Emails = []string{"gdpr-synapse+" + u.ID + "@sagebase.org"}
	u.FirstName, u.LastName, u.ORCID, u.OpenIDs = "", "", "", nil
	u.Company, u.Location, u.Summary = "", "", ""
}

// change patches a user, who must exist.
func (s *Synapse) change(id int64, fn func(*patch)) {
	p := s.state.patches[id]
	fn(&p)
	p.edits++
	s.state.patches[id] = p
}

// computedUser is extra user i: certified when even, with a second factor every
// third, disabled every fifth.
func computedUser(i int64) User {
	id := strconv.FormatInt(firstUser+i, 10)
	u := User{
		ID: id, UserName: "user" + id, FirstName: "Test", LastName: "User " + id,
		Emails:    []string{"user" + id + "@example.org"},
		Certified: i%2 == 0, TwoFactor: i%3 == 0, Disabled: i%5 == 0,
	}
	if u.Certified {
		u.Record = passed(id)
	}
	return u
}

func passed(id string) *PassingRecord {
	n, _ := principal(id)
	return &PassingRecord{UserID: id, QuizID: 1, ResponseID: n + 5_000_000, Score: 14, Passed: true, PassedOn: seeded, Corrections: []string{}}
}

// profile is a UserProfile as the service writes it: empty names of a redacted
// account are there, unset fields are not.
func (u *User) profile(private bool) map[string]any {
	p := map[string]any{"ownerId": u.ID, "userName": u.UserName, "firstName": u.FirstName, "lastName": u.LastName, "createdOn": seeded}
	for k, v := range map[string]string{"company": u.Company, "location": u.Location, "summary": u.Summary} {
		if v != "" {
			p[k] = v
		}
	}
	if !private {
		return p
	}
	p["etag"] = u.Etag
	p["emails"] = u.Emails
	if len(u.Emails) > 0 {
		p["email"] = u.Emails[0]
	}
	p["openIds"] = append([]string{}, u.OpenIDs...)
	p["displayName"] = u.UserName
	p["notificationSettings"] = map[string]bool{"sendEmailNotifications": !u.Redacted, "markEmailedMessagesAsRead": false}
	p["twoFactorAuthEnabled"] = u.TwoFactor
	return p
}

// submission is the person's verification submission, nil without one. Private
// fields are for the person, the ACT and administrators.
func (u *User) submission(private bool) map[string]any {
	if !u.Verified {
		return nil
	}
	v := map[string]any{"id": "9" + u.ID, "createdBy": u.ID, "createdOn": seeded, "firstName": u.FirstName, "lastName": u.LastName,
		"company": u.Company, "location": u.Location, "orcid": u.ORCID,
		"stateHistory": []map[string]any{{"createdOn": seeded, "createdBy": strconv.Itoa(actMember), "state": "APPROVED"}}}
	if private {
		v["emails"], v["attachments"] = u.Emails, []any{}
		if len(u.Emails) > 0 {
			v["notificationEmail"] = u.Emails[0]
		}
	}
	return v
}

// isGroup tells whether a principal is a group or a team, not a person.
func isGroup(id int64) bool {
	switch strconv.FormatInt(id, 10) {
	case synapse.Administrators, synapse.CertifiedUsers, synapse.ACT, synapse.AuthenticatedUsers, synapse.Public, synapse.SageTeam:
		return true
	}
	return id == Team
}

// Quarantined tells whether an e-mail address is in quarantine now, and whether
// the service knows it at all.
func (s *Synapse) Quarantined(email string) (now, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quarantined(email)
}
