package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

func start(n int) ops.Start {
	return ops.Start{N: n, Kind: ops.StartRun, Run: ref.Run, Lane: ref.Lane, Request: request().Digest(), By: "jane", At: at}
}

// TestKeys pins where documents are: other releases and roles' policies rely on it.
func TestKeys(t *testing.T) {
	s, dir, _ := open(t)
	ctx := t.Context()
	digest, err := s.CreateRequest(ctx, request())
	ok(t, err)
	_, _, err = s.Claim(ctx, "job-1", ops.Claim{Run: ref.Run, Lane: ref.Lane, Request: digest})
	ok(t, err)
	ok(t, s.CreateStart(ctx, start(1)))
	ok(t, s.CreateExecution(ctx, ref, 1, ops.Execution{Engine: "local", ID: "1"}))
	ok(t, s.CreateAttempt(ctx, ref, ops.Attempt{N: 1, At: at}))
	ok(t, s.AppendJournal(ctx, ref, 1, nil))
	ok(t, s.PutHeartbeat(ctx, ref, ops.Heartbeat{Attempt: 1, At: at}))
	ok(t, s.CreatePlan(ctx, ref, &ops.Plan{}))
	ok(t, s.CreateResult(ctx, ref, &ops.Result{Run: ref.Run, Attempt: 1}))
	_, err = s.CreateCancel(ctx, ref, ops.CancelMarker{By: "jane", At: at})
	ok(t, err)
	ok(t, s.CreatePrivate(ctx, ref, "user~1.json", nil))
	_, err = s.PrivateKey(ctx, ref)
	ok(t, err)
	lease, _, err := s.AcquireLease(ctx, ops.Lease{Environment: "dev", Name: "stack/544", RunRef: ref, Attempt: 1, At: at}, nil)
	ok(t, err)
	ok(t, s.ReleaseLease(ctx, lease))
	_, err = s.Freeze(ctx, ops.Freeze{Environment: "prod", By: "jane", At: at})
	ok(t, err)
	_, err = s.Unfreeze(ctx, "prod", "joe", at)
	ok(t, err)
	ok(t, s.CreateIndex(ctx, ops.IndexEntry{Run: ref.Run, Lane: ref.Lane, Environment: "dev"}))

	var got []string
	ok(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			key, _ := filepath.Rel(dir, path)
			got = append(got, strings.ReplaceAll(key, digest.Hex(), "DIGEST"))
		}
		return err
	}))
	run := "admin/runs/20261123T141502Z-remove-user-3f9c/"
	want := []string{
		"admin/claims/job-1.json",
		"admin/requests/DIGEST.json",
		run + "attempts/0001.json",
		run + "cancel.json",
		run + "heartbeat.json",
		run + "journal/00000001.jsonl",
		run + "plan.json",
		run + "private/key",
		run + "private/user~1.json",
		run + "results/0001.json",
		run + "starts/0001.engine",
		run + "starts/0001.json",
		"freezes/prod/00000001.json",
		"freezes/prod/00000001.lifted",
		"index/20261123/20261123T141502Z-remove-user-3f9c",
		"leases/dev/stack~544/00000001.json",
		"leases/dev/stack~544/00000001.released",
	}
	slices.Sort(got)
	same(t, "keys", got, want)
}

func TestStartsAndAttempts(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	if starts, err := s.Starts(ctx, ref); len(starts) != 0 || err != nil {
		t.Errorf("Starts = %v, %v; want none", starts, err)
	}
	for _, n := range []int{2, 10, 1} {
		ok(t, s.CreateStart(ctx, start(n)))
		ok(t, s.CreateAttempt(ctx, ref, ops.Attempt{N: n, At: at, Host: "h", Process: "1"}))
	}
	ok(t, s.CreateExecution(ctx, ref, 2, ops.Execution{Engine: "local", ID: "7"}))
	ok(t, s.CreateExecution(ctx, ref, 2, ops.Execution{Engine: "local", ID: "7"})) // again is fine
	wantCode(t, "another execution", s.CreateExecution(ctx, ref, 2, ops.Execution{Engine: "local", ID: "8"}), ops.Conflict)
	wantCode(t, "the same start again", s.CreateStart(ctx, start(2)), ops.Conflict)
	wantCode(t, "a second worker for an attempt", s.CreateAttempt(ctx, ref, ops.Attempt{N: 2, At: at, Host: "h", Process: "1"}), ops.Conflict)

	starts, err := s.Starts(ctx, ref)
	ok(t, err)
	same(t, "Starts", starts, []ops.Start{start(1), start(2), start(10)})
	attempts, err := s.Attempts(ctx, ref)
	ok(t, err)
	if len(attempts) != 3 || attempts[0].N != 1 || attempts[1].N != 2 || attempts[2].N != 10 {
		t.Errorf("Attempts = %v; want 1, 2 and 10", attempts)
	}
	if e, err := s.Execution(ctx, ref, 2); err != nil || *e != (ops.Execution{Engine: "local", ID: "7"}) {
		t.Errorf("Execution = %v, %v", e, err)
	}
	if e, err := s.Execution(ctx, ref, 1); e != nil || err != nil {
		t.Errorf("Execution = %v, %v; want none", e, err)
	}
	for _, n := range []int{-1, 0, 10_000} {
		wantCode(t, "a start's number", s.CreateStart(ctx, start(n)), ops.Invalid)
		wantCode(t, "an attempt's number", s.CreateAttempt(ctx, ref, ops.Attempt{N: n}), ops.Invalid)
		wantCode(t, "a result's number", s.CreateResult(ctx, ref, &ops.Result{Attempt: n}), ops.Invalid)
	}
	wantCode(t, "a journal document's number", s.AppendJournal(ctx, ref, 0, nil), ops.Invalid)
}

