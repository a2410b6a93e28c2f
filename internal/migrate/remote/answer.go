package remote

import (
	"fmt"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// read makes sense of what a job answered; else why tells what is wrong with it.
// What is missing in an answer must not pass for "there is nothing": rows would be
// deleted for it.
func read(j migrate.Job, a synapse.MigrationAnswer) (answer *migrate.Answer, why string) {
	out := &migrate.Answer{Key: a.BackupKey, Rows: a.Restored}
	switch j.Kind {
	case migrate.Counts:
		out.Marks, why = marks(j, a.Counts)
	case migrate.Ranges:
		out.Ranges = ranges(a.Ranges)
	case migrate.Checksum:
		out.Bins, why = bins(j, a.Checksums)
	case migrate.Backup:
		if a.BackupKey == "" {
			why = "the backup is complete, but its answer names no file"
		}
	case migrate.Restore:
	}
	if why != "" {
		return nil, why
	}
	return out, ""
}

func marks(j migrate.Job, counts []synapse.MigrationCount) (map[string]migrate.Mark, string) {
	out := map[string]migrate.Mark{}
	for _, c := range counts {
		m := migrate.Mark{}
		switch {
		case c.Min == nil && c.Max == nil:
		case c.Min == nil || c.Max == nil:
			return nil, fmt.Sprintf("the counts have one bound only for type %s", c.Type)
		case *c.Min > *c.Max || *c.Min < 0:
			return nil, fmt.Sprintf("the counts say that the IDs of type %s reach from %d to %d, which no table's do", c.Type, *c.Min, *c.Max)
		default:
			m = migrate.Mark{Span: migrate.Span{Min: *c.Min, Max: *c.Max}, Any: true}
		}
		out[c.Type] = m
	}
	for _, t := range j.Types {
		if _, ok := out[t]; !ok {
			return nil, fmt.Sprintf("the counts leave out type %s", t)
		}
	}
	return out, ""
}

// ranges may be anything: the scheduler closes their holes.
func ranges(list []synapse.MigrationIDs) []migrate.Span {
	var out []migrate.Span
	for _, r := range list {
		if r.End <= r.Min { // none; and one less than the least number would be the largest
			continue
		}
		out = append(out, migrate.Span{Min: r.Min, Max: r.End - 1})
	}
	return out
}

func bins(j migrate.Job, list []synapse.MigrationChecksum) ([]migrate.Bin, string) {
	seen := make(map[int64]bool, len(list))
	out := make([]migrate.Bin, 0, len(list))
	for _, b := range list {
		if b.Bin < j.Min/j.Size || b.Bin > j.Max/j.Size || seen[b.Bin] {
			return nil, fmt.Sprintf("bin %d was answered, or twice, for %s from %d to %d in bins of %d", b.Bin, j.Type, j.Min, j.Max, j.Size)
		}
		if b.Count < 0 {
			return nil, fmt.Sprintf("bin %d was answered with %d rows, for %s from %d to %d in bins of %d", b.Bin, b.Count, j.Type, j.Min, j.Max, j.Size)
		}
		seen[b.Bin] = true
		out = append(out, migrate.Bin{Number: b.Bin, Count: b.Count, Checksum: b.Sum, Min: b.Min, Max: b.Max})
	}
	return out, ""
}
