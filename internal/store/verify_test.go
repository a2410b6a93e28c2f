package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// memory is a driver that only reads: what tampering leaves.
type memory map[string][]byte

func (m memory) URL() string                                                     { return "memory:///" }
func (m memory) Create(context.Context, string, []byte) error                    { panic("read only") }
func (m memory) CreateFrom(context.Context, string, func(io.Writer) error) error { panic("read only") }
func (m memory) Put(context.Context, string, []byte) error                       { panic("read only") }

func (m memory) Get(_ context.Context, key string) ([]byte, error) {
	if data, ok := m[key]; ok {
		return data, nil
	}
	return nil, ops.Errorf(ops.NotFound, "%q is not there.", key)
}

func (m memory) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	data, err := m.Get(ctx, key)
	return io.NopCloser(bytes.NewReader(data)), err
}

func (m memory) Age(ctx context.Context, key string) (time.Duration, error) {
	_, err := m.Get(ctx, key)
	return 0, err
}

func (m memory) List(_ context.Context, folder string) ([]string, error) {
	names := map[string]bool{}
	for key := range m {
		if rest, inside := strings.CutPrefix(key, folder+"/"); inside {
			name, _, deeper := strings.Cut(rest, "/")
			if deeper {
				name += "/"
			}
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// runDir leads the keys of the run that recorded makes.
const runDir = "admin/runs/20261123T141502Z-remove-user-3f9c/"

// recorder notes the documents of a run in the order they are written.
type recorder struct {
	memory
	keys []string
}

func (r *recorder) Create(_ context.Context, key string, data []byte) error {
	if _, taken := r.memory[key]; taken {
		return ops.Errorf(ops.Conflict, "%q is there.", key)
	}
	r.memory[key] = bytes.Clone(data)
	r.keys = append(r.keys, key)
	return nil
}

func (r *recorder) CreateFrom(ctx context.Context, key string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return r.Create(ctx, key, b.Bytes())
}

// recorded returns the documents of a run of two attempts, the first failed, the
// second succeeded, and their keys in the order they were written.
func recorded(t testing.TB) (memory, []string) {
	t.Helper()
	r := &recorder{memory: memory{}}
	s, ctx := store.New(r), t.Context()
	digest, err := s.CreateRequest(ctx, request())
	ok(t, err)
	chain, doc := ops.NewChain(digest), 0
	plan := &ops.Plan{Task: "remove-user", Digest: ops.DigestOf([]byte("plan")), Effects: []ops.Effect{}, Notes: []string{}}
	for n := 1; n <= 2; n++ {
		asked := start(n)
		ok(t, s.CreateStart(ctx, asked))
		by, err := asked.Digest()
		ok(t, err)
		ok(t, s.CreateExecution(ctx, ref, n, ops.Execution{Engine: "local", ID: "1"}))
		ok(t, s.CreateAttempt(ctx, ref, ops.Attempt{N: n, At: at}))
		appendTo := func(entries ...ops.Entry) {
			for i := range entries {
				entries[i].At, entries[i].Attempt = at, n
			}
			data, err := chain.Encode(entries...)
			ok(t, err)
			doc++
			ok(t, s.AppendJournal(ctx, ref, doc, data))
		}
		appendTo(ops.Entry{Kind: ops.EntryAttempt, Digest: by})
		ok(t, s.CreatePlan(ctx, ref, plan))
		effect := fmt.Sprintf("user/%d", n)
		appendTo(ops.Entry{Kind: ops.EntryPlan, Digest: plan.Digest}, ops.Entry{Kind: ops.EntryIntent, Effect: effect, Settle: ops.SettleRead})
		outcome, ended := ops.EffectFailed, ops.RunFailed
		if n == 2 {
			outcome, ended = ops.EffectDone, ops.Succeeded
		}
		appendTo(ops.Entry{Kind: ops.EntryOutcome, Effect: effect, Outcome: string(outcome), After: ops.State{"userName": "hmac:00112233"}, Message: "ä \"quoted\""})
		appendTo(ops.Entry{Kind: ops.EntryEnd, Outcome: string(ended), Message: "Ended."})
		result := &ops.Result{Run: ref.Run, Attempt: n, Outcome: ended, Message: "Ended.", EffectsTotal: 2, PlanDigest: plan.Digest, JournalEntries: chain.Entries, JournalHead: chain.Head}
		// The journal tells nothing of what was not reached.
		told := map[int][]ops.EffectOutcome{1: {ops.EffectFailed, ops.EffectNotReached}, 2: {ops.EffectFailed, ops.EffectDone}}[n]
		result.Counts = map[ops.EffectOutcome]int{told[0]: 1, told[1]: 1}
		for i, o := range told {
			id := fmt.Sprintf("user/%d", i+1)
			result.Effects = append(result.Effects, ops.EffectResult{ID: id, Target: id, Outcome: o})
		}
		effects, err := s.CreateArtifact(ctx, ref, fmt.Sprintf("effects-%d.jsonl", n), func(w io.Writer) error {
			_, err := io.WriteString(w, `{"id":"user/1","target":"user/1","summary":"","outcome":"done"}`+"\n"+`{"id":"user/2","target":"user/2","summary":"","outcome":"done"}`+"\n")
			return err
		})
		ok(t, err)
		result.EffectsFile, result.Artifacts = effects.Path, []ops.Artifact{effects}
		ok(t, s.CreateResult(ctx, ref, result))
	}
	return r.memory, r.keys
}

func verify(t testing.TB, docs store.Driver) *store.Verification {
	t.Helper()
	v, err := store.New(docs).Verify(t.Context(), ref)
	ok(t, err)
	return v
}

// changed returns the documents with one replaced, or left out where data is nil.
func changed(docs memory, key string, data []byte) memory {
	out := maps.Clone(docs)
	if data == nil {
		delete(out, key)
	} else {
		out[key] = data
	}
	return out
}

func TestVerifyIntact(t *testing.T) {
	docs, _ := recorded(t)
	v := verify(t, docs)
	if v.Broken != "" || len(v.Checked) != 7 {
		t.Errorf("Verify = %+v; want it intact, seven things checked", v)
	}
	if all := strings.Join(v.Checked, "\n"); !strings.Contains(all, "10 entries in 8 documents") || !strings.Contains(all, "artifacts: 2") {
		t.Errorf("Verify checked\n%s", all)
	}
	_, err := store.New(memory{}).Verify(t.Context(), ref)
	wantCode(t, "Verify of no run", err, ops.NotFound)
}

// TestVerifyFindsAnyChangeOfTheJournal tries every one there is of its kind.
func TestVerifyFindsAnyChangeOfTheJournal(t *testing.T) {
	docs, keys := recorded(t)
	tried := 0
	mustBreak := func(what string, tampered memory) {
		t.Helper()
		tried++
		if v := verify(t, tampered); !strings.Contains(v.Broken, "journal") && !strings.Contains(v.Broken, "entry") {
			t.Fatalf("%s: Broken = %q; want the journal named", what, v.Broken)
		}
	}
	journal := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, runDir+"journal/") })
	for i, key := range journal {
		doc := docs[key]
		for at := i % portion; at < len(doc); at += portion {
			for _, bits := range []byte{0x01, 0x20} {
				flipped := bytes.Clone(doc)
				flipped[at] ^= bits
				mustBreak(fmt.Sprintf("byte %d of document %d changed by %#x", at, i+1, bits), changed(docs, key, flipped))
			}
			mustBreak(fmt.Sprintf("document %d cut at byte %d", i+1, at), changed(docs, key, doc[:at:at]))
			mustBreak(fmt.Sprintf("byte %d of document %d left out", at, i+1), changed(docs, key, slices.Delete(bytes.Clone(doc), at, at+1)))
		}
		lines := bytes.SplitAfter(bytes.TrimSuffix(doc, nil), []byte("\n"))
		lines = lines[:len(lines)-1]
		for n := range lines {
			mustBreak("a line twice", changed(docs, key, bytes.Join(slices.Insert(slices.Clone(lines), n, lines[n]), nil)))
			mustBreak("a line left out", changed(docs, key, bytes.Join(slices.Delete(slices.Clone(lines), n, n+1), nil)))
			if n > 0 {
				swapped := slices.Clone(lines)
				swapped[n-1], swapped[n] = swapped[n], swapped[n-1]
				mustBreak("two lines swapped", changed(docs, key, bytes.Join(swapped, nil)))
			}
		}
		mustBreak(fmt.Sprintf("document %d left out", i+1), changed(docs, key, nil))
		for _, other := range journal[:i] {
			mustBreak("two documents swapped", changed(changed(docs, key, docs[other]), other, doc))
			mustBreak("a document in another's place", changed(docs, key, docs[other]))
		}
		shorter := docs // closing the gap that a document left out leaves
		for n := i; n < len(journal)-1; n++ {
			shorter = changed(shorter, journal[n], docs[journal[n+1]])
		}
		mustBreak(fmt.Sprintf("document %d left out, the rest moved up", i+1), changed(shorter, journal[len(journal)-1], nil))
		tail := docs
		for _, later := range journal[i:] {
			tail = changed(tail, later, nil)
		}
		mustBreak(fmt.Sprintf("all from document %d on left out", i+1), tail)
	}
	if tried < 4000/portion {
		t.Errorf("only %d changes were tried", tried)
	}
}

