package emulator

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/policy"
)

// S3 holds an account's buckets. Bucket names are one space over all accounts.
type S3 struct {
	account *Account

	mu      sync.Mutex
	buckets map[string]*bucketState
}

// A Bucket is a bucket as it is configured.
type Bucket struct {
	Name       string
	Versioned  bool
	Policy     string // JSON; "" none
	Encryption string // algorithm; "": AES256, which S3 applies to all
	Lifecycle  string // as written; stored and not acted on
	// The four switches of the public access block.
	BlockPublicACLs, IgnorePublicACLs, BlockPublicPolicy, RestrictPublicBuckets bool

	Tags    map[string]string
	Created time.Time
}

type bucketState struct {
	Bucket
	policy  *policy.Document
	objects map[string][]*objectVersion // by key, newest last
	writing map[string]bool             // keys with a conditional write in the making
}

// An objectVersion is one version of an object, or a delete marker. It is never changed.
type objectVersion struct {
	key, id     string
	body        []byte
	etag        string // in quotes
	contentType string
	meta        map[string]string // user metadata, names in lower case
	crc32       string
	tags        map[string]string
	modified    time.Time
	deleted     bool
}

func newS3(a *Account) *S3 { return &S3{account: a, buckets: map[string]*bucketState{}} }

// findBucket returns the bucket and its account.
func (c *Cloud) findBucket(name string) (*S3, *bucketState) {
	for _, a := range c.accounts {
		a.S3.mu.Lock()
		b := a.S3.buckets[name]
		a.S3.mu.Unlock()
		if b != nil {
			return a.S3, b
		}
	}
	return nil, nil
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CreateBucket stores a new bucket.
func (s *S3) CreateBucket(b Bucket) error {
	if !bucketName.MatchString(b.Name) {
		return fault("InvalidBucketName", "The specified bucket %q is not valid.", b.Name)
	}
	if _, taken := s.account.cloud.findBucket(b.Name); taken != nil {
		return &Fault{"BucketAlreadyExists", "The requested bucket name is not available.", http.StatusConflict}
	}
	b.Created = s.account.cloud.now()
	state := &bucketState{objects: map[string][]*objectVersion{}, writing: map[string]bool{}}
	if err := state.configure(b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[b.Name] = state
	return nil
}

// UpdateBucket changes a bucket's configuration; its name stays.
func (s *S3) UpdateBucket(name string, change func(*Bucket)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.buckets[name]
	if state == nil {
		return noSuchBucket(name)
	}
	b := state.Bucket
	b.Tags = maps.Clone(b.Tags)
	change(&b)
	b.Name, b.Created = state.Name, state.Created
	if state.Versioned && !b.Versioned {
		return &Fault{"IllegalVersioningConfigurationException", "Versioning can be suspended, not removed.", http.StatusBadRequest}
	}
	return state.configure(b)
}

func (b *bucketState) configure(c Bucket) error {
	if c.Encryption == "" {
		c.Encryption = "AES256"
	}
	var doc *policy.Document
	if c.Policy != "" {
		var err error
		if doc, err = policy.Parse([]byte(c.Policy)); err != nil {
			return fault("MalformedPolicy", "%v", err)
		}
		if c.BlockPublicPolicy && isPublic(doc) {
			return &Fault{"AccessDenied", "The bucket policy grants public access, which the public access block of this bucket refuses.", http.StatusForbidden}
		}
	}
	b.Bucket, b.policy = c, doc
	return nil
}

// isPublic tells whether a policy gives something to anybody at all.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func isPublic(d *policy.Document) bool {
	return slices.ContainsFunc(d.Statements, func(s policy.Statement) bool {
		return !s.Deny && len(s.Conditions) == 0 && slices.ContainsFunc(s.Principals, func(p policy.Principal) bool { return p.Value == "*" })
	})
}

// DeleteBucket removes a bucket that holds nothing, not even old versions.
func (s *S3) DeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state := s.buckets[name]; {
	case state == nil:
		return noSuchBucket(name)
	case len(state.objects) > 0:
		return &Fault{"BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.", http.StatusConflict}
	}
	delete(s.buckets, name)
	return nil
}

