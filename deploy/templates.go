// Package templates holds the CloudFormation templates that an account is made
// of, as they are written by hand. What is not here: deploying them, and judging
// them; the tests beside them do the latter.
package templates

import _ "embed"

// Bootstrap is deployed once for each account, by an administrator: who may do
// what, and where documents, bundles and secrets are kept.
//
//go:embed bootstrap.yaml
var Bootstrap []byte

// Lane is deployed once for each lane: its pipeline, its project and their roles.
// It takes what Bootstrap exports.
//
//go:embed lane.yaml
var Lane []byte
