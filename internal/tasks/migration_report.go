package tasks

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
)

// slowestShown is how many jobs a report names.
const slowestShown = 10

// report keeps the report and the timeline, and returns where the report is; "" when
// it could not be kept, which ends no migration.
func (c *copying) report(ctx context.Context, how string) string {
	now := time.Now().UTC()
	name := "migration-" + now.Format("20060102-150405")
	picture := migrate.Picture(fmt.Sprintf("%s to %s", c.begin.Source, c.begin.Destination), c.sched.Stretches())
	if _, err := c.step.Artifact(ctx, name+".svg", picture); err != nil {
		c.step.Log("note: the timeline could not be kept: %v", err)
	}
	status := c.both[migrate.Destination].status
	if s, err := c.x.Stack(migrate.Destination).StackStatus(ctx); err == nil {
		status = s.Status
	}
	where, err := c.step.Artifact(ctx, name+".md", migrationReport(c, how, status, name+".svg", now))
	if err != nil {
		c.step.Log("note: the report could not be kept: %v", err)
	}
	return where
}

// migrationReport is the report as Markdown: first what somebody must do.
func migrationReport(c *copying, how, status, picture string, now time.Time) []byte {
	var b bytes.Buffer
	r := c.sched.Report(now)
	fmt.Fprintf(&b, "# Migration of %s into %s\n\n", cell(c.begin.Source), cell(c.begin.Destination))
	if status != "READ_WRITE" {
		leave := cell(c.leave(c.step.Values))
		if how != "" {
			leave = "Where this run can be resumed, that goes on with it. " + leave
		}
		fmt.Fprintf(&b, "**The destination is %s: it answers its users with 503.** %s\n\n", cell(status), leave)
	}
	if how != "" {
		fmt.Fprintf(&b, "It is not finished: %s\n\n", cell(c.sched.Progress(now).String()))
	}
	fmt.Fprintf(&b, "%s\n\nWhat ran when: [%s](%s)\n", r.Summary(), picture, picture)
	writeTypes(&b, r)
	writeFailures(&b, r)
	fmt.Fprint(&b, "\n## Slowest jobs\n\n| job | type | IDs from | to | took |\n|---|---|--:|--:|--:|\n")
	for _, j := range c.sched.Slowest(slowestShown) {
		fmt.Fprintf(&b, "| %s on the %s | %s | %d | %d | %.1f s |\n", j.Kind, j.Side, cell(j.Type), j.Span.Min, j.Span.Max, float64(j.End-j.Began)/1000)
	}
	fmt.Fprint(&b, "\n## What to tune\n\n")
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "- %s\n", cell(a))
	}
	if len(r.Advice) == 0 {
		fmt.Fprintln(&b, "Nothing stood out.")
	}
	return b.Bytes()
}

func writeTypes(b *bytes.Buffer, r migrate.Report) {
	fmt.Fprint(b, "\n## Types\n\nrows: of the primary table, as compared at the source. copied: rows restored, those of secondary tables included.\n\n"+
		"| type | | rows | copied | ranges | repairs | source's jobs | destination's jobs | in the end |\n|---|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, t := range r.Types {
		end := ""
		if n := len(t.GivenUp); n > 0 {
			end = fmt.Sprintf("%d ranges given up", n)
		}
		if n := len(t.Unsure); n > 0 {
			end = strings.TrimPrefix(end+fmt.Sprintf(", %d ranges not compared", n), ", ")
		}
		if n := len(t.Differs); n > 0 {
			end = strings.TrimPrefix(end+fmt.Sprintf(", %d ranges differ", n), ", ")
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %v | %v | %s |\n", cell(t.Type), t.Stage, t.Rows, t.Copied, t.Ranges, t.Repairs,
			t.Source.Round(time.Second), t.Restore.Round(time.Second), end)
	}
}

// failuresShown is how many failures a report lists; what is not right in the end comes first.
const failuresShown = 40

func writeFailures(b *bytes.Buffer, r migrate.Report) {
	if len(r.Failures) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Failures\n\n%d ranges could not be copied, and %d could not be compared and are not verified.\n\n| job | type | IDs from | to | why | what became of it |\n|---|---|--:|--:|---|---|\n", r.GivenUp, r.Unsure)
	sorted := slices.Clone(r.Failures)
	slices.SortStableFunc(sorted, func(x, y migrate.Failure) int { return cmp.Compare(x.Weight(), y.Weight()) })
	for _, f := range sorted[:min(len(sorted), failuresShown)] {
		became := f.Became
		if f.Weight() == 0 {
			became = "**" + became + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %s | %s |\n", f.Kind, cell(f.Type), f.Span.Min, f.Span.Max, cell(f.Reason), became)
	}
	if more := len(sorted) - failuresShown; more > 0 {
		fmt.Fprintf(b, "\n%d more are not shown.\n", more)
	}
}

// verifyReport tells what differs, as Markdown.
func verifyReport(c *copying, r migrate.Report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s compared with %s\n\n", cell(c.begin.Destination), cell(c.begin.Source))
	fmt.Fprintf(&b, "%d of %d types differ. The source is %s. %d ranges could not be compared.\n\n", len(r.Differing()), len(r.Types), cell(c.both[migrate.Source].status), r.Unsure)
	fmt.Fprintln(&b, "| type | rows at the source | ranges that differ | IDs from | to | not compared |\n|---|--:|--:|--:|--:|--:|")
	for _, t := range r.Types {
		from, to := "", ""
		if n := len(t.Differs); n > 0 {
			from, to = fmt.Sprint(t.Differs[0].Min), fmt.Sprint(t.Differs[n-1].Max)
		}
		unsure := ""
		if n := len(t.Unsure); n > 0 {
			unsure = fmt.Sprintf("%d ranges", n)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s |\n", cell(t.Type), t.Rows, len(t.Differs), from, to, unsure)
	}
	writeFailures(&b, r)
	return b.Bytes()
}
