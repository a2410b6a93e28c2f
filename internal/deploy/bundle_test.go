package deploy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
)

// bucket is a versioned bucket; puts lists what was written, in order.
type bucket struct {
	deploy.Objects
	held        map[string][]byte
	puts        []string
	unversioned bool
	fail        string // key whose put fails
}

func (b *bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	data, ok := b.held[aws.ToString(in.Key)]
	if !ok {
		return nil, &types.NoSuchKey{}
	}
	version := 0
	for i, put := range b.puts {
		if put == aws.ToString(in.Key) {
			version = i + 1
		}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(data)), VersionId: aws.String(fmt.Sprint("v", version))}, nil
}

func (b *bucket) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	key := aws.ToString(in.Key)
	if key == b.fail {
		return nil, answer("AccessDenied", "no")
	}
	data, err := io.ReadAll(in.Body)
	if b.held == nil {
		b.held = map[string][]byte{}
	}
	b.held[key] = data
	b.puts = append(b.puts, key)
	out := &s3.PutObjectOutput{}
	if !b.unversioned {
		out.VersionId = aws.String(fmt.Sprint("v", len(b.puts)))
	}
	return out, err
}

func binary(version string) *deploy.Binary {
	return &deploy.Binary{Data: []byte("program " + version), Architecture: "arm64", Version: version, Commit: "0123456789abcdef"}
}

