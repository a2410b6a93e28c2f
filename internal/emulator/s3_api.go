package emulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// s3Service speaks S3's REST protocol, path style: /BUCKET/KEY.
type s3Service struct{}

func (s3Service) dialect() *dialect { return s3Dialect }

// An s3Call is a call about one bucket.
type s3Call struct {
	*call
	name   string // of the operation
	bucket string
	key    string
	query  url.Values
	owner  *S3
	state  *bucketState // read and changed under the owner's lock
	config Bucket       // as it was when the call came
}

// An s3Operation is told from others by method, whether there is a key, and the
// query parameters it needs.
type s3Operation struct {
	name   string
	method string
	object bool
	needs  string   // query parameter, "" none
	takes  []string // further query parameters
	do     func(*s3Call, http.ResponseWriter) error
}

var s3Operations = []s3Operation{
	{"PutObject", http.MethodPut, true, "", nil, (*s3Call).putObject},
	{"GetObject", http.MethodGet, true, "", []string{"versionId"}, (*s3Call).getObject},
	{"HeadObject", http.MethodHead, true, "", []string{"versionId"}, (*s3Call).getObject},
	{"GetObjectTagging", http.MethodGet, true, "tagging", []string{"versionId"}, (*s3Call).getTagging},
	{"DeleteObject", http.MethodDelete, true, "", []string{"versionId"}, (*s3Call).deleteObject},
	{"ListObjectsV2", http.MethodGet, false, "list-type", []string{"prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type", "fetch-owner"}, (*s3Call).listObjects},
	{"ListObjectVersions", http.MethodGet, false, "versions", []string{"prefix", "max-keys", "key-marker", "version-id-marker", "encoding-type"}, (*s3Call).listVersions},
	{"HeadBucket", http.MethodHead, false, "", nil, (*s3Call).headBucket},
	{"GetBucketLocation", http.MethodGet, false, "location", nil, (*s3Call).getLocation},
	{"GetBucketVersioning", http.MethodGet, false, "versioning", nil, (*s3Call).getVersioning},
	{"GetBucketPolicy", http.MethodGet, false, "policy", nil, (*s3Call).getPolicy},
	{"GetPublicAccessBlock", http.MethodGet, false, "publicAccessBlock", nil, (*s3Call).getPublicAccessBlock},
	{"GetBucketEncryption", http.MethodGet, false, "encryption", nil, (*s3Call).getEncryption},
	{"GetBucketLifecycleConfiguration", http.MethodGet, false, "lifecycle", nil, (*s3Call).getLifecycle},
}

func (s s3Service) serve(c *call, w http.ResponseWriter) {
	if err := s.perform(c, w); err != nil {
		if c.http.Method == http.MethodHead { // an answer to HEAD has no body, and so no code
			f, _ := asFault(err)
			w.WriteHeader(f.status())
			return
		}
		c.refuse(w, err)
	}
}

func (s s3Service) perform(c *call, w http.ResponseWriter) error {
	body, err := unchunk(c.http, c.body)
	if err != nil {
		return err
	}
	c.body = body
	one := &s3Call{call: c, query: c.http.URL.Query()}
	one.query.Del("x-id") // names the operation once more
	one.bucket, one.key, _ = strings.Cut(strings.TrimPrefix(c.http.URL.Path, "/"), "/")
	op, err := one.operation()
	if err != nil {
		return err
	}
	one.name = op.name
	if one.owner, one.state = c.cloud.findBucket(one.bucket); one.state == nil {
		return noSuchBucket(one.bucket)
	}
	one.config, _ = one.owner.Bucket(one.bucket)
	if c.account != nil && c.cloud.throttled(c.account, "s3", op.name) {
		f := s3Dialect.throttled
		return &f
	}
	return op.do(one, w)
}

// operation finds the operation and refuses parameters it does not take.
func (c *s3Call) operation() (*s3Operation, error) {
	i := slices.IndexFunc(s3Operations, func(o s3Operation) bool {
		if o.method != c.http.Method || o.object != (c.key != "") || o.needs != "" && !c.query.Has(o.needs) {
			return false
		}
		for name := range c.query {
			if name != o.needs && !slices.Contains(o.takes, name) {
				return false
			}
		}
		return true
	})
	if i < 0 {
		return nil, notModeled("S3", c.http.Method+" "+c.http.URL.RequestURI())
	}
	return &s3Operations[i], c.checkHeaders(s3Operations[i].name)
}

