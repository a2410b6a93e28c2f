package tasks

import (
	"context"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var publishDatasetTask = ops.Task{
	Name: "publish-dataset", Version: 1,
	Title:   "Open data sets to the public",
	Summary: "Sets the data type of entities to OPEN_DATA, so that they may be downloaded without logging in.",
	Details: "Open data alone does not let the public download: the entity's access control list (ACL) must also grant READ and DOWNLOAD to the public group (273949). " +
		"The plan says where it does not; this task does not change ACLs. Each entity must exist and not be in the trash.",
	Undo:     "unpublish-dataset over the same entities.",
	Inputs:   entitiesInputs(),
	Class:    ops.Changes,
	Lane:     ops.LaneAdmin,
	Noun:     "entity",
	Plural:   "entities",
	Deciding: []string{"open"},
	Lease:    datasetsLease,

	TargetsInput: entitiesInput,
	TimeLimit:    8 * time.Hour,
}

func publishDataset(s Service) ops.Procedure {
	d := dataset{s}
	c := d.change(synapse.OpenData)
	p := c.procedure()
	p.Plan = func(ctx context.Context, v ops.Values, t ops.Target) (ops.Effect, error) {
		perms, err := d.permissions(ctx, t)
		if err != nil {
			return ops.Effect{}, err
		}
		public, err := d.public(ctx, t, perms)
		if err != nil {
			return ops.Effect{}, err
		}
		e := c.effect(v, t, ops.State{"open": perms.IsEntityOpenData, "public": public})
		if public != publicDownloads {
			e.Summary += "; but the public " + public
		}
		return e, nil
	}
	p.Notes = func(_ ops.Values, effects []ops.Effect) []string {
		n := count(effects, func(e ops.Effect) bool { return e.Before["public"] != publicDownloads })
		if n == 0 {
			return nil
		}
		return []string{of(&publishDatasetTask, n, len(effects)) +
			": the ACL does not let the public download, or is inherited. It must grant READ and DOWNLOAD to the public group (273949); this task does not change it."}
	}
	p.Undo = inverse(func(_ ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
		return ops.Command(unpublishDatasetTask.Name, env, [2]string{entitiesInput, listOf(done)})
	})
	return p
}
