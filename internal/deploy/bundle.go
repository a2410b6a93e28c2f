package deploy

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// A Bundle is what builds run: the program, the environments file and what was
// fixed when it was packed.
type Bundle struct {
	Binary *Binary
	Zip    []byte
	Digest ops.Digest // of Zip: the same for the same input
}

// Constants is constants.json of a bundle: what it was made for. It holds no time.
type Constants struct {
	Environment  ops.EnvironmentName `json:"environment"`
	Account      string              `json:"account"`
	Region       string              `json:"region"`
	Synops       string              `json:"synops"`
	Commit       string              `json:"commit"`
	Architecture string              `json:"architecture"`
}

// zipTime stands for every file's time: the earliest that a zip can tell.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Pack makes the bundle of a binary and an environments file. Equal input makes
// equal bytes.
func (d *Deployer) Pack(b *Binary, environments []byte) (*Bundle, error) {
	env := d.c.Environment
	constants, err := ops.CanonicalJSON(Constants{env.Name, env.Account, env.Region, b.Version, b.Commit, b.Architecture})
	if err != nil {
		return nil, fmt.Errorf("packing the bundle: %w", err)
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range []struct {
		name string
		mode fs.FileMode
		data []byte
	}{{"constants.json", 0o644, constants}, {"environments.yaml", 0o644, environments}, {"synops", 0o755, b.Data}} {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: zipTime}
		h.SetMode(f.mode)
		to, err := w.CreateHeader(h)
		if err == nil {
			_, err = to.Write(f.data)
		}
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing the bundle: %w", err)
	}
	return &Bundle{Binary: b, Zip: buf.Bytes(), Digest: ops.DigestOf(buf.Bytes())}, nil
}

// Current is current.json: which bundle runs, and the lowest version that may
// still start or go on with a run.
type Current struct {
	VersionID     string     `json:"version_id"` // of bundle.zip, which starts pin
	Digest        ops.Digest `json:"digest"`
	Commit        string     `json:"commit"`
	LowestAllowed string     `json:"lowest_allowed"`
	Synops        string     `json:"synops"`
	Built         time.Time  `json:"built"` // when it was published
}

// mostCurrent bounds current.json.
const mostCurrent = 64 << 10

// Current reads current.json, nil when there is none yet.
func (d *Deployer) Current(ctx context.Context, bucket string) (*Current, error) {
	return ReadCurrent(ctx, d.c.Clients.Objects, bucket)
}

// Allows refuses a version of synops below the lowest that may still start or go on
// with a run, and one that has no place in the order of versions.
func (c *Current) Allows(env ops.EnvironmentName, synops string) error {
	order, ok := compareVersions(synops, c.LowestAllowed)
	switch {
	case synops == c.LowestAllowed, ok && order >= 0:
		return nil
	case !ok && versionParts(c.LowestAllowed) == nil:
		return nil // it was set while there were no releases, and says nothing of any
	}
	return ops.Refuse("synops-lowest", fmt.Sprintf("Use synops %s or later. A run that was begun with less cannot go on: look at what it did and ask anew.", c.LowestAllowed),
		"synops %s is below %s, the lowest version that may still run in %s.", ops.Clip(synops), c.LowestAllowed, env)
}

// Pin returns the version of the bundle that a run asked for by this version of
// synops is pinned to. It is a Refusal where the bundle is of another version.
func (c *Current) Pin(env ops.EnvironmentName, synops string) (string, error) {
	if c.Synops != synops {
		return "", ops.Refuse("synops-version", fmt.Sprintf("Launcher and worker must be the same release. Ask with synops %s, or bring the bundle up to this one: synops deploy -e %s.", c.Synops, env),
			"this is synops %s and the bundle in %s is %s.", synops, env, ops.Clip(c.Synops))
	}
	return c.VersionID, nil
}

// ReadCurrent reads current.json, nil when there is none yet, for whoever starts
// runs or is one.
func ReadCurrent(ctx context.Context, objects Objects, bucket string) (*Current, error) {
	out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(CurrentKey)})
	if _, missing := errors.AsType[*types.NoSuchKey](err); missing || awsauth.CodeOfAPI(err) == "NoSuchKey" {
		return nil, nil
	}
	if err != nil {
		return nil, awsauth.Explain("reading "+CurrentKey+" of the bundle bucket", err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, mostCurrent+1))
	if err != nil {
		return nil, awsauth.Explain("reading "+CurrentKey+" of the bundle bucket", err)
	}
	var c Current
	if err := json.Unmarshal(data, &c); err != nil || len(data) > mostCurrent || c.VersionID == "" {
		return nil, &ops.Error{Code: ops.Conflict, Message: CurrentKey + " of the bundle bucket is not what a deployment writes.", Hint: "Look who wrote it; synops deploy writes it anew.", Err: err}
	}
	return &c, nil
}

