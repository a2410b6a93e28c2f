// Package sandbox is an in-memory Synapse: the endpoints that operational tasks
// call, with the statuses, bodies, order of checks and oddities of the real
// service, for trying, rehearsing and testing. Everything is deterministic but
// the stamps; Synapse.Describe prints what is in it.
//
// Switches make it misbehave: see Fault. They are set in process (SetFaults) or,
// on the same listener and without a token, over HTTP under /sandbox/: GET, PUT
// and DELETE faults; GET calls and counts; GET state/users/{id},
// state/oauth-clients/{id}, state/entities/{id}, state/features/{name},
// state/quarantine/{email}, state/realms, state/jobs, state/status and
// state/backfills; PUT state/status; POST reset.
//
// What is not here: persistence, real credentials, anything that asks the network,
// and certainty where the service's own sources leave a behavior open.
package sandbox