func TestVerifyFinds(t *testing.T) {
	docs, _ := recorded(t)
	edit := func(key string, do func(doc map[string]any)) memory {
		var doc map[string]any
		ok(t, json.Unmarshal(docs[key], &doc))
		do(doc)
		data, err := ops.CanonicalJSON(doc)
		ok(t, err)
		return changed(docs, key, data)
	}
	set := func(key, field string, value any) memory {
		return edit(runDir+key, func(doc map[string]any) { doc[field] = value })
	}
	chain := ops.NewChain(request().Digest())
	for doc := 1; doc <= 8; doc++ {
		ok(t, chain.Decode(docs[fmt.Sprintf("%sjournal/%08d.jsonl", runDir, doc)], nil))
	}
	more := func(e ops.Entry) memory {
		next := chain
		data, err := next.Encode(e)
		ok(t, err)
		return changed(docs, runDir+"journal/00000009.jsonl", data)
	}
	requestKey := "admin/requests/" + request().Digest().Hex() + ".json"
	for name, c := range map[string]struct {
		docs memory
		says string
	}{
		"a request changed":                    {edit(requestKey, func(doc map[string]any) { doc["requester"] = "joe" }), "does not match its digest"},
		"a request left out":                   {changed(docs, requestKey, nil), "request"},
		"the first start left out":             {changed(docs, runDir+"starts/0001.json", nil), "starts/0001 is missing"},
		"a start of another request":           {set("starts/0002.json", "request", ops.DigestOf(nil)), "starts/0002 names another request"},
		"a start that somebody else asked for": {set("starts/0002.json", "by", "joe"), "attempt 2 was asked for otherwise than starts/0002 tells"},
		"a start with another answer":          {set("starts/0001.json", "confirm", ops.DigestOf(nil)), "attempt 1 was asked for otherwise than starts/0001 tells"},
		"a start of another run":               {set("starts/0002.json", "run", "20261123T141502Z-remove-user-0000"), "starts/0002 belongs"},
		"a start of a request that is none":    {changed(set("starts/0001.json", "request", "sha256:x"), runDir+"starts/0002.json", nil), "names no request"},
		"a start left out, its attempt there":  {changed(docs, runDir+"starts/0002.json", nil), "attempts/0002 has no start"},
		"an attempt in another's place":        {set("attempts/0002.json", "n", 1), "attempts/0002 is another"},
		"an attempt left out":                  {changed(docs, runDir+"attempts/0001.json", nil), "results/0001 has no attempt"},
		"a document that cannot be read":       {changed(docs, runDir+"attempts/0001.json", []byte("{")), "attempts/0001.json"},
		"a document that does not belong":      {changed(docs, runDir+"results/note.json", []byte("{}")), "results/note.json"},
		"a result of another attempt":          {set("results/0001.json", "attempt", 2), "results/0001 is of another attempt"},
		"a result that tells another outcome":  {set("results/0001.json", "outcome", "succeeded"), "results/0001 says succeeded"},
		"a result with other words":            {set("results/0002.json", "message", "Done."), "results/0002 tells otherwise"},
		"a result that counts otherwise":       {set("results/0002.json", "counts", map[string]int{"done": 2}), "results/0002 counts 0 effects failed and the journal tells 1."},
		"a result that counts too few":         {set("results/0001.json", "counts", map[string]int{"failed": 1}), "results/0001 counts 1 effects, lists 2 and says that there are 2."},
		"a result that hides an effect":        {set("results/0002.json", "effects", []any{}), "lists 0"},
		"a result that lists one twice":        {edit(runDir+"results/0002.json", func(doc map[string]any) { list := doc["effects"].([]any); list[0] = list[1] }), `lists "user/2" twice`},
		"an effect told otherwise":             {edit(runDir+"results/0002.json", func(doc map[string]any) { doc["effects"].([]any)[0].(map[string]any)["outcome"] = "done" }), `tells "user/1" as done and the journal as failed`},
		"an effect told as not reached":        {edit(runDir+"results/0001.json", func(doc map[string]any) { doc["effects"].([]any)[0].(map[string]any)["outcome"] = "not_reached" }), `tells "user/1" as not_reached`},
		"a result of another plan":             {set("results/0002.json", "plan_digest", ops.DigestOf(nil)), "a result names another plan"},
		"a result that saw more":               {set("results/0002.json", "journal_entries", 11), "results/0002 names 11 journal entries"},
		"a result that saw less":               {set("results/0001.json", "journal_entries", 4), "results/0001 names another journal"},
		"a result that saw another end":        {set("results/0002.json", "journal_head", ops.DigestOf(nil)), "results/0002 names another journal"},
		"a result that saw nothing":            {edit(runDir+"results/0002.json", func(doc map[string]any) { doc["journal_entries"] = 0; delete(doc, "journal_head") }), "goes on after entry 0"},
		"an entry behind the end":              {more(ops.Entry{At: at, Attempt: 2, Kind: ops.EntryCheckpoint}), "goes on after entry 10"},
		"an entry of an earlier attempt":       {more(ops.Entry{At: at, Attempt: 1, Kind: ops.EntryCheckpoint}), "entry 11 is of attempt 1"},
		"an entry of an attempt that is none":  {more(ops.Entry{At: at, Attempt: 3, Kind: ops.EntryCheckpoint}), "entry 11 is of attempt 3"},
		"an entry with another plan":           {more(ops.Entry{At: at, Attempt: 2, Kind: ops.EntryPlan, Digest: ops.DigestOf(nil)}), "entry 11 names another plan"},
		"another plan":                         {set("plan.json", "plan_digest", ops.DigestOf(nil)), "plan.json is plan"},
		"a plan left out":                      {changed(docs, runDir+"plan.json", nil), "plan.json is missing"},
		"an artifact left out":                 {changed(docs, runDir+"artifacts/effects-1.jsonl", nil), `"effects-1.jsonl" is missing`},
		"an artifact changed":                  {changed(docs, runDir+"artifacts/effects-2.jsonl", bytes.Replace(docs[runDir+"artifacts/effects-2.jsonl"], []byte("user/1"), []byte("user/7"), 1)), `"effects-2.jsonl" was changed`},
		"an artifact cut":                      {changed(docs, runDir+"artifacts/effects-2.jsonl", docs[runDir+"artifacts/effects-2.jsonl"][:9]), `"effects-2.jsonl" has 9 bytes`},
		"fewer effects than were counted": {edit(runDir+"results/0002.json", func(doc map[string]any) {
			doc["effects_total"], doc["counts"] = 3, map[string]int{"failed": 1, "done": 1, "not_reached": 1}
			doc["effects"] = append(doc["effects"].([]any), map[string]any{"id": "user/3", "target": "user/3", "summary": "", "outcome": "not_reached"})
		}), "has 2 effects, not 3"},
		"an effects file that is none": {set("results/0002.json", "effects_file", "memory:///else"), "results/0002 names an effects file"},
	} {
		if v := verify(t, c.docs); !strings.Contains(v.Broken, c.says) {
			t.Errorf("%s: Broken = %q; want %q", name, v.Broken, c.says)
		}
	}
}

