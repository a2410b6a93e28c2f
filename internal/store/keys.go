package store

import (
	"fmt"
	"strconv"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// All keys. A lane leads those of its runs, so that a role can be confined to it.
//
//	<lane>/requests/<hex digest>.json
//	<lane>/claims/<key>.json
//	<lane>/runs/<run>/starts/<n>.json          and <n>.engine
//	<lane>/runs/<run>/attempts/<n>.json
//	<lane>/runs/<run>/journal/<document>.jsonl
//	<lane>/runs/<run>/heartbeat.json           the one key that is overwritten
//	<lane>/runs/<run>/plan.json
//	<lane>/runs/<run>/results/<n>.json
//	<lane>/runs/<run>/artifacts/<name>
//	<lane>/runs/<run>/cancel.json
//	<lane>/runs/<run>/private/<name>           and private/key
//	<lane>/runs/<run>/logs/<n>.log             local engine only, not a document
//	leases/<environment>/<name>/<fence>.json   and <fence>.released; "/" in a name is "~"
//	freezes/<environment>/<n>.json             and <n>.lifted
//	index/<day>/<run>                          day of the run ID, such as 20261123
//	expired/<day>                              on disk: the private documents of that day are removed
//
// Attempt numbers have 4 digits; documents, fences and freezes 8.

const (
	mostAttempts  = 9999
	mostDocuments = 99_999_999
)

func number4(n int) string { return fmt.Sprintf("%04d", n) }
func number8(n int) string { return fmt.Sprintf("%08d", n) }

func runKey(ref ops.RunRef, rest string) string {
	return string(ref.Lane) + "/runs/" + string(ref.Run) + "/" + rest
}

func requestKey(lane ops.Lane, d ops.Digest) string {
	return string(lane) + "/requests/" + d.Hex() + ".json"
}

func claimKey(lane ops.Lane, key string) string { return string(lane) + "/claims/" + key + ".json" }

func startKey(ref ops.RunRef, n int) string { return runKey(ref, "starts/"+number4(n)+".json") }

func executionKey(ref ops.RunRef, n int) string { return runKey(ref, "starts/"+number4(n)+".engine") }

func attemptKey(ref ops.RunRef, n int) string { return runKey(ref, "attempts/"+number4(n)+".json") }

func journalKey(ref ops.RunRef, doc int) string { return runKey(ref, "journal/"+number8(doc)+".jsonl") }

func heartbeatKey(ref ops.RunRef) string { return runKey(ref, "heartbeat.json") }

func planKey(ref ops.RunRef) string { return runKey(ref, "plan.json") }

func resultKey(ref ops.RunRef, n int) string { return runKey(ref, "results/"+number4(n)+".json") }

func artifactKey(ref ops.RunRef, name string) string { return runKey(ref, "artifacts/"+name) }

func cancelKey(ref ops.RunRef) string { return runKey(ref, "cancel.json") }

func privateKey(ref ops.RunRef, name string) string { return runKey(ref, "private/"+name) }

func leaseFolder(env ops.EnvironmentName, name string) string {
	return "leases/" + string(env) + "/" + strings.ReplaceAll(name, "/", "~")
}

func freezeFolder(env ops.EnvironmentName) string { return "freezes/" + string(env) }

func dayOf(run ops.RunID) string { return string(run[:min(8, len(run))]) }

func indexKey(run ops.RunID) string { return "index/" + dayOf(run) + "/" + string(run) }

// numberOf returns the number that a document's name holds before suffix, as
// digits wide; false when it is another name.
func numberOf(name, suffix string, digits int) (int, bool) {
	head, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.Atoi(head)
	return n, ok && err == nil && n > 0 && fmt.Sprintf("%0*d", digits, n) == head
}
