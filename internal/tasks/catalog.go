// Package tasks is the catalog: one file per task with its data, its procedure
// and the small interfaces it calls. To add a task, add its file and its entry in
// the list here.
//
// What is not here: HTTP, guards common to all tasks, journals, pacing. The
// worker does those once for every task.
package tasks

import (
	"slices"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// entry joins a task's data with the code behind it.
type entry struct {
	task ops.Task
	// bind returns the procedure for one service. Targets, Check, Challenge, Notes
	// and Undo of a procedure bound to nil must work: they call nothing.
	bind func(s Service) ops.Procedure
}

// entries lists all tasks in the order people see them.
func entries() []entry {
	return []entry{
		{verifyOAuthClientTask, verifyOAuthClient},
		{removeUserTask, removeUser},
		{reenableUserTask, reenableUser},
		{decertifyUserTask, decertifyUser},
		{unquarantineEmailTask, unquarantineEmail},
		{removeUser2FATask, removeUser2FA},
		{publishDatasetTask, publishDataset},
		{unpublishDatasetTask, unpublishDataset},
		{setFeatureTask, patient(setFeature)},
		{createRealmTask, createRealm},
		{deleteRealmTask, deleteRealm},
		{exportIDsTask, exportIDs},
		{runAdminJobTask, patient(runAdminJob)},
		{archiveFilesTask, patient(archiveFiles)},
		{backfillGridSessionsTask, backfillGridSessions},
		{setStackStatusTask, setStackStatus},
		{canaryTask, patient(canary)},
	}
}

// patient binds a procedure that waits to the real clock.
func patient(bind func(s Service, p pause) ops.Procedure) func(s Service) ops.Procedure {
	return func(s Service) ops.Procedure { return bind(s, wait) }
}

// Catalog returns all tasks, in order.
func Catalog() ops.Catalog {
	var c ops.Catalog
	for _, e := range entries() {
		c = append(c, e.task)
	}
	for _, e := range accountEntries() {
		c = append(c, *e.task)
	}
	for _, e := range migrationEntries() {
		c = append(c, *e.task)
	}
	return c
}

// Bind returns the procedure of the task called name, bound to s, which may be nil
// where only its pure functions are wanted. The error is Invalid when there is no
// such task.
func Bind(name ops.TaskName, s Service) (ops.Procedure, error) {
	for _, e := range entries() {
		if e.task.Name == name {
			return e.bind(s), nil
		}
	}
	if OfMigration(name) {
		return BindMigration(name, nil)
	}
	return BindTools(name, nil)
}

// An accountEntry is entry for a task that asks the account and not the service.
type accountEntry struct {
	task *ops.Task
	bind func(x Tools, p pause) ops.Procedure
}

func accountEntries() []accountEntry {
	var out []accountEntry
	for _, t := range tools() {
		out = append(out, accountEntry{t.task, t.procedure})
	}
	return append(out, accountEntry{&deleteStackTask, deleteStack}, accountEntry{&releaseTask, release})
}

// BindTools is Bind for a task that asks the account and not the service.
func BindTools(name ops.TaskName, x Tools) (ops.Procedure, error) {
	for _, e := range accountEntries() {
		if e.task.Name == name {
			return e.bind(x, wait), nil
		}
	}
	_, err := Catalog().Task(name)
	return ops.Procedure{}, err
}

// A migrationEntry is entry for a task that asks two stacks.
type migrationEntry struct {
	task *ops.Task
	bind func(x Migration, p pause) ops.Procedure
}

func migrationEntries() []migrationEntry {
	return []migrationEntry{{&migrateTask, migrateTo}, {&migrateStatusTask, migrateStatus}, {&migrateVerifyTask, migrateVerify}}
}

// OfMigration tells whether a task asks two stacks, with their own credentials.
func OfMigration(name ops.TaskName) bool {
	return slices.ContainsFunc(migrationEntries(), func(e migrationEntry) bool { return e.task.Name == name })
}

// BindMigration is Bind for a task that asks two stacks.
func BindMigration(name ops.TaskName, x Migration) (ops.Procedure, error) {
	for _, e := range migrationEntries() {
		if e.task.Name == name {
			return e.bind(x, wait), nil
		}
	}
	_, err := Catalog().Task(name)
	return ops.Procedure{}, err
}
