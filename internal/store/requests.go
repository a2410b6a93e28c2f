package store

import (
	"context"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// CreateRequest keeps a request under its digest, which it returns. The same
// request again is fine.
func (s *Store) CreateRequest(ctx context.Context, req *ops.Request) (ops.Digest, error) {
	d := req.Digest()
	return d, s.createAgain(ctx, requestKey(req.Lane, d), req)
}

// Request returns the request of digest d. It is NotFound when absent, and
// Conflict when its bytes are not those that d was taken of.
func (s *Store) Request(ctx context.Context, lane ops.Lane, d ops.Digest) (*ops.Request, error) {
	if _, err := ops.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	key := requestKey(lane, d)
	data, err := s.driver.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if ops.DigestOf(data) != d {
		return nil, notThis(key, "does not match its digest")
	}
	req := &ops.Request{}
	if err := decode(key, data, req); err != nil {
		return nil, err
	}
	if req.Digest() != d || req.Lane != lane { // read otherwise than it was written
		return nil, notThis(key, "does not match its digest or its lane")
	}
	return req, nil
}

// Claim ties key to a run for ever. It returns c and true when the key was free,
// otherwise the claim that is there and false.
func (s *Store) Claim(ctx context.Context, key string, c ops.Claim) (ops.Claim, bool, error) {
	doc := claimKey(c.Lane, key)
	err := s.create(ctx, doc, c)
	if err == nil {
		return c, true, nil
	}
	if ops.CodeOf(err) != ops.Conflict {
		return ops.Claim{}, false, err
	}
	there, err := mustRead[ops.Claim](ctx, s, doc)
	if err != nil {
		return ops.Claim{}, false, err
	}
	return *there, false, nil
}

// FindClaim returns the claim of a key, nil when absent.
func (s *Store) FindClaim(ctx context.Context, lane ops.Lane, key string) (*ops.Claim, error) {
	return read[ops.Claim](ctx, s, claimKey(lane, key))
}
