package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// create keeps v as a new document; Conflict when the key is taken.
func (s *Store) create(ctx context.Context, key string, v any) error {
	data, err := ops.CanonicalJSON(v)
	if err != nil {
		return fmt.Errorf("encoding document %s: %w", ops.Quote(key), err)
	}
	return s.driver.Create(ctx, key, data)
}

// createAgain is create for documents that may be asked for twice: one of the same
// content that is there already is as good as a new one.
func (s *Store) createAgain(ctx context.Context, key string, v any) error {
	data, err := ops.CanonicalJSON(v)
	if err != nil {
		return fmt.Errorf("encoding document %s: %w", ops.Quote(key), err)
	}
	err = s.driver.Create(ctx, key, data)
	if ops.CodeOf(err) != ops.Conflict {
		return err
	}
	there, getErr := s.driver.Get(ctx, key)
	if getErr != nil {
		return getErr
	}
	if !bytes.Equal(there, data) {
		return err
	}
	return nil
}

// read returns the document under key, or nil when it is absent.
func read[T any](ctx context.Context, s *Store, key string) (*T, error) {
	data, err := s.driver.Get(ctx, key)
	if ops.CodeOf(err) == ops.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decoded[T](key, data)
}

// mustRead is read for a document that was seen, so that absent is an error.
func mustRead[T any](ctx context.Context, s *Store, key string) (*T, error) {
	data, err := s.driver.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return decoded[T](key, data)
}

func decoded[T any](key string, data []byte) (*T, error) {
	v := new(T)
	if err := decode(key, data, v); err != nil {
		return nil, err
	}
	return v, nil
}

// readNumbered returns a folder's documents of one kind in ascending order. Names
// of another suffix are passed over.
func readNumbered[T any](ctx context.Context, s *Store, folder, suffix string) ([]T, error) {
	names, err := s.driver.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	var out []T
	for _, name := range names { // sorted by name, and so by number
		if _, ok := numberOf(name, suffix, 4); !ok {
			continue
		}
		v, err := mustRead[T](ctx, s, folder+"/"+name)
		if err != nil {
			return nil, err
		}
		out = append(out, *v)
	}
	return out, nil
}

// decode is strict: what this release does not understand in full is a Conflict.
// The reason is left out of the message, since it may quote the document.
func decode(key string, data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return unreadable(key)
	}
	if _, err := dec.Token(); err != io.EOF {
		return unreadable(key)
	}
	return nil
}

// number refuses a number that its place in a key cannot hold: names would no
// longer sort by it.
func number(what string, n, most int) error {
	if n < 1 || n > most {
		return ops.Errorf(ops.Invalid, "%s %d is not from 1 to %d.", what, n, most)
	}
	return nil
}

func unreadable(key string) error {
	return &ops.Error{
		Code:    ops.Conflict,
		Message: "the document " + ops.Quote(key) + " is not one that this release wrote.",
		Hint:    "It was changed, or a newer synops wrote it: use that one.",
	}
}

func notThis(key, what string) error {
	return &ops.Error{
		Code:    ops.Conflict,
		Message: "the document " + ops.Quote(key) + " " + what + ".",
		Hint:    "It was changed or put there by something else than synops.",
	}
}
