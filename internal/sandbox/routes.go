package sandbox

import (
	"net/http"
	"net/url"
	"strings"
)

// route is one method of the service. handle runs under the state's lock and
// returns what to answer, nil for an empty body, or a *failure.
type route struct {
	method, pattern string
	scopes          scope // 0: the method takes no caller
	status          int
	handle          func(*request) (any, error)
	isNew           bool // not in the service of 2024
	body            bool // the method reads a JSON body
	parts           []string
}

type routes map[int][]*route // by number of parts

func newRoutes() routes {
	table := routes{}
	for _, group := range [][]route{userRoutes(), oauthRoutes(), entityRoutes(), featureRoutes(), realmRoutes(), jobRoutes(), stackRoutes()} {
		for _, r := range group {
			r.parts = strings.Split(r.pattern, "/")
			if r.status == 0 {
				r.status = http.StatusOK
			}
			table[len(r.parts)] = append(table[len(r.parts)], &r)
		}
	}
	return table
}

// noRoute is the answer to a path, or to a method of an older backend, that does
// not exist.
func noRoute(method string) *failure {
	return failed(http.StatusNotFound, "%s was not found. Please reference API documentation at https://rest-docs.synapse.org/rest/", method)
}

// find returns the route and the variables of its path: 404 when no route has the
// path, 405 when one has it for another method.
func (t routes) find(method, path string) (*route, map[string]string, *failure) {
	parts := strings.Split(path, "/")
	pathKnown := false
	for _, r := range t[len(parts)] {
		vars, ok := r.match(parts)
		if !ok {
			continue
		}
		if r.method == method || method == http.MethodHead && r.method == http.MethodGet {
			return r, vars, nil
		}
		pathKnown = true
	}
	if pathKnown {
		return nil, nil, failed(http.StatusMethodNotAllowed, "Request method '%s' not supported", method)
	}
	return nil, nil, noRoute(method)
}

func (r *route) match(parts []string) (map[string]string, bool) {
	var vars map[string]string
	for i, want := range r.parts {
		if !strings.HasPrefix(want, "{") {
			if parts[i] != want {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(parts[i])
		if err != nil || v == "" {
			return nil, false
		}
		if vars == nil {
			vars = map[string]string{}
		}
		vars[want[1:len(want)-1]] = v
	}
	return vars, true
}
