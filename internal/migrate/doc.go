// Package migrate copies one Synapse stack's data into another.
//
// The work is a Scheduler: a state machine that is told what happened and says
// which jobs to start. It asks no clock and does no I/O, so that a simulation of 30
// hours drives the very code that production runs. Run ties it to an Executor,
// which starts jobs and reports how they went, and to a Journal, from which a later
// process goes on.
//
// What holds at any moment (docs/migration.md tells why):
//
//  1. Nothing is restored unless the destination has been read back as READ_ONLY.
//  2. One counts job per stack, for all types at once, gives the marks. Nothing
//     beyond a mark is copied from a source that users write to.
//  3. What is copied covers its range without holes.
//  4. Both sides are summed with the same salt, bin size and bounds.
//  5. Restores of one type: one at a time, ascending by ID.
//  6. CHANGE is restored after every other type is finished, and alone.
//  7. What was repaired is compared again.
//  8. Types are the strings that the service gives; only CHANGE is known by name.
//
// What is not here: HTTP, credentials, rendering for a terminal.
package migrate
