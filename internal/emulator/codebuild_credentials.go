package emulator

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"
)

// credentialsPath is where builds ask for credentials, followed by the build's UUID.
const credentialsPath = "/_cloud/builds/"

// An address is a URL that is known only once the cloud is served.
type address struct {
	mu  sync.RWMutex
	url string
}

// SetURL tells where this cloud is served, such as http://127.0.0.1:8080: builds
// are handed it. The SDK asks for container credentials over plain http only on
// loopback, 169.254.170.2 or 169.254.170.23.
func (c *Cloud) SetURL(url string) {
	c.served.mu.Lock()
	defer c.served.mu.Unlock()
	c.served.url = strings.TrimSuffix(url, "/")
}

func (c *Cloud) url() string {
	c.served.mu.RLock()
	defer c.served.mu.RUnlock()
	return c.served.url
}

// serveBuildCredentials answers as the container credentials endpoint does: fresh
// credentials of the project's role, for the build that shows its token, while it
// goes on. https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func (c *Cloud) serveBuildCredentials(w http.ResponseWriter, r *http.Request) {
	b := c.buildByUUID(strings.TrimPrefix(r.URL.Path, credentialsPath))
	if b == nil || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(b.token)) != 1 {
		http.Error(w, "no such build, or not its token", http.StatusForbidden)
		return
	}
	b.mu.Lock()
	role, goes := b.role, b.status == buildInProgress
	b.mu.Unlock()
	if role == nil || !goes {
		http.Error(w, "the build has no credentials now", http.StatusNotFound)
		return
	}
	who := *role
	who.Expires = c.now().Add(b.behaves.CredentialLife)
	k := c.keys.issue(&who)
	answerJSON(w, map[string]any{
		"RoleArn": b.project.ServiceRole, "AccessKeyId": k.AccessKeyID, "SecretAccessKey": k.SecretAccessKey,
		"Token": k.SessionToken, "Expiration": k.Expiration.UTC().Format(time.RFC3339),
	})
}

func (c *Cloud) buildByUUID(uuid string) *build {
	for _, a := range c.accounts {
		if b := a.CodeBuild.byUUID(uuid); b != nil {
			return b
		}
	}
	return nil
}

func (s *CodeBuild) byUUID(uuid string) *build {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.builds {
		if b.uuid == uuid {
			return b
		}
	}
	return nil
}
