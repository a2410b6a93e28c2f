package adminapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// tokens holds the token and knows which ones must never be shown. Safe for
// concurrent use.
type tokens struct {
	what string // for people
	read func(ctx context.Context) (string, error)
	turn chan struct{} // a lock on reading that a context can give up on

	mu   sync.Mutex
	now  string
	seen []string // the newest few, now included
}

func (t *tokens) held() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// get returns the token, reading it when there is none yet.
func (t *tokens) get(ctx context.Context) (string, error) {
	if s := t.held(); s != "" {
		return s, nil
	}
	return t.renew(ctx, "")
}

// renew reads the source, unless old has been replaced meanwhile, and returns
// the token that is held then.
func (t *tokens) renew(ctx context.Context, old string) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if s := t.held(); s != old {
		return s, nil
	}
	s, err := t.read(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", t.what, err)
	}
	if !wellFormed(s) {
		return "", &ops.Error{Code: ops.Denied, Message: "the " + t.what + " is empty or has characters that no token has.", Hint: "Store it anew in its source, without quotes, blanks or line ends."}
	}
	t.keep(s)
	return s, nil
}

func (t *tokens) keep(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = s
	t.see(s)
}

// hide makes in find s, which is part of a token.
func (t *tokens) hide(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.see(s)
}

func (t *tokens) see(s string) {
	if slices.Contains(t.seen, s) {
		return
	}
	t.seen = append(t.seen, s)
	if len(t.seen) > 8 {
		t.seen = t.seen[1:]
	}
}

// in tells whether text holds a token this client has used. Anything shorter than
// eight characters is no token, and would be found everywhere.
func (t *tokens) in(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.seen {
		if len(s) >= 8 && strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// wellFormed keeps out what would break or split a header.
func wellFormed(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return false
		}
	}
	return token != "" && len(token) <= 16<<10
}
