package secret

import (
	"fmt"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// The schemes of a source.
const (
	SchemeEnv     = "env"               // a variable of the process environment
	SchemeFile    = "file"              // a file that only its owner can read
	SchemeManager = "awssecretsmanager" // a secret in AWS Secrets Manager
	SchemePipe    = "pipe"              // a file descriptor inherited from the launcher
)

// A Source tells where a secret is read from.
type Source struct{ Scheme, Name string }

// String returns the source as it is written: scheme:name.
func (s Source) String() string { return s.Scheme + ":" + s.Name }

var (
	variableName = ops.Pattern(`^[A-Za-z_][A-Za-z0-9_]*$`)
	managedName  = ops.Pattern(`^[A-Za-z0-9/_+=.@:-]+$`)
)

// mostName is Secrets Manager's limit. It is counted, not matched: a repetition's
// count multiplies what its pattern takes to compile.
const mostName = 512

const sourceHint = "A source is env:NAME, file:PATH or awssecretsmanager:NAME."

// ParseSource returns s as a Source: env:NAME, file:PATH, awssecretsmanager:NAME
// or pipe:FD. The error is Invalid and never quotes s, which may be a token
// pasted in the wrong place.
func ParseSource(s string) (Source, error) {
	scheme, name, _ := strings.Cut(s, ":")
	src := Source{Scheme: scheme, Name: name}
	var ok bool
	var rule string
	switch scheme {
	case SchemeEnv:
		ok, rule = variableName().MatchString(name), "the name of a variable, such as env:SYNAPSE_ADMIN_PAT"
	case SchemeFile:
		ok, rule = name != "" && !strings.ContainsRune(name, 0), "a path"
	case SchemeManager:
		ok, rule = len(name) <= mostName && managedName().MatchString(name), "a secret's name, such as awssecretsmanager:/synapse/admin-pat"
	case SchemePipe:
		_, err := descriptor(name)
		ok, rule = err == nil, "the number of an inherited file descriptor: 0, or 3 to 1023"
	default:
		return Source{}, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The token source given (%d bytes) names no known kind.", len(s)), Hint: sourceHint}
	}
	if ops.LooksSecret(name) {
		return Source{}, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("What follows %s: looks like a token itself.", scheme), Hint: sourceHint + " If this was a real token, revoke it."}
	}
	if !ok {
		return Source{}, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("The token source's name after %s: is not valid.", scheme), Hint: "It must be " + rule + "."}
	}
	return src, nil
}

// descriptor returns the number of a pipe. 1 and 2 are the outputs.
func descriptor(name string) (int, error) {
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name || n < 0 || n == 1 || n == 2 || n > 1023 {
		return 0, fmt.Errorf("not a descriptor")
	}
	return n, nil
}
