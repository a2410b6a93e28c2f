package environments

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

var hostLabel = ops.Pattern(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$`)

// hostName tells whether s is a DNS name or an IPv4 address; "::1" is the only IPv6
// one.
func hostName(s string) bool {
	if s == "::1" {
		return true
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !hostLabel().MatchString(label) {
			return false
		}
	}
	return len(s) <= 253
}

// NormalizeHost returns a service's base URL in the one form that is compared:
// lower case, no path, no default port. The error is Invalid. Accepted are https,
// and plain http to this machine only.
func NormalizeHost(s string) (string, error) {
	wrong := func(format string, args ...any) (string, error) {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf(format, args...), Hint: "A host is a base URL such as https://repo-dev.dev.sagebase.org."}
	}
	// Asked before anything quotes it: what stands before an @ may be a password.
	if strings.Contains(s, "@") {
		return wrong("the host (%d bytes) holds an @: a user or password has no place in it.", len(s))
	}
	// Before folding: the Kelvin sign becomes an ASCII k.
	if strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) >= 0 {
		return wrong("%s holds characters that no host name has.", ops.Quote(s))
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return wrong("%s is not a base URL.", ops.Quote(s))
	}
	scheme, name := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	switch {
	case scheme != "https" && scheme != "http":
		return wrong("%s does not begin with https://.", ops.Quote(s))
	case strings.ContainsAny(s, "?#") || strings.Trim(u.Path, "/") != "":
		return wrong("%s has more than a host: no path, query or fragment is taken.", ops.Quote(s))
	case !hostName(name):
		return wrong("%s has no valid host name.", ops.Quote(s))
	case scheme == "http" && !ops.Loopback("http://"+bracket(name)):
		return wrong("%s would send the token unencrypted: plain http is for this machine only.", ops.Quote(s))
	}
	port, err := normalPort(scheme, u)
	if err != nil {
		return wrong("%s has no valid port.", ops.Quote(s))
	}
	return scheme + "://" + bracket(name) + port, nil
}

func bracket(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// normalPort returns ":N", or "" for the scheme's own port.
func normalPort(scheme string, u *url.URL) (string, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", fmt.Errorf("empty port")
		}
		return "", nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("bad port")
	}
	if scheme == "https" && n == 443 || scheme == "http" && n == 80 {
		return "", nil
	}
	return fmt.Sprintf(":%d", n), nil
}
