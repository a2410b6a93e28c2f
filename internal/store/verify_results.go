package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// checkEnds compares what each result says of the journal with the journal.
func (v *verifier) checkEnds(context.Context) (string, error) {
	for _, r := range v.results {
		at := "results/" + number4(r.Attempt)
		head := v.heads[r.JournalEntries]
		end, ended := v.ends[r.Attempt]
		switch {
		case r.JournalEntries < 0 || r.JournalEntries > v.chain.Entries:
			return "", broken("%s names %d journal entries and the journal has %d: its end was cut off.", at, r.JournalEntries, v.chain.Entries)
		case r.JournalEntries == 0 && r.JournalHead == "": // it ended before the journal began
		case r.JournalHead != head:
			return "", broken("%s names another journal: entry %d is not the one it saw.", at, r.JournalEntries)
		case ended && end.Outcome != string(r.Outcome):
			return "", broken("%s says %s and the journal says that attempt %d ended %s.", at, r.Outcome, r.Attempt, ops.Quote(end.Outcome))
		case ended && (end.Code != r.Code || end.Message != r.Message):
			return "", broken("%s tells otherwise than the journal how attempt %d ended.", at, r.Attempt)
		case v.odd[r.Attempt] != "":
			return "", broken("%s %s", at, v.odd[r.Attempt])
		}
		if r.Attempt == v.newest() && r.JournalEntries != v.chain.Entries {
			return "", broken("the journal goes on after entry %d, where %s ends it.", r.JournalEntries, at)
		}
	}
	if len(v.results) == 0 || v.results[len(v.results)-1].Attempt != v.newest() {
		return fmt.Sprintf("results: %d; the newest attempt has none, so nothing tells where the journal must end", len(v.results)), nil
	}
	return fmt.Sprintf("results: %d, the journal ends as the last one says and tells the same of each effect", len(v.results)), nil
}

func (v *verifier) checkPlan(ctx context.Context) (string, error) {
	p, err := v.s.Plan(ctx, v.ref)
	switch {
	case err != nil:
		return "", err
	case p == nil && v.plan != "":
		return "", broken("plan.json is missing; the journal names plan %s.", v.plan.Short())
	case p == nil:
		return "plan: none was agreed on", nil
	case v.plan == "":
		return "plan: written; the journal does not name it yet", nil
	case slices.ContainsFunc(v.results, func(r ops.Result) bool { return r.PlanDigest != "" && r.PlanDigest != v.plan }):
		return "", broken("a result names another plan than the journal, which names plan %s.", v.plan.Short())
	case p.Digest != v.plan:
		return "", broken("plan.json is plan %s; the journal names plan %s.", ops.Clip(p.Digest.Short()), v.plan.Short())
	}
	return "plan: the one that the journal names, " + v.plan.Short(), nil
}

func (v *verifier) checkArtifacts(ctx context.Context) (string, error) {
	n := 0
	for _, r := range v.results {
		effects := ""
		for _, a := range r.Artifacts {
			if err := v.checkArtifact(ctx, a); err != nil {
				return "", err
			}
			if a.Path == r.EffectsFile {
				effects = a.Name
			}
			n++
		}
		if r.EffectsFile == "" {
			continue
		}
		if effects == "" {
			return "", broken("results/%s names an effects file that is none of its artifacts.", number4(r.Attempt))
		}
		if err := v.checkEffects(ctx, effects, r.EffectsTotal); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("artifacts: %d, with the digests that the results tell", n), nil
}

func (v *verifier) checkArtifact(ctx context.Context, a ops.Artifact) error {
	got, err := v.s.measure(ctx, artifactKey(v.ref, a.Name))
	switch {
	case ops.CodeOf(err) == ops.NotFound, ops.CodeOf(err) == ops.Invalid:
		return broken("artifact %s is missing.", ops.Quote(a.Name))
	case err != nil:
		return err
	case got.size != a.Size:
		return broken("artifact %s has %d bytes, not %d.", ops.Quote(a.Name), got.size, a.Size)
	case got.digest() != a.Digest:
		return broken("artifact %s was changed: its digest is another.", ops.Quote(a.Name))
	}
	return nil
}

// checkEffects reads the file of all effects, a line in memory at a time.
func (v *verifier) checkEffects(ctx context.Context, name string, total int) error {
	f, err := v.s.OpenArtifact(ctx, v.ref, name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := 0
	for in := bufio.NewReader(f); ; lines++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading artifact %s: %w", ops.Quote(name), err)
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(new(ops.EffectResult)); err != nil {
			return broken("artifact %s: line %d is not an effect.", ops.Quote(name), lines+1)
		}
	}
	if lines != total {
		return broken("artifact %s has %d effects, not %d.", ops.Quote(name), lines, total)
	}
	return nil
}