// growing is a store whose run goes on meanwhile: with each list and read another
// document is there.
type growing struct {
	memory
	rest []string
	from memory
	each int // calls for one document
	call int
}

func (g *growing) grow() {
	if g.call++; g.call%g.each == 0 && len(g.rest) > 0 {
		g.memory[g.rest[0]], g.rest = g.from[g.rest[0]], g.rest[1:]
	}
}

func (g *growing) List(ctx context.Context, folder string) ([]string, error) {
	defer g.grow()
	return g.memory.List(ctx, folder)
}

func (g *growing) Get(ctx context.Context, key string) ([]byte, error) {
	defer g.grow()
	return g.memory.Get(ctx, key)
}

// TestVerifyOfARunThatGoesOn cries no wolf at any moment of a run's life.
func TestVerifyOfARunThatGoesOn(t *testing.T) {
	docs, keys := recorded(t)
	for there := 2; there <= len(keys); there++ { // request and first start are the least
		for _, each := range []int{1, 2, 3, 5, 1000} {
			g := &growing{memory: memory{}, rest: keys[there:], from: docs, each: each}
			for _, key := range keys[:there] {
				g.memory[key] = docs[key]
			}
			if v := verify(t, g); v.Broken != "" {
				t.Errorf("with %d documents, one more after %d calls: %s", there, each, v.Broken)
			}
		}
	}
}
