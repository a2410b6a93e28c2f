// Package ops holds the nouns of synapse-ops-core: tasks and their inputs,
// requests, plans, effects, runs, journals, results and leases, with their rules
// and JSON forms, and the contracts that the packages around it fulfill.
//
// What is not here: reading or writing anything. The package knows no disk, no
// network, no clock and no process environment; it uses only the standard
// library. docs/language.md lists the words, one per thing.
package ops
