package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// EntryKind tells what a journal entry records.
type EntryKind string

// The kinds of journal entry.
const (
	EntryAttempt    EntryKind = "attempt"    // attempt N goes on from here
	EntryPlan       EntryKind = "plan"       // the plan that was confirmed, by digest
	EntryIntent     EntryKind = "intent"     // an effect is about to be performed
	EntryOutcome    EntryKind = "outcome"    // how an effect ended
	EntryCheckpoint EntryKind = "checkpoint" // an effect in hand can go on from here
	EntryHandOver   EntryKind = "hand-over"  // the next attempt goes on, as planned
	EntryEnd        EntryKind = "end"        // the run ended with this outcome
)

// An Entry is one line of a run's journal. It holds no personal data.
type Entry struct {
	Seq     int64           `json:"seq"` // from 1, over all attempts
	At      time.Time       `json:"at"`
	Attempt int             `json:"attempt"`
	Kind    EntryKind       `json:"kind"`
	Effect  string          `json:"effect,omitempty"`  // effect ID
	Outcome string          `json:"outcome,omitempty"` // EffectOutcome, or Outcome for end
	Settled bool            `json:"settled,omitempty"` // the outcome was settled, not seen
	Summary string          `json:"summary,omitempty"`
	Settle  Settling        `json:"settle,omitempty"` // of an intent
	Before  State           `json:"before,omitempty"`
	After   State           `json:"after,omitempty"`
	Code    Code            `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Digest  Digest          `json:"digest,omitempty"` // EntryPlan: of the plan; EntryAttempt: of the Start
	Data    json.RawMessage `json:"data,omitempty"`   // of a checkpoint
	// Prev is the digest of the line before, without its line end; of the first
	// line, the request's digest.
	Prev Digest `json:"prev"`
}

// MostBatch is the most intents one journal document may open at once.
const MostBatch = 64

// A Chain continues a journal: it numbers entries and ties each to the line
// before. It is not safe for concurrent use.
type Chain struct {
	Entries int64  // so far
	Head    Digest // of the last line, or of the request
}

// NewChain returns the chain of a journal that has no entry yet.
func NewChain(request Digest) Chain { return Chain{Head: request} }

// Encode appends entries to the chain and returns them as one document, a JSON
// line each.
func (c *Chain) Encode(entries ...Entry) ([]byte, error) {
	var b bytes.Buffer
	next := *c
	for _, e := range entries {
		next.Entries++
		e.Seq, e.Prev = next.Entries, next.Head
		var err error
		if e.Before, err = e.Before.plain(); err != nil {
			return nil, fmt.Errorf("journal entry %d: %w", e.Seq, err)
		}
		if e.After, err = e.After.plain(); err != nil {
			return nil, fmt.Errorf("journal entry %d: %w", e.Seq, err)
		}
		line, err := CanonicalJSON(e)
		if err != nil {
			return nil, fmt.Errorf("journal entry %d: %w", e.Seq, err)
		}
		next.Head = DigestOf(line)
		b.Write(line)
		b.WriteByte('\n')
	}
	*c = next
	return b.Bytes(), nil
}

// Decode reads one document that continues the chain and calls fn for each entry.
// The error, of code Conflict, names the first line that is not what was written:
// changed, left out, put elsewhere or cut. Numbers in states arrive as json.Number.
func (c *Chain) Decode(doc []byte, fn func(Entry) error) error {
	if len(doc) == 0 {
		return Errorf(Conflict, "the journal has an empty document after entry %d.", c.Entries)
	}
	for len(doc) > 0 {
		line, rest, ended := bytes.Cut(doc, []byte("\n"))
		if !ended {
			return Errorf(Conflict, "the journal's entry %d is cut short.", c.Entries+1)
		}
		doc = rest
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		dec.UseNumber() // a float64 would lose digits of long IDs
		var e Entry
		if err := dec.Decode(&e); err != nil || dec.More() {
			return Errorf(Conflict, "the journal's entry %d cannot be read.", c.Entries+1)
		}
		// Written canonically, so any change of a byte shows when it is written again.
		again, err := CanonicalJSON(e)
		if err != nil || !bytes.Equal(again, line) {
			return Errorf(Conflict, "the journal's entry %d is not as it was written.", c.Entries+1)
		}
		if e.Seq != c.Entries+1 {
			return Errorf(Conflict, "the journal has entry %d where entry %d belongs.", e.Seq, c.Entries+1)
		}
		if e.Prev != c.Head {
			return Errorf(Conflict, "the journal's entry %d does not follow the entry before it: one of the two was changed.", e.Seq)
		}
		c.Entries, c.Head = e.Seq, DigestOf(line)
		if fn != nil {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}