func TestPlanResultCancelAreWrittenOnce(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	plan := &ops.Plan{Task: "remove-user", Digest: ops.DigestOf([]byte("p")), Effects: []ops.Effect{}, Notes: []string{}}
	if p, err := s.Plan(ctx, ref); p != nil || err != nil {
		t.Errorf("Plan = %v, %v; want none", p, err)
	}
	ok(t, s.CreatePlan(ctx, ref, plan))
	ok(t, s.CreatePlan(ctx, ref, plan))
	wantCode(t, "another plan", s.CreatePlan(ctx, ref, &ops.Plan{}), ops.Conflict)
	got, err := s.Plan(ctx, ref)
	ok(t, err)
	if got.Digest != plan.Digest {
		t.Errorf("Plan = %v", got)
	}

	ok(t, s.CreateResult(ctx, ref, &ops.Result{Attempt: 2, Outcome: ops.Succeeded}))
	ok(t, s.CreateResult(ctx, ref, &ops.Result{Attempt: 1, Outcome: ops.RunFailed}))
	ok(t, s.CreateResult(ctx, ref, &ops.Result{Attempt: 1, Outcome: ops.RunFailed}))
	wantCode(t, "another result", s.CreateResult(ctx, ref, &ops.Result{Attempt: 1, Outcome: ops.Succeeded}), ops.Conflict)
	results, err := s.Results(ctx, ref)
	ok(t, err)
	if len(results) != 2 || results[0].Attempt != 1 || results[0].Outcome != ops.RunFailed || results[1].Attempt != 2 {
		t.Errorf("Results = %v; want 1 and 2", results)
	}
	if r, err := s.Result(ctx, ref, 3); r != nil || err != nil {
		t.Errorf("Result = %v, %v; want none", r, err)
	}

	for i, by := range []string{"jane", "joe"} {
		created, err := s.CreateCancel(ctx, ref, ops.CancelMarker{By: by, At: at})
		if err != nil || created != (i == 0) {
			t.Errorf("CreateCancel by %s = %v, %v", by, created, err)
		}
	}
	if m, err := s.CancelMarker(ctx, ref); err != nil || m.By != "jane" {
		t.Errorf("CancelMarker = %v, %v; want the first", m, err)
	}
}

func TestPrivate(t *testing.T) {
	s, _, _ := open(t)
	ctx := t.Context()
	_, err := s.Private(ctx, ref, "user~1.json")
	wantCode(t, "absent", err, ops.NotFound)
	ok(t, s.CreatePrivate(ctx, ref, "user~1.json", []byte("before")))
	ok(t, s.CreatePrivate(ctx, ref, "user~1.json", []byte("after: must not replace it")))
	if data, err := s.Private(ctx, ref, "user~1.json"); string(data) != "before" || err != nil {
		t.Errorf("Private = %q, %v; want the first", data, err)
	}
	key, err := s.PrivateKey(ctx, ref)
	ok(t, err)
	again, err := s.PrivateKey(ctx, ref)
	ok(t, err)
	other, err := s.PrivateKey(ctx, ops.RunRef{Lane: ref.Lane, Run: ref.Run + "0"})
	ok(t, err)
	if len(key) != 32 || !bytes.Equal(key, again) || bytes.Equal(key, other) {
		t.Error("a run has one key of 32 bytes, and another run another")
	}
	wantCode(t, "a before-image in the key's place", s.CreatePrivate(ctx, ref, "key", nil), ops.Invalid)
}

