package rehearsal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// owner has the repositories, core is the one with the reusable workflows.
const (
	owner = "Sage-Bionetworks"
	core  = "synapse-ops-core"
)

// environmentsText has what the built-in file has, on this stage. Of prod it asks
// more, as there.
const environmentsText = `github: {owner: ` + owner + `, core: ` + core + `, release_tags: "v*"}
environments:
  dev:
    repository: %[1]s
    synapse_hosts: [%[2]s]
    account: %[3]q
    region: ` + Region + `
    secret: /synapse/admin-pat
    instances: ["dev*"]
    lanes: [plan, admin, deploy, migrate]
  prod:
    repository: %[4]s
    synapse_hosts: [%[5]q]
    account: %[6]q
    region: ` + Region + `
    secret: /synapse/admin-pat
    instances: ["[0-9]*"]
    lanes: [plan, admin, deploy, migrate]
    require_reason: true
    releases: required
`

// EnvironmentsFile is the path of the environments file.
func (s *Stage) EnvironmentsFile() string { return filepath.Join(s.Dir, "environments.yaml") }

func (s *Stage) writeEnvironments() error {
	d, p := s.Dev, s.Prod
	hosts := strconv.Quote(d.Host)
	if d.Pair != nil {
		hosts += fmt.Sprintf(", %q, %q", d.Pair.Source, d.Pair.Destination)
	}
	text := fmt.Sprintf(environmentsText, d.Repository, hosts, d.Account, p.Repository, p.Host, p.Account)
	if err := os.WriteFile(s.EnvironmentsFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the environments file: %w", err)
	}
	return nil
}
