package toolrun_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/toolrun/toolruntest"
)

// bucket is a cache in memory.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	puts    int
	refuses error // what Put answers; nil: it takes all
}

func (b *bucket) Get(_ context.Context, key string, w io.Writer) error {
	b.mu.Lock()
	data, ok := b.objects[key]
	b.mu.Unlock()
	if !ok {
		return ops.Errorf(ops.NotFound, "there is no %s", key)
	}
	_, err := w.Write(data)
	return err
}

func (b *bucket) Put(_ context.Context, key string, r io.ReadSeeker, size int64) error {
	data, err := io.ReadAll(r)
	if err != nil || int64(len(data)) != size {
		return fmt.Errorf("%d bytes of %d: %w", len(data), size, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuses != nil {
		return b.refuses
	}
	if b.objects == nil {
		b.objects = map[string][]byte{}
	}
	b.puts++
	b.objects[key] = data
	return nil
}

const repository = "Sage-Bionetworks/Stand-In"

// served is a rig whose sources are on a server that asks for the token.
func served(t *testing.T, change ...func(*toolrun.Config)) (*rig, *toolruntest.Server, *bucket) {
	t.Helper()
	s, b := toolruntest.Serve(t), &bucket{}
	r := newRig(t, append([]func(*toolrun.Config){func(c *toolrun.Config) {
		c.Server, c.Cache = s.URL, b
		c.Token = func(context.Context) (string, error) { return toolruntest.Token, nil }
	}}, change...)...)
	return r, s, b
}

func (r *rig) resolved(ref string) toolrun.Source {
	r.Helper()
	src := toolrun.Source{Repository: repository, Ref: ref}
	commit, err := r.Commit(r.Context(), src)
	if err != nil {
		r.Fatal(err)
	}
	src.Commit = commit
	return src
}

func (r *rig) provide(src toolrun.Source, recipe toolrun.Recipe) *toolrun.Tool {
	r.Helper()
	tool, err := r.Provide(r.Context(), src, recipe, r.say)
	if err != nil {
		r.Fatalf("%v\n%s", err, r.said())
	}
	r.Cleanup(tool.Close)
	return tool
}

func TestCommit_Resolves(t *testing.T) {
	r, s, _ := served(t)
	first := s.Commit(repository, "develop", map[string]string{"a": "1"})
	second := s.Commit(repository, "release-544", map[string]string{"a": "2"})
	s.Tag(repository, "v1", first, false)
	s.Tag(repository, "v2", second, true)
	s.Tag(repository, "develop-too", first, true)
	s.Commit(repository, "develop-too", map[string]string{"a": "3"})
	for ref, want := range map[string]string{"develop": first, "release-544": second, "v1": first, "v2": second, first: first} {
		if got, err := r.Commit(t.Context(), toolrun.Source{Repository: repository, Ref: ref}); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", ref, got, err, want)
		}
	}
	for _, c := range []struct {
		repository, ref string
		code            ops.Code
		says            string
	}{
		{repository, "developp", ops.NotFound, `no branch or tag "developp"`},
		{repository, "develop-too", ops.Denied, "is a branch of"},
		{"Sage-Bionetworks/Other", "develop", ops.NotFound, "not found"},
		{repository, strings.Repeat("a", 200), ops.NotFound, "no branch or tag"},
		{repository, strings.Repeat("a", 201), ops.Invalid, "is not a branch"},
		{repository, "--upload-pack=id", ops.Invalid, "is not a branch"},
		{repository, "a..b", ops.Invalid, "is not a branch"},
		{repository, "refs/heads/*", ops.Invalid, "is not a branch"},
		{"--upload-pack=id/x", "develop", ops.Invalid, "not owner/name"},
		{"a/../b", "develop", ops.Invalid, "not owner/name"},
	} {
		_, err := r.Commit(t.Context(), toolrun.Source{Repository: c.repository, Ref: c.ref})
		if ops.CodeOf(err) != c.code || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.says)) {
			t.Errorf("%s at %s: %v, want %s and %q", c.repository, c.ref, err, c.code, c.says)
		}
	}
}

