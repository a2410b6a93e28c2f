package tasks

import (
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

var unpublishDatasetTask = ops.Task{
	Name: "unpublish-dataset", Version: 1,
	Title:   "Close data sets to the public",
	Summary: "Sets the data type of entities to SENSITIVE_DATA, so that nobody downloads them without logging in.",
	Details: "What was downloaded before stays where it is. The entity's access control list is not changed: who may read it still may. " +
		"Each entity must exist and not be in the trash.",
	Undo:     "publish-dataset over the same entities.",
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

func unpublishDataset(s Service) ops.Procedure {
	p := dataset{s}.change(synapse.SensitiveData).procedure()
	p.Undo = inverse(func(_ ops.Values, env ops.EnvironmentName, done []ops.Effect) string {
		return ops.Command(publishDatasetTask.Name, env, [2]string{entitiesInput, listOf(done)})
	})
	return p
}
