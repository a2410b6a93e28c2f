// Package trial lets schedules migrate the simulated pair of stacks in virtual
// time: ours, which is the code that production runs, and the incumbent's, written
// from what is known of it, as the baseline. It kills ours and resumes it, and
// compares both with a lower bound.
//
// What is not here: HTTP. internal/sandbox/migration has the stacks.
package trial