func TestJournalEndsWhereADocumentIsAbsent(t *testing.T) {
	s, _, c := open(t)
	ctx := t.Context()
	for doc, text := range map[int]string{1: "one\n", 2: "two\n", 4: "four\n"} {
		ok(t, s.AppendJournal(ctx, ref, doc, []byte(text)))
	}
	wantCode(t, "a document that another wrote", s.AppendJournal(ctx, ref, 2, []byte("two\n")), ops.Conflict)
	var got []string
	for doc, err := range s.Journal(ctx, ref, 0) {
		ok(t, err)
		got = append(got, string(doc))
	}
	same(t, "Journal", got, []string{"one\n", "two\n"})

	c.gets = 0
	for range s.Journal(ctx, ref, 0) {
		break
	}
	if c.gets != 1 {
		t.Errorf("%d documents were read for one", c.gets)
	}
}

func TestStatusAndFind(t *testing.T) {
	s, dir, _ := open(t)
	ctx := t.Context()
	_, err := s.Status(ctx, ref)
	wantCode(t, "Status of no run", err, ops.NotFound)
	_, err = s.Find(ctx, ref.Run)
	wantCode(t, "Find of no run", err, ops.NotFound)
	if err == nil || !strings.Contains(err.Error(), string(ref.Run)) {
		t.Errorf("Find = %v; want the ID quoted", err)
	}
	_, err = s.Find(ctx, "../../etc/passwd")
	wantCode(t, "Find of what is no ID", err, ops.Invalid)

	_, err = s.CreateRequest(ctx, request())
	ok(t, err)
	ok(t, s.CreateStart(ctx, start(1)))
	st, err := s.Status(ctx, ref)
	ok(t, err)
	if st.State() != ops.StateQueued || st.Request.Task != "remove-user" || st.Heartbeat != nil || st.Cancel != nil || st.RunRef != ref {
		t.Errorf("Status = %+v; want it queued", st)
	}
	ok(t, s.CreateAttempt(ctx, ref, ops.Attempt{N: 1, At: at}))
	ok(t, s.PutHeartbeat(ctx, ref, ops.Heartbeat{Attempt: 1, At: at, Phase: "planning"}))
	ok(t, s.PutHeartbeat(ctx, ref, ops.Heartbeat{Attempt: 1, At: at, Phase: "performing", Progress: ops.Progress{Done: 3}}))
	old := time.Now().Add(-5 * time.Minute)
	ok(t, os.Chtimes(filepath.Join(dir, "admin/runs", string(ref.Run), "heartbeat.json"), old, old))
	_, err = s.CreateCancel(ctx, ref, ops.CancelMarker{By: "jane", At: at})
	ok(t, err)
	st, err = s.Status(ctx, ref)
	ok(t, err)
	if st.State() != ops.StateRunning || st.Heartbeat.Phase != "performing" || st.HeartbeatAge < 5*time.Minute || st.Cancel == nil {
		t.Errorf("Status = %+v; want it running, canceled, its heartbeat 5 minutes old", st)
	}
	for n, outcome := range []ops.Outcome{ops.RunFailed, ops.Succeeded} {
		ok(t, s.CreateResult(ctx, ref, &ops.Result{Run: ref.Run, Attempt: n + 1, Outcome: outcome}))
	}
	st, err = s.Status(ctx, ref)
	ok(t, err)
	if st.State() != ops.StateEnded || st.Result.Attempt != 2 {
		t.Errorf("Status = %+v; want it ended with the newest result", st)
	}
	if found, err := s.Find(ctx, ref.Run); err != nil || found != ref {
		t.Errorf("Find = %v, %v", found, err)
	}
}

// BenchmarkAppendJournal tells how many journal documents a second are durable,
// and, taken in turn so that both see the same disk, how many bare new files are
// synced: an append takes one such sync and that of its folder.
func BenchmarkAppendJournal(b *testing.B) {
	s, err := store.Open(b.Context(), b.TempDir())
	ok(b, err)
	bare, chain, doc := b.TempDir(), ops.NewChain(request().Digest()), 0
	var appending, syncing time.Duration
	for b.Loop() {
		data, err := chain.Encode(ops.Entry{At: at, Attempt: 1, Kind: ops.EntryIntent, Effect: "user/3350396", Before: ops.State{"userName": "hmac:0011223344556677"}})
		ok(b, err)
		doc++
		begun := time.Now()
		ok(b, s.AppendJournal(b.Context(), ref, doc, data))
		between := time.Now()
		syncNew(b, filepath.Join(bare, strconv.Itoa(doc)), data)
		appending += between.Sub(begun)
		syncing += time.Since(between)
	}
	b.ReportMetric(float64(doc)/appending.Seconds(), "appends/s")
	b.ReportMetric(float64(doc)/syncing.Seconds(), "syncs/s")
}

func syncNew(b *testing.B, path string, data []byte) {
	f, err := os.Create(path)
	ok(b, err)
	defer f.Close()
	_, err = f.Write(data)
	ok(b, err)
	ok(b, f.Sync())
}
