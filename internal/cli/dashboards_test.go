package cli_test

import (
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cli"
)

func TestDashboardsAgeIsTold(t *testing.T) {
	const older, behind, ahead, unclear = "The dashboard is older than the deployed bundle", "What this synops renders is older", "once the pull request is merged", "cannot be told"
	for _, c := range []struct {
		was, is, deployed string
		says              []string
	}{
		{"v1.2.0", "v1.2.0", "v1.2.0", nil},
		{"", "v1.2.0", "v1.2.0", nil},
		{"v1.1.0", "v1.2.0", "v1.2.0", []string{older}},
		{"v1.1.0", "v1.1.0", "v1.10.0", []string{older, behind}},
		{"v1.2.0", "v1.3.0", "v1.2.0", []string{ahead}},
		{"v1.2.0-rc.1", "v1.2.0", "v1.2.0", []string{older}},
		{"v1.2.0", "v1.2.0", "devel-0123456789ab", []string{unclear}},
	} {
		got := cli.AgeNotes(c.was, c.is, c.deployed)
		if len(got) != len(c.says) {
			t.Errorf("%s, %s, deployed %s: %q", c.was, c.is, c.deployed, got)
			continue
		}
		for i, want := range c.says {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s, %s, deployed %s: %q, want %q", c.was, c.is, c.deployed, got[i], want)
			}
		}
	}
}

func TestRepositoryOfARemote(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/o/r.git": "o/r", "https://github.com/o/r/": "o/r", "git@github.com:o/r.git": "o/r", "ssh://git@github.com/o/r": "o/r",
		"https://user@github.com/o/r": "o/r", "/srv/o/r.git": "o/r", "r": "r", "": "",
	} {
		if got := cli.RepositoryOf(url); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}
