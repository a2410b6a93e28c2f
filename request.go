package ops

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is "sha256:" and 64 hex digits.
type Digest string

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

var digestPattern = Pattern(`^sha256:[0-9a-f]{64}$`)

// ParseDigest returns s as a Digest; the error is Invalid.
func ParseDigest(s string) (Digest, error) {
	if !digestPattern().MatchString(s) {
		return "", &Error{Code: Invalid, Message: Quote(s) + " is not a digest.", Hint: "A digest is sha256: and 64 hex digits, as the plan prints it."}
	}
	return Digest(s), nil
}

// Hex returns the digest's hex digits, the form used in document keys.
func (d Digest) Hex() string {
	if len(d) < 7 {
		return ""
	}
	return string(d[7:])
}

// Short returns enough of the digest to tell two apart by eye.
func (d Digest) Short() string {
	h := d.Hex()
	return h[:min(12, len(h))]
}

// Pace bounds how fast a bulk goes. The zero Pace is the service's own limits.
type Pace struct {
	// PerMinute lowers the rate, in requests a minute; 0: not lowered.
	PerMinute int `json:"per_minute,omitempty"`
	// Unlimited lifts the rate. Only against loopback.
	Unlimited bool `json:"unlimited,omitempty"`
	// InFlight replaces the 3 requests in flight; 0: not replaced. Only against
	// loopback.
	InFlight int `json:"in_flight,omitempty"`
}

// A Request is the written, unchangeable order: named by its digest, so it holds
// no time and nothing of chance. Repository and Requester are as declared.
type Request struct {
	Task        TaskName          `json:"task"`
	TaskVersion int               `json:"task_version"`
	Inputs      map[string]string `json:"inputs"` // canonical; may be personal
	Environment EnvironmentName   `json:"environment"`
	Host        string            `json:"host"` // base URL of the service
	Lane        Lane              `json:"lane"`
	Repository  string            `json:"repository,omitempty"`
	Requester   string            `json:"requester"`
	Reason      string            `json:"reason,omitempty"`
	Synops      string            `json:"synops"` // version of the launcher
	Pace        Pace              `json:"pace"`
	NoHandOver  bool              `json:"no_hand_over,omitempty"`
}

// Digest names the request: SHA-256 over its canonical JSON.
func (r *Request) Digest() Digest {
	b, err := CanonicalJSON(r)
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return DigestOf(b)
}

// Command returns what a person would type to ask for the same task with other
// inputs; values are quoted for a POSIX shell.
func Command(task TaskName, env EnvironmentName, inputs ...[2]string) string {
	s := fmt.Sprintf("synops run %s", task)
	for _, kv := range inputs {
		s += " " + ShellQuote(kv[0]+"="+kv[1])
	}
	return s + " -e " + string(env)
}

var shellSafe = Pattern(`^[A-Za-z0-9_@%+=:,./-]+$`)

// ShellQuote quotes s as one word of a POSIX shell where that is needed. The word does
// not hold "##[", which is a command to the runner of a GitHub job wherever it stands in
// a line: what is shown there can be copied as it is.
func ShellQuote(s string) string {
	if shellSafe().MatchString(s) {
		return s
	}
	return "'" + strings.NewReplacer("'", `'\''`, "##[", "##''[").Replace(s) + "'"
}
