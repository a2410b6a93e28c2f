package tasks_test

import (
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

func TestPublishDatasetSaysWhatThePublicMayDo(t *testing.T) {
	cases := []struct {
		name   string
		entity sandbox.Entity
		want   string
	}{
		{"read and download", sandbox.Entity{Public: []string{"READ", "DOWNLOAD"}}, "open: false → true"},
		{"read only", sandbox.Entity{Public: []string{"READ"}}, "open: false → true; but the public may read, not download"},
		{"download without read", sandbox.Entity{Public: []string{"DOWNLOAD"}}, "open: false → true; but the public may not download"},
		{"nothing", sandbox.Entity{}, "open: false → true; but the public may not download"},
		{"inherited, public", sandbox.Entity{Benefactor: "syn123"}, "open: false → true; but the public may read (the ACL is inherited: the benefactor's tells about downloads)"},
		{"inherited, private", sandbox.Entity{Benefactor: "syn127"}, "open: false → true; but the public may not read (the ACL is inherited)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "publish-dataset", inputs{"entities": "syn500"})
			c.entity.ID, c.entity.Owner = "syn500", "3350396"
			r.sandbox.SetEntity(c.entity)
			e := r.one()
			equal(t, "summary", e.Summary, c.want)
			notes := r.p.Notes(r.v, []ops.Effect{e})
			if said := len(notes) > 0; said == (e.Before["public"] == "may download") {
				t.Errorf("the public %v, and the notes are %q", e.Before["public"], notes)
			}
			for _, note := range notes {
				contains(t, "note", note, "1 of 1 entity", "273949")
			}
		})
	}
}

func TestPublishAndUnpublishDataset(t *testing.T) {
	r := newRig(t, "publish-dataset", inputs{"entities": "syn123,124"})
	effects := r.mustPlan()
	done := []ops.Effect{r.done(effects[0]), r.done(effects[1])}
	equal(t, "open", r.sandbox.IsOpenData("syn124"), true)
	equal(t, "undo", r.undo(done...), "synops run unpublish-dataset entities=syn123,syn124 -e dev")
	contains(t, "summary of what is open already", r.mustPlan()[1].Summary, "open is true already", "not download")
	equal(t, "undo of nothing", r.undo(r.mustPlan()...), "nothing to undo: nothing was changed.")

	back := rigWith(t, r.sandbox, "unpublish-dataset", inputs{"entities": "syn123"})
	e := back.one()
	equal(t, "summary", e.Summary, "open: true → false")
	equal(t, "undo", back.undo(back.done(e)), "synops run publish-dataset entities=syn123 -e dev")
	equal(t, "open", r.sandbox.IsOpenData("syn123"), false)
	if d, settled, err := back.p.Settle(t.Context(), back.v, e); !settled || err != nil || d.After["open"] != false {
		t.Errorf("settling gave %+v, %t and %v, want it done", d, settled, err)
	}
}

// The service would take any ID: a slip must be found here.
func TestDatasetMustExist(t *testing.T) {
	for _, name := range []ops.TaskName{"publish-dataset", "unpublish-dataset"} {
		for entity, why := range map[string]string{"syn999999": "unknown", "syn126": "in the trash"} {
			t.Run(string(name)+"/"+why, func(t *testing.T) {
				refusal := newRig(t, name, inputs{"entities": entity}).refusedPlan()
				equal(t, "guard", refusal.Guard, "entity-exists")
				equal(t, "code", refusal.Code, ops.NotFound)
				contains(t, "reason", refusal.Reason, "entity/"+entity, "trash")
			})
		}
	}
}

func TestPublishDatasetStopsWhenTheACLCannotBeRead(t *testing.T) {
	r := newRig(t, "publish-dataset", inputs{"entities": "syn123"})
	r.sandbox.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Kind: sandbox.BadToken, Path: "/acl"}}})
	_, err := r.plan()
	equal(t, "code", ops.CodeOf(err), ops.Denied)
	if !strings.HasPrefix(err.Error(), "reading the ACL of entity/syn123: ") {
		t.Errorf("the error is %v", err)
	}
}