func TestCommit_WrongToken(t *testing.T) {
	r, s, _ := served(t, func(c *toolrun.Config) {
		c.Token = func(context.Context) (string, error) { return "ghp_of-somebody-else-012345678901234", nil }
	})
	s.Commit(repository, "develop", map[string]string{"a": "1"})
	_, err := r.Commit(t.Context(), toolrun.Source{Repository: repository, Ref: "develop"})
	if ops.CodeOf(err) != ops.Denied || !strings.Contains(err.Error(), "/synops/gh-pat") {
		t.Errorf("error %v", err)
	}
}

func TestNew_Servers(t *testing.T) {
	for server, ok := range map[string]bool{
		"https://github.com": true, "http://127.0.0.1:8080": true, "http://github.com": false, "https://token@github.com": false, "file:///etc": false, "ssh://git@github.com": false, "github.com": false,
	} {
		_, err := toolrun.New(toolrun.Config{Server: server})
		if (err == nil) != ok {
			t.Errorf("%s: %v", server, err)
		}
	}
}

// shell is a stand-in that needs a shell alone: what matters is the way to it.
var shell = toolrun.Recipe{
	Toolchain: [][]string{{"sh", "-c", "echo shell 1"}},
	Build:     [][]string{{"sh", "-ec", "mkdir -p target/deep; cp tool.sh target/tool.sh; ln -s ../tool.sh target/deep/link; ln -s /etc/passwd target/out; echo built"}},
	Products:  []string{"target"},
}

func TestProvide_FetchedBuiltAndKept(t *testing.T) {
	r, s, b := served(t)
	commit := s.Commit(repository, "develop", map[string]string{"tool.sh": "#!/bin/sh\necho one\n"})
	src := r.resolved("develop")
	tool := r.provide(src, shell)
	if tool.Cached || src.Commit != commit || b.puts != 2 {
		t.Errorf("%+v of %s after %d puts", tool, src.Commit, b.puts)
	}
	asked := s.Requests.Load()
	again := r.provide(src, shell)
	if !again.Cached || again.Digest != tool.Digest || s.Requests.Load() != asked {
		t.Errorf("the second is %+v after %d more requests", again, s.Requests.Load()-asked)
	}
	for _, t2 := range []*toolrun.Tool{tool, again} {
		var files []string
		_ = filepath.WalkDir(t2.Dir, func(path string, d os.DirEntry, err error) error {
			rel, _ := filepath.Rel(t2.Dir, path)
			files = append(files, rel)
			return err
		})
		if got := strings.Join(files, " "); got != ". target target/deep target/deep/link target/tool.sh" {
			t.Errorf("it has %s", got)
		}
		out, err := exec.Command(filepath.Join(t2.Dir, "target/tool.sh")).Output()
		if err != nil || string(out) != "one\n" {
			t.Errorf("it says %q, %v", out, err)
		}
	}
	contains(t, "what was said", r.said(), "fetching "+repository+" at "+commit, "| built", "kept the build")
}

// Another commit, command, or toolchain is another build.
func TestProvide_KeyedByAllThatMatters(t *testing.T) {
	r, s, _ := served(t)
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	src := r.resolved("develop")
	r.provide(src, shell)
	other := shell
	other.Toolchain = [][]string{{"sh", "-c", "echo shell 2"}}
	if r.provide(src, other).Cached {
		t.Error("another toolchain's build is taken")
	}
	other = shell
	other.Build = append(slices.Clone(shell.Build), []string{"true"})
	if r.provide(src, other).Cached {
		t.Error("another recipe's build is taken")
	}
	s.Commit(repository, "develop", map[string]string{"tool.sh": "two"})
	if r.provide(r.resolved("develop"), shell).Cached {
		t.Error("another commit's build is taken")
	}
	if !r.provide(src, shell).Cached {
		t.Error("the first is built anew")
	}
}