func TestPack_Stable(t *testing.T) {
	b := newBench(t, deploy.Clients{})
	pack := func(bin *deploy.Binary, env string) *deploy.Bundle {
		p, err := b.Pack(bin, []byte(env))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := pack(binary("v1.0.0"), "environments: {}")
	if again := pack(binary("v1.0.0"), "environments: {}"); again.Digest != first.Digest {
		t.Errorf("equal input makes %s and %s", first.Digest, again.Digest)
	}
	for name, other := range map[string]*deploy.Bundle{"binary": pack(binary("v1.0.1"), "environments: {}"), "environments": pack(binary("v1.0.0"), "environments: {x: 1}")} {
		if other.Digest == first.Digest {
			t.Errorf("another %s makes the same digest", name)
		}
	}
	z, err := zip.NewReader(bytes.NewReader(first.Zip), int64(len(first.Zip)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.File {
		got = append(got, fmt.Sprintf("%s %v", f.Name, f.Mode()))
	}
	if want := "constants.json -rw-r--r-- environments.yaml -rw-r--r-- synops -rwxr-xr-x"; strings.Join(got, " ") != want {
		t.Errorf("the bundle holds %q, want %q", got, want)
	}
}

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &bucket{}
		b := newBench(t, deploy.Clients{Objects: s})
		publish := func(version, lowest string) []string {
			bundle, err := b.Pack(binary(version), nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := b.PlanBundle(t.Context(), "bundles", bundle, lowest)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Publish(t.Context(), "bundles", bundle, p); err != nil {
				t.Fatal(err)
			}
			return p.Lines()
		}
		var told []string
		for _, step := range [][2]string{{"v1.0.0", ""}, {"v1.0.0", ""}, {"v1.1.0", ""}, {"v1.1.0", "v1.1.0"}, {"v1.0.0", ""}} {
			told = append(told, publish(step[0], step[1])...)
		}
		golden(t, "bundle.txt", strings.Join(told, "\n")+"\n")
		if want := "bundle.zip current.json bundle.zip current.json current.json bundle.zip current.json"; strings.Join(s.puts, " ") != want {
			t.Errorf("wrote %q, want %q", s.puts, want)
		}
		c, err := b.Current(t.Context(), "bundles")
		if err != nil || c.VersionID != "v6" || c.LowestAllowed != "v1.1.0" || c.Synops != "v1.0.0" || c.Commit != "0123456789abcdef" || c.Built.IsZero() {
			t.Errorf("current is %+v, %v", c, err)
		}
	})
}

func TestPublish_Refused(t *testing.T) {
	s := &bucket{unversioned: true}
	b := newBench(t, deploy.Clients{Objects: s})
	bundle, err := b.Pack(binary("v1.0.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, lowest := range []string{"v1.0.1", "newest", "v2"} {
		_, err := b.PlanBundle(t.Context(), "bundles", bundle, lowest)
		wantError(t, err, ops.Invalid, "--lowest")
	}
	p, err := b.PlanBundle(t.Context(), "bundles", bundle, "")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Publish(t.Context(), "bundles", bundle, p), ops.Conflict, "keeps no versions")
	if s.held["current.json"] != nil {
		t.Error("a bundle without a version became the current one")
	}
	s.held["current.json"] = []byte("<html>")
	_, err = b.Current(t.Context(), "bundles")
	wantError(t, err, ops.Conflict, "not what a deployment writes")

	s = &bucket{fail: "bundle.zip"}
	b = newBench(t, deploy.Clients{Objects: s})
	wantError(t, b.Publish(t.Context(), "bundles", bundle, p), ops.Denied, "uploading bundle.zip")
	if len(s.puts) != 0 {
		t.Errorf("wrote %q although the bundle could not be", s.puts)
	}
}

// TestReadBinary builds programs that only look like ours.
func TestReadBinary(t *testing.T) {
	dir := t.TempDir()
	run := func(env []string, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), append([]string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"}, env...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	for name, text := range map[string]string{"go.mod": "module github.com/Sage-Bionetworks/synapse-ops-core\n\ngo 1.26\n", "cmd/synops/main.go": "package main\n\nfunc main() {}\n", "cmd/other/main.go": "package main\n\nfunc main() {}\n"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	build := func(pkg string, env ...string) []byte {
		t.Helper()
		run(env, "go", "build", "-buildvcs=true", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	run(nil, "git", "init", "-q", "-b", "main")
	run(nil, "git", "add", ".")
	run(nil, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "one")
	run(nil, "git", "tag", "v1.4.0")

	b, err := deploy.ReadBinary(build("./cmd/synops", "GOOS=linux", "GOARCH=amd64"))
	if err != nil || b.Version != "v1.4.0" || len(b.Commit) != 40 || b.Modified || b.Architecture != "amd64" {
		t.Fatalf("read %+v, %v", b, err)
	}
	if err := b.CheckReleased("prod", ""); err != nil {
		t.Errorf("a release is refused: %v", err)
	}
	if r := ops.Refused(b.CheckReleased("prod", "v2.*")); r == nil || !strings.Contains(r.Reason, "does not match release_tags") {
		t.Errorf("a tag that is none of ours: %v", r)
	}
	_, err = deploy.ReadBinary(build("./cmd/other", "GOOS=linux", "GOARCH=amd64"))
	wantError(t, err, ops.Invalid, "not synops")
	_, err = deploy.ReadBinary([]byte("#!/bin/sh\n"))
	wantError(t, err, ops.Invalid, "not a Go program")

	if err := os.WriteFile(filepath.Join(dir, "cmd/synops/main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err = deploy.ReadBinary(build("./cmd/synops", "GOOS=linux", "GOARCH=amd64"))
	if err != nil || !b.Modified {
		t.Fatalf("read %+v, %v", b, err)
	}
	if r := ops.Refused(b.CheckReleased("prod", "")); r == nil || r.Guard != "released" {
		t.Errorf("a modified tree: %v", r)
	}
}

func TestCheckReleased(t *testing.T) {
	for version, released := range map[string]bool{"v1.4.0": true, "v0.0.1": true, "v1.4.0-rc.1": false, "v1.4.1-0.20261123091500-0123456789ab": false, "(devel)": false, "": false, "1.4.0": false, "v1.4": false} {
		b := binary(version)
		if err := b.CheckReleased("prod", ""); (err == nil) != released {
			t.Errorf("%q: %v", version, err)
		}
	}
	for version, released := range map[string]bool{"v1.4.0": true, "v2.0.0": false} {
		if err := binary(version).CheckReleased("prod", "v1.*"); (err == nil) != released {
			t.Errorf("%q, where v1.* are releases: %v", version, err)
		}
	}
	b := binary("v1.4.0")
	b.Commit = ""
	if b.CheckReleased("prod", "") == nil {
		t.Error("a binary without a commit passes for a release")
	}
}

// TestCurrent_Allows: what is below the lowest version, or cannot be compared with
// it, may not run; where none was a version, any may.
func TestCurrent_Allows(t *testing.T) {
	for _, c := range []struct {
		synops, lowest string
		want           bool
	}{
		{"v1.4.0", "v1.4.0", true}, {"v1.10.0", "v1.9.9", true}, {"v1.3.9", "v1.4.0", false}, {"v1.4.0-rc.1", "v1.4.0", false},
		{"v1.4.1-0.20261123141502-3f9c3f9c3f9c", "v1.4.0", true}, {"v1.4.1-0.20261123141502-3f9c3f9c3f9c+dirty", "v1.4.0", true},
		{"devel-3f9c3f9c3f9c", "v1.4.0", false}, {"", "v1.4.0", false}, // nobody can tell
		{"devel-3f9c3f9c3f9c", "devel-000000000000", true}, {"v1.4.0", "devel", true},
	} {
		err := (&deploy.Current{LowestAllowed: c.lowest}).Allows("dev", c.synops)
		if r := ops.Refused(err); (err == nil) != c.want || err != nil && (r == nil || r.Guard != "synops-lowest" || !strings.Contains(r.Remedy, c.lowest)) {
			t.Errorf("%q with the lowest %q: %v", c.synops, c.lowest, err)
		}
	}
}
