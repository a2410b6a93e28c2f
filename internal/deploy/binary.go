package deploy

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Binary is a compiled synops and what it says of itself.
type Binary struct {
	Data         []byte
	Architecture string // one of Architectures
	Version      string // see VersionOf
	Commit       string // "" when it was built without the repository's history
	Modified     bool   // built from files that the commit does not hold
}

// program is the path of the command that a bundle holds.
const program = "github.com/Sage-Bionetworks/synapse-ops-core/cmd/synops"

// Architectures are what builds run on, as Go calls them.
func Architectures() []string { return []string{"arm64", "amd64"} }

// VersionOf is how a program names its version: its module's, else the commit it
// was built from, else that it is in development.
func VersionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// ReadBinary checks that data is our program, static and for the machines that
// builds run on. The error is Invalid. It is not executed.
func ReadBinary(data []byte) (*Binary, error) {
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return nil, notBundled("it is not a Go program.", err)
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b := &Binary{Data: data, Architecture: set["GOARCH"], Version: VersionOf(info), Commit: set["vcs.revision"], Modified: set["vcs.modified"] == "true"}
	switch {
	case info.Path != program:
		return nil, notBundled("it is "+ops.Quote(info.Path)+", not synops.", nil)
	case set["GOOS"] != "linux" || !slices.Contains(Architectures(), b.Architecture):
		return nil, notBundled(fmt.Sprintf("it is built for %s/%s; builds run on linux/arm64 or linux/amd64.", set["GOOS"], set["GOARCH"]), nil)
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, notBundled("it is not a Linux program.", err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, notBundled("it is not static, and the build's image may lack what it links to.", nil)
	}
	return b, nil
}

func notBundled(reason string, cause error) error {
	return &ops.Error{Code: ops.Invalid, Message: "This file cannot be bundled: " + reason, Hint: "Leave out --binary to build it here, or take a release's file.", Err: cause}
}

var releaseVersion = ops.Pattern(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)

// CheckReleased refuses a binary that is not a release, by the guard released: its
// version must be a tag such as v1.4.0 that matches tags (path.Match, "": any), and
// it must be built from exactly that commit.
func (b *Binary) CheckReleased(env ops.EnvironmentName, tags string) error {
	var reason string
	switch matches, err := path.Match(tags, b.Version); {
	case !releaseVersion().MatchString(b.Version):
		reason = fmt.Sprintf("its version is %s, which is no release's", ops.Quote(b.Version))
	case tags != "" && (err != nil || !matches):
		reason = fmt.Sprintf("its version %s does not match release_tags %s", b.Version, ops.Quote(tags))
	case b.Modified:
		reason = "it holds changes that " + b.Version + " does not"
	case b.Commit == "":
		reason = "it does not say which commit it was built from"
	default:
		return nil
	}
	return ops.Refuse("released", "Check out a release's tag (git switch --detach v1.4.0) and build there, or give a release's file with --binary.",
		"%s takes released bundles only, and %s.", env, reason)
}

// Older tells whether version a is older than b; ok is false where one of them is no
// version.
func Older(a, b string) (older, ok bool) {
	order, ok := compareVersions(a, b)
	return order < 0, ok
}

// compareVersions orders two versions as semantic versioning does, as far as ours
// go; ok is false where one of them is none.
func compareVersions(a, b string) (order int, ok bool) {
	x, y := versionParts(a), versionParts(b)
	if x == nil || y == nil {
		return 0, false
	}
	for i := range 3 {
		if x.number[i] != y.number[i] {
			return x.number[i] - y.number[i], true
		}
	}
	switch {
	case x.rest == y.rest:
		return 0, true
	case x.rest == "": // a release comes after what led to it
		return 1, true
	case y.rest == "":
		return -1, true
	}
	return strings.Compare(x.rest, y.rest), true
}

type version struct {
	number [3]int
	rest   string
}

var versionPattern = ops.Pattern(`^v([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$`)

func versionParts(s string) *version {
	m := versionPattern().FindStringSubmatch(s)
	if m == nil {
		return nil
	}
	v := &version{rest: m[4]}
	for i := range 3 {
		v.number[i], _ = strconv.Atoi(m[i+1])
	}
	return v
}