// A Publication is what Publish would do, or did.
type Publication struct {
	Upload  bool // bundle.zip gets a new version
	Current bool // current.json is written
	Was, Is *Current
}

// PlanBundle tells what publishing a bundle would change. lowest is the lowest version
// to be allowed from then on; "": as it is, and for the first bundle its own. It is
// Invalid to allow no version that the bundle itself has.
func (d *Deployer) PlanBundle(ctx context.Context, bucket string, b *Bundle, lowest string) (*Publication, error) {
	was, err := d.Current(ctx, bucket)
	if ops.CodeOf(err) == ops.Conflict { // it is written anew
		d.c.Say("%s", message(err))
		was, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &Publication{Was: was, Is: &Current{Digest: b.Digest, Commit: b.Binary.Commit, Synops: b.Binary.Version, LowestAllowed: lowest}}
	if lowest == "" {
		p.Is.LowestAllowed = b.Binary.Version
		if was != nil {
			p.Is.LowestAllowed = was.LowestAllowed
		}
	}
	if order, ok := compareVersions(p.Is.LowestAllowed, p.Is.Synops); lowest != "" && (!ok || order > 0) {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("--lowest %s is not a version up to %s, which is the bundle's.", ops.Quote(lowest), p.Is.Synops), Hint: "Give the oldest version that may still run, such as v1.4.0."}
	}
	p.Upload = was == nil || was.Digest != b.Digest
	p.Current = p.Upload || was.LowestAllowed != p.Is.LowestAllowed
	if !p.Upload {
		p.Is.VersionID, p.Is.Built = was.VersionID, was.Built
	}
	return p, nil
}

// Lines tells a publication for people.
func (p *Publication) Lines() []string {
	is := fmt.Sprintf("%s, commit %s, %s", p.Is.Synops, orUnknown(p.Is.Commit), p.Is.Digest.Short())
	if !p.Current {
		return []string{"bundle: no change (" + is + ")"}
	}
	out := []string{"bundle: new, " + is}
	switch {
	case !p.Upload:
		out[0] = "bundle: the same, " + is
	case p.Was != nil:
		out = append(out, fmt.Sprintf("  replaces %s, commit %s, %s, of %s", p.Was.Synops, orUnknown(p.Was.Commit), p.Was.Digest.Short(), p.Was.Built.UTC().Format(time.DateTime+" MST")))
	}
	if order, ok := compareVersions(p.Is.Synops, p.Is.LowestAllowed); ok && order < 0 {
		out = append(out, "  its version is below the lowest allowed, "+p.Is.LowestAllowed+": it would refuse to run")
	}
	if p.Was != nil && p.Was.LowestAllowed != p.Is.LowestAllowed {
		out = append(out, fmt.Sprintf("  lowest version allowed: %s becomes %s", p.Was.LowestAllowed, p.Is.LowestAllowed))
	}
	if p.Upload && p.Was != nil {
		out = append(out, "  runs under way go on with the bundle they were started with")
	}
	return out
}

func orUnknown(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return commit[:min(12, len(commit))]
}

// Publish uploads the bundle and then says that it is the current one, in this
// order: a start between the two still finds the bundle it is told of. Nothing is
// written where nothing changes.
func (d *Deployer) Publish(ctx context.Context, bucket string, b *Bundle, p *Publication) error {
	if p.Upload {
		out, err := d.c.Clients.Objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(BundleKey), Body: bytes.NewReader(b.Zip),
			ContentType: aws.String("application/zip")})
		if err != nil {
			return awsauth.Explain("uploading "+BundleKey, err)
		}
		p.Is.VersionID, p.Is.Built = aws.ToString(out.VersionId), time.Now().UTC().Truncate(time.Second)
		if p.Is.VersionID == "" || p.Is.VersionID == "null" {
			return &ops.Error{Code: ops.Conflict, Message: "The bundle bucket keeps no versions, so no run could hold on to its bundle.", Hint: "An administrator brings it back: synops bootstrap -e " + string(d.c.Environment.Name)}
		}
		d.c.Say("%s is version %s", BundleKey, p.Is.VersionID)
	}
	if !p.Current {
		return nil
	}
	data, err := ops.CanonicalJSON(p.Is)
	if err != nil {
		return fmt.Errorf("writing %s: %w", CurrentKey, err)
	}
	_, err = d.c.Clients.Objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(CurrentKey), Body: bytes.NewReader(data), ContentType: aws.String("application/json")})
	return awsauth.Explain("writing "+CurrentKey, err)
}
