package tasks

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// The input and the lease that publish-dataset and unpublish-dataset share.
const (
	entitiesInput = "entities"
	datasetsLease = "datasets"
)

func entitiesInputs() []ops.Input {
	return []ops.Input{{
		Name: entitiesInput, Kind: ops.KindEntityID, List: true, Example: "syn123,syn124",
		Help: "IDs of the entities (a bare number is read as one too).",
	}}
}

// dataset opens data sets to the public, or closes them.
type dataset struct{ dataTypes }

// change sets the data type of each entity.
func (d dataset) change(to synapse.DataType) change {
	return change{
		targets: listed(entitiesInput, "entity"),
		read: func(ctx context.Context, _ ops.Values, t ops.Target) (ops.State, error) {
			p, err := d.permissions(ctx, t)
			return ops.State{"open": p.IsEntityOpenData}, err
		},
		want: func(ops.Values, ops.Target) ops.State { return ops.State{"open": to == synapse.OpenData} },
		set: func(ctx context.Context, _ ops.Values, t ops.Target) error {
			r, err := d.SetDataType(ctx, t.Value, to)
			if err == nil && r.DataType != to {
				err = ops.Errorf(ops.Conflict, "the service accepted the change of %s but answers that its data type is %s.", t.Label, ops.Quote(string(r.DataType)))
			}
			return err
		},
		settle: ops.SettleRead,
	}
}

// permissions proves that the entity exists: setting a data type does not, so a
// slip in an ID would pass unseen.
func (d dataset) permissions(ctx context.Context, t ops.Target) (synapse.EntityPermissions, error) {
	p, err := d.EntityPermissions(ctx, t.Value)
	if ops.CodeOf(err) == ops.NotFound {
		return p, refuse("entity-exists", ops.NotFound, "Check the ID, and the environment.", "%s was not found, or is in the trash.", t.Label)
	}
	if err != nil {
		return p, fmt.Errorf("reading the permissions of %s: %w", t.Label, err)
	}
	return p, nil
}

// What the public group may do with an entity, as far as it can be told.
const (
	publicDownloads    = "may download"
	publicReadsOnly    = "may read, not download"
	publicNothing      = "may not download"
	publicInheritsRead = "may read (the ACL is inherited: the benefactor's tells about downloads)"
	publicInheritsNone = "may not read (the ACL is inherited)"
)

// public tells what the public group may do, by the entity's ACL, or by its
// permissions where the ACL is inherited.
func (d dataset) public(ctx context.Context, t ops.Target, p synapse.EntityPermissions) (string, error) {
	acl, err := d.EntityACL(ctx, t.Value)
	switch ops.CodeOf(err) {
	case "":
		return granted(acl), nil
	case ops.NotFound:
		if p.CanPublicRead {
			return publicInheritsRead, nil
		}
		return publicInheritsNone, nil
	}
	return "", fmt.Errorf("reading the ACL of %s: %w", t.Label, err)
}

func granted(acl synapse.ACL) string {
	var types []string
	for _, r := range acl.ResourceAccess {
		if strconv.FormatInt(r.PrincipalID, 10) == synapse.Public {
			types = append(types, r.AccessType...)
		}
	}
	switch read, download := slices.Contains(types, "READ"), slices.Contains(types, "DOWNLOAD"); {
	case read && download:
		return publicDownloads
	case read:
		return publicReadsOnly
	}
	return publicNothing
}