// What the cache gives is compared with its digest, and never used when it differs.
func TestProvide_SpoiledCacheIsNotUsed(t *testing.T) {
	spoil := map[string]func(b *bucket){
		"a changed byte": func(b *bucket) {
			for key, data := range b.objects {
				if strings.HasPrefix(key, "products/") {
					data[len(data)/2] ^= 1
				}
			}
		},
		"a longer product": func(b *bucket) {
			for key, data := range b.objects {
				if strings.HasPrefix(key, "products/") {
					b.objects[key] = append(data, make([]byte, 1<<20)...)
				}
			}
		},
		"a product that is gone": func(b *bucket) {
			maps.DeleteFunc(b.objects, func(k string, _ []byte) bool { return strings.HasPrefix(k, "products/") })
		},
		"a manifest that is none": func(b *bucket) {
			for key := range b.objects {
				if strings.HasPrefix(key, "builds/") {
					b.objects[key] = []byte("{")
				}
			}
		},
		"a manifest that names a path": func(b *bucket) {
			for key := range b.objects {
				if strings.HasPrefix(key, "builds/") {
					b.objects[key] = []byte(`{"product":"../../x","size":1}`)
				}
			}
		},
	}
	r, s, b := served(t)
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	src := r.resolved("develop")
	r.provide(src, shell)
	for name, f := range spoil {
		r.lines = nil
		f(b)
		if r.provide(src, shell).Cached {
			t.Errorf("%s was used", name)
		}
		contains(t, "what was said of "+name, r.said(), "is not used (", "it is built anew")
		if !r.provide(src, shell).Cached {
			t.Errorf("after %s the cache was not mended", name)
		}
	}
}

// An archive that leads out of its folder writes nothing there, even when its
// digest is as the manifest says.
func TestProvide_ArchiveStaysInItsFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	r, s, b := served(t)
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	src := r.resolved("develop")
	r.provide(src, shell)
	for name, entries := range map[string][]tar.Header{
		"dots":          {{Name: "../escaped", Typeflag: tar.TypeReg}},
		"absolute":      {{Name: outside, Typeflag: tar.TypeReg}},
		"through links": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)}, {Name: "l/outside", Typeflag: tar.TypeReg}},
		"a device":      {{Name: "d", Typeflag: tar.TypeChar}},
	} {
		t.Run(name, func(t *testing.T) {
			var archive bytes.Buffer
			zip := gzip.NewWriter(&archive)
			w := tar.NewWriter(zip)
			for _, h := range entries {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if w.Close() != nil || zip.Close() != nil {
				t.Fatal("not written")
			}
			d := ops.DigestOf(archive.Bytes())
			for key := range b.objects {
				if strings.HasPrefix(key, "builds/") {
					b.objects[key], _ = json.Marshal(map[string]any{"product": d, "size": archive.Len()})
				}
			}
			b.objects["products/"+d.Hex()+".tar.gz"] = archive.Bytes()
			if r.provide(src, shell).Cached {
				t.Error("it was used")
			}
			if _, err := os.Lstat(outside); err == nil {
				t.Error("something was written outside")
			}
		})
	}
}