// Bucket returns a bucket's configuration.
func (s *S3) Bucket(name string) (Bucket, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.buckets[name]
	if state == nil {
		return Bucket{}, false
	}
	b := state.Bucket
	b.Tags = maps.Clone(b.Tags)
	return b, true
}

// Buckets returns the names of all buckets, sorted.
func (s *S3) Buckets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.buckets))
}

func noSuchBucket(name string) *Fault {
	return &Fault{"NoSuchBucket", fmt.Sprintf("The specified bucket %q does not exist", name), http.StatusNotFound}
}

func noSuchKey(key string) *Fault {
	return &Fault{"NoSuchKey", fmt.Sprintf("The specified key %q does not exist.", key), http.StatusNotFound}
}

// Put stores an object and returns its version.
func (s *S3) Put(bucket, key string, body []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.buckets[bucket]
	if state == nil {
		return "", noSuchBucket(bucket)
	}
	v := &objectVersion{key: key, body: slices.Clone(body)}
	s.add(state, v)
	return v.id, nil
}

// Get returns an object's body: of the version named, or of the newest for "".
func (s *S3) Get(bucket, key, version string) ([]byte, error) {
	v, err := s.version(bucket, key, version)
	if err != nil {
		return nil, err
	}
	return slices.Clone(v.body), nil
}

// Version returns the newest version's ID of an object; "" when there is none.
func (s *S3) Version(bucket, key string) string {
	v, err := s.version(bucket, key, "")
	if err != nil {
		return ""
	}
	return v.id
}

// Keys returns the keys that begin with prefix, sorted.
func (s *S3) Keys(bucket, prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[bucket] == nil {
		return nil
	}
	return s.buckets[bucket].keys(prefix)
}

func (b *bucketState) keys(prefix string) []string {
	var out []string
	for key, versions := range b.objects {
		if strings.HasPrefix(key, prefix) && !versions[len(versions)-1].deleted {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (s *S3) version(bucket, key, id string) (*objectVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.buckets[bucket]
	if state == nil {
		return nil, noSuchBucket(bucket)
	}
	versions := state.objects[key]
	if id == "" {
		if len(versions) == 0 || versions[len(versions)-1].deleted {
			return nil, noSuchKey(key)
		}
		return versions[len(versions)-1], nil
	}
	i := slices.IndexFunc(versions, func(v *objectVersion) bool { return v.id == id })
	if i < 0 {
		return nil, &Fault{"NoSuchVersion", "The specified version does not exist.", http.StatusNotFound}
	}
	return versions[i], nil
}

// add stores a version as the newest. It is called under the lock.
func (s *S3) add(state *bucketState, v *objectVersion) {
	sum := md5.Sum(v.body)
	v.etag, v.modified = `"`+hex.EncodeToString(sum[:])+`"`, s.account.cloud.now()
	if !state.Versioned {
		v.id = "null"
		state.objects[v.key] = []*objectVersion{v}
		return
	}
	v.id = versionID()
	state.objects[v.key] = append(state.objects[v.key], v)
}

func versionID() string { return strings.ReplaceAll(requestID(), "-", "") }

// remove deletes an object: in a versioned bucket by a marker, unless a version is
// named. It returns the version's ID and whether that is or was a marker.
func (s *S3) remove(bucket, key, id string) (version string, marker bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.buckets[bucket]
	if state == nil {
		return "", false, noSuchBucket(bucket)
	}
	if id == "" && state.Versioned {
		m := &objectVersion{key: key, id: versionID(), deleted: true, modified: s.account.cloud.now()}
		state.objects[key] = append(state.objects[key], m)
		return m.id, true, nil
	}
	kept := slices.DeleteFunc(slices.Clone(state.objects[key]), func(v *objectVersion) bool {
		if v.id == id || id == "" {
			version, marker = v.id, v.deleted
			return true
		}
		return false
	})
	if state.objects[key] = kept; len(kept) == 0 {
		delete(state.objects, key)
	}
	return version, marker, nil
}
