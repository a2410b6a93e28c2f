// Package remote does a migration's jobs on two stacks: it starts them, looks at
// them until they are over, and sorts out what a call that fails means. Each job is
// looked at by itself, seldom before it can be over and at uneven times, for every
// look costs the service a check of the password.
//
// What is not here: HTTP and credentials, which the stacks handed in have, and any
// decision about what runs when.
package remote