func TestProvide_BuildFails(t *testing.T) {
	r, s, b := served(t)
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	src := r.resolved("develop")
	bad := shell
	bad.Build = [][]string{{"sh", "-c", "echo does not compile >&2; exit 1"}, {"touch", "not-reached"}}
	_, err := r.Provide(t.Context(), src, bad, r.say)
	if err == nil || !strings.Contains(err.Error(), "ended with exit code 1") || b.puts != 0 {
		t.Errorf("error %v after %d puts", err, b.puts)
	}
	contains(t, "what was said", r.said(), "| does not compile")
	bad = shell
	bad.Products = []string{"target/other.jar"}
	if _, err := r.Provide(t.Context(), src, bad, r.say); ops.CodeOf(err) != ops.NotFound || !strings.Contains(err.Error(), "made no target/other.jar") {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(r.config.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%d folders are left, %v", len(left), err)
	}
}

// A cache that takes nothing costs time only.
func TestProvide_CacheRefuses(t *testing.T) {
	r, s, b := served(t)
	b.refuses = ops.Errorf(ops.Denied, "not yours")
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	r.provide(r.resolved("develop"), shell)
	contains(t, "what was said", r.said(), "could not be kept (not yours)")
}

// The token is in reach of git alone: not in what a build is given, not in what it
// finds on disk, and gone from memory before it begins.
func TestProvide_TokenIsGitsAlone(t *testing.T) {
	r, s, _ := served(t)
	s.Commit(repository, "develop", map[string]string{"tool.sh": "one"})
	pattern := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(pattern, []byte(toolruntest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	look := shell
	look.Build = [][]string{
		{"sh", "-c", "env; cat .git/config; ls -A $HOME; git config --list; ls /tmp | grep synops-git- || true"},
		{"sh", "-c", "! grep -als -f " + pattern + " /proc/*/environ /proc/*/cmdline"},
		shell.Build[0],
	}
	r.provide(r.resolved("develop"), look)
	if strings.Contains(r.said(), toolruntest.Token) || strings.Contains(r.said(), redactedMark) {
		t.Errorf("the token is about:\n%s", r.said())
	}
	if s.Refused.Load() == 0 {
		t.Error("the server never had to ask for the token")
	}
}

// goTool is a stand-in whose build takes a while, as Maven's does.
var goTool = toolrun.Recipe{
	Toolchain: [][]string{{"go", "version"}},
	Build:     [][]string{{"go", "build", "-o", "target/tool", "."}},
	Products:  []string{"target/tool"},
}

const goSource = `package main

import ("fmt"; "os")

func main() { for _, a := range os.Args[1:] { fmt.Printf("%q\n", a) } }
`

// javaTool is compiled by this machine's JDK where it has one: javac and jar stand
// where Maven does, behind the same recipe.
var javaTool = toolrun.Recipe{
	Toolchain: [][]string{{"java", "-version"}},
	Build: [][]string{
		{"javac", "-d", "target/classes", "src/org/sagebionetworks/template/StandInMain.java"},
		{"jar", "--create", "--file", "target/tool.jar", "-C", "target/classes", "."},
	},
	Products: []string{"target/tool.jar"},
}

const javaSource = `package org.sagebionetworks.template;

public class StandInMain {
	public static void main(String[] args) {
		System.getProperties().stringPropertyNames().stream().filter(n -> n.startsWith("org.sagebionetworks.")).sorted()
			.forEach(n -> System.out.println(n + "=" + System.getProperty(n)));
	}
}
`

// TestProvide_RealTools builds, keeps, and runs a real program twice; the second
// start skips fetch and build. Where there is a JDK it is a Java one, and "just
// prove" builds both.
func TestProvide_RealTools(t *testing.T) {
	cache, err := exec.Command("go", "env", "GOCACHE").Output() // an empty one would have the standard library built anew
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]struct {
		recipe toolrun.Recipe
		files  map[string]string
		argv   []string
		says   string
	}{
		"go": {goTool, map[string]string{"main.go": goSource, "go.mod": "module stand.in/tool\n\ngo 1.26\n"}, []string{"target/tool", "-Dname=a b"}, `| "-Dname=a b"`},
	}
	if _, err := exec.LookPath("javac"); err == nil {
		if os.Getenv("SYNOPS_PROVE") == "" {
			clear(tools)
		}
		tools["java"] = struct {
			recipe toolrun.Recipe
			files  map[string]string
			argv   []string
			says   string
		}{javaTool, map[string]string{"src/org/sagebionetworks/template/StandInMain.java": javaSource},
			[]string{"java", "-Xms16m", "-Xmx64m", "-cp", "target/tool.jar", `-Dorg.sagebionetworks.stack=a "b" $(c)`, "org.sagebionetworks.template.StandInMain"},
			`| org.sagebionetworks.stack=a "b" $(c)`}
	}
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			r, s, _ := served(t, func(c *toolrun.Config) {
				c.Env = append(c.Env, "GOCACHE="+strings.TrimSpace(string(cache)), "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
			})
			s.Commit(repository, "develop", tool.files)
			for _, want := range []bool{false, true} {
				began := time.Now()
				src := r.resolved("develop")
				built := r.provide(src, tool.recipe)
				ready := time.Since(began)
				argv := slices.Clone(tool.argv)
				if !strings.HasPrefix(argv[0], "java") {
					argv[0] = filepath.Join(built.Dir, argv[0])
				}
				exit, err := r.run(t.Context(), toolrun.Program{Dir: built.Dir, Home: t.TempDir(), Argv: argv})
				if err != nil || !exit.OK() || built.Cached != want {
					t.Fatalf("%+v %+v %v\n%s", built, exit, err, r.said())
				}
				t.Logf("from the cache: %t; ready to run after %v, ran for %v", want, ready, exit.Took)
				contains(t, "what was said", r.said(), tool.says)
			}
			if name == "java" {
				missing := r.provide(r.resolved("develop"), tool.recipe)
				if m, err := missing.Missing("target/tool.jar", "org/sagebionetworks/template/StandInMain.class", "org/sagebionetworks/template/Other.class"); err != nil || m != "org/sagebionetworks/template/Other.class" {
					t.Errorf("missing %q, %v", m, err)
				}
			}
		})
	}
}