// checkHeaders refuses headers that ask for something that is not modeled.
func (c *s3Call) checkHeaders(op string) error {
	known := []string{
		"x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent", "x-amz-checksum-mode",
		"x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-decoded-content-length",
		"x-amz-server-side-encryption", "x-amz-expected-bucket-owner", "x-amz-tagging",
	}
	for name := range c.http.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !strings.HasPrefix(name, "x-amz-meta-") && !slices.Contains(known, name) {
			return notModeled(op, "header "+name)
		}
	}
	return nil
}

// may asks for permission: about the object when key is not empty.
func (c *s3Call) may(action, key string, keys map[string][]string) error {
	arn := "arn:aws:s3:::" + c.bucket
	if key != "" {
		arn += "/" + key
	}
	c.owner.mu.Lock()
	doc := c.state.policy
	c.owner.mu.Unlock()
	if want := c.http.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != c.owner.account.ID {
		f := s3Dialect.denied
		return &f
	}
	return c.allow(question{action: action, resource: arn, keys: keys, owner: c.owner.account, policies: []*policy.Document{doc}})
}

func (c *s3Call) headBucket(w http.ResponseWriter) error {
	if err := c.may("s3:ListBucket", "", nil); err != nil {
		return err
	}
	w.Header().Set("X-Amz-Bucket-Region", c.owner.account.Region)
	w.WriteHeader(http.StatusOK)
	return nil
}

// settings returns the bucket's configuration if the caller may read that part.
func (c *s3Call) settings(action string) (Bucket, error) {
	if err := c.may(action, "", nil); err != nil {
		return Bucket{}, err
	}
	return c.config, nil
}

func (c *s3Call) getLocation(w http.ResponseWriter) error {
	_, err := c.settings("s3:GetBucketLocation")
	if err != nil {
		return err
	}
	region := c.owner.account.Region
	if region == "us-east-1" { // whose name here is no name, for history's sake
		region = ""
	}
	writeXML(w, http.StatusOK, "LocationConstraint", region)
	return nil
}

func (c *s3Call) getVersioning(w http.ResponseWriter) error {
	b, err := c.settings("s3:GetBucketVersioning")
	if err != nil {
		return err
	}
	var out struct {
		Status string `xml:",omitempty"`
	}
	if b.Versioned {
		out.Status = "Enabled"
	}
	writeXML(w, http.StatusOK, "VersioningConfiguration", out)
	return nil
}

func (c *s3Call) getPolicy(w http.ResponseWriter) error {
	b, err := c.settings("s3:GetBucketPolicy")
	if err != nil {
		return err
	}
	if b.Policy == "" {
		return &Fault{"NoSuchBucketPolicy", "The bucket policy does not exist", http.StatusNotFound}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(b.Policy))
	return nil
}

func (c *s3Call) getPublicAccessBlock(w http.ResponseWriter) error {
	b, err := c.settings("s3:GetBucketPublicAccessBlock")
	if err != nil {
		return err
	}
	if !b.BlockPublicACLs && !b.IgnorePublicACLs && !b.BlockPublicPolicy && !b.RestrictPublicBuckets {
		return &Fault{"NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", http.StatusNotFound}
	}
	writeXML(w, http.StatusOK, "PublicAccessBlockConfiguration", struct {
		BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
	}{b.BlockPublicACLs, b.IgnorePublicACLs, b.BlockPublicPolicy, b.RestrictPublicBuckets})
	return nil
}

func (c *s3Call) getEncryption(w http.ResponseWriter) error {
	b, err := c.settings("s3:GetEncryptionConfiguration")
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, "ServerSideEncryptionConfiguration", struct {
		Algorithm string `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
	}{b.Encryption})
	return nil
}

func (c *s3Call) getLifecycle(w http.ResponseWriter) error {
	b, err := c.settings("s3:GetLifecycleConfiguration")
	if err != nil {
		return err
	}
	if b.Lifecycle == "" {
		return &Fault{"NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", http.StatusNotFound}
	}
	return notModeled(c.name, "what a stored configuration looks like over the API")
}
