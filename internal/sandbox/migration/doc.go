// Package migration simulates two Synapse stacks, a source and a destination, as
// far as a migration sees them: rows, asynchronous jobs, a job queue with few
// workers, databases that slow down when many jobs run, faults, and time that
// passes as fast as it is asked to. It watches whoever migrates and names every
// request that breaks a rule, work that is done twice, and rows that are wrong at
// the end.
//
// Sizes, costs, profiles and situations are assumptions, chosen so that the
// incumbent's schedule takes what is known of it: they show which schedule is
// better, and promise nothing about a real pair of stacks.
//
// What is not here: any schedule, and the client.
package migration
