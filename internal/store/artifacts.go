package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/url"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// CreateArtifact keeps a file of the run: what write writes, in bounded memory.
// Name and content of one that is there return it; another content is a Conflict.
// The name may hold "/".
func (s *Store) CreateArtifact(ctx context.Context, ref ops.RunRef, name string, write func(io.Writer) error) (ops.Artifact, error) {
	key := artifactKey(ref, name)
	sum := measure{hash: sha256.New()}
	wrote, writeErr := false, error(nil)
	err := s.driver.CreateFrom(ctx, key, func(w io.Writer) error {
		wrote = true
		writeErr = write(io.MultiWriter(w, &sum))
		return writeErr
	})
	if writeErr == nil && ops.CodeOf(err) == ops.Conflict {
		if !wrote { // the driver saw that the key is taken before it asked
			if err := write(&sum); err != nil {
				return ops.Artifact{}, fmt.Errorf("writing artifact %s: %w", ops.Quote(name), err)
			}
		}
		var there measure
		if there, err = s.measure(ctx, key); err == nil && there.digest() != sum.digest() {
			err = ops.Errorf(ops.Conflict, "the run has an artifact %s of another content.", ops.Quote(name))
		}
	}
	if err != nil {
		return ops.Artifact{}, err
	}
	return ops.Artifact{Name: name, Path: s.artifactURL(key), Size: sum.size, Digest: sum.digest()}, nil
}

// artifactURL joins the store's URL and a key, whose parts may need encoding.
func (s *Store) artifactURL(key string) string {
	return strings.TrimSuffix(s.URL(), "/") + "/" + (&url.URL{Path: key}).EscapedPath()
}

// OpenArtifact returns an artifact to read; NotFound when absent.
func (s *Store) OpenArtifact(ctx context.Context, ref ops.RunRef, name string) (io.ReadCloser, error) {
	return s.driver.Open(ctx, artifactKey(ref, name))
}

// Artifacts returns the names of a run's artifacts.
func (s *Store) Artifacts(ctx context.Context, ref ops.RunRef) ([]string, error) {
	return s.artifactsIn(ctx, runKey(ref, "artifacts"), "")
}

func (s *Store) artifactsIn(ctx context.Context, folder, prefix string) ([]string, error) {
	names, err := s.driver.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		sub, isFolder := strings.CutSuffix(name, "/")
		if !isFolder {
			out = append(out, prefix+name)
			continue
		}
		inner, err := s.artifactsIn(ctx, folder+"/"+sub, prefix+name)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// measure takes digest and size of what is written to it.
type measure struct {
	hash hash.Hash
	size int64
}

func (m *measure) Write(p []byte) (int, error) {
	m.size += int64(len(p))
	return m.hash.Write(p)
}

func (m *measure) digest() ops.Digest {
	return ops.Digest("sha256:" + hex.EncodeToString(m.hash.Sum(nil)))
}

// measure reads a document for its digest and size.
func (s *Store) measure(ctx context.Context, key string) (measure, error) {
	r, err := s.driver.Open(ctx, key)
	if err != nil {
		return measure{}, err
	}
	defer r.Close()
	m := measure{hash: sha256.New()}
	if _, err := io.Copy(&m, r); err != nil {
		return measure{}, fmt.Errorf("reading document %s: %w", ops.Quote(key), err)
	}
	return m, nil
}
