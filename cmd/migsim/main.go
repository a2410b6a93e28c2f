// Migsim lets a schedule migrate a simulated pair of stacks and prints what it came
// to. It is for judging schedules: it calls no service.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate/trial"
	sim "github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes are synops's: 0 all rows right and no rule broken, 1 not so, 2
// invalid flags.
func run(args []string, out, errs io.Writer) int {
	var c trial.Config
	var asJSON bool
	var picture string
	f := flag.NewFlagSet("migsim", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&c.Profile, "profile", "R", "R: restores dominate, B: backups, E: neither")
	f.StringVar(&c.Situation, "situation", "final", "initial, nightly or final")
	f.Int64Var(&c.Seed, "seed", 1, "what is random follows from it")
	f.StringVar(&c.Schedule, "schedule", "ours", "ours or incumbent")
	f.Int64Var(&c.Scale, "scale", 1, "above 1: so many times fewer rows, real ones with real checksums")
	f.IntVar(&c.Slots, "slots", 8, "workers per stack")
	f.BoolVar(&c.Faults, "faults", true, "calls and jobs that fail, a lost worker, jobs delivered twice")
	f.BoolVar(&c.Full, "full", false, "compare everything again at the end (verify=full)")
	f.IntVar(&c.Kills, "kills", 0, "kill the client at so many random instants, and resume it")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&picture, "svg", "", "draw what ran when into this `FILE`")
	if err := f.Parse(args); err != nil {
		return 2
	}
	c.Writes = c.Scale > 1
	if f.NArg() > 0 || c.Valid() != nil {
		fmt.Fprintln(errs, "migsim:", c.Valid(), strings.Join(f.Args(), " "))
		return 2
	}
	if c.Kills > 0 { // they fall within an undisturbed run
		calm := c
		calm.Kills = 0
		r, err := trial.Run(calm)
		if err != nil {
			fmt.Fprintln(errs, "migsim:", err)
			return 2
		}
		c.Makespan = r.Makespan
	}
	r, err := trial.Run(c)
	if err != nil {
		fmt.Fprintln(errs, "migsim:", err)
		return 2
	}
	if picture != "" {
		title := fmt.Sprintf("%s, profile %s, %s, seed %d", r.Schedule, r.Profile, r.Situation, r.Seed)
		if err := os.WriteFile(picture, migrate.Picture(title, r.Stretches), 0o644); err != nil {
			fmt.Fprintln(errs, "migsim:", err)
			return 1
		}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		_ = e.Encode(r)
	} else {
		show(out, r)
	}
	if r.Wrong > 0 || len(r.Violations) > 0 || r.Error != "" {
		return 1
	}
	return 0
}

func show(out io.Writer, r *trial.Result) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-18s "+format+"\n", append([]any{name}, args...)...)
	}
	line("schedule", "%s, profile %s, %s, seed %d, scale %d, faults %t", r.Schedule, r.Profile, r.Situation, r.Seed, r.Scale, r.Faults)
	line("makespan_s", "%.0f (%.2f h)", r.Makespan, r.Makespan/3600)
	line("outage_s", "%.0f", r.Outage)
	line("bound_s", "%.0f (makespan is %.2f of it)", r.Bound, r.Makespan/r.Bound)
	if r.AsDealt > r.Bound {
		why := "the destination did not answer for a while"
		if r.Redone == r.AsDealt {
			why = "the lost worker held a restore"
		}
		line("", "%.0f as %s (makespan is %.2f of it)", r.AsDealt, why, r.Makespan/r.AsDealt)
	}
	for _, side := range []sim.Side{sim.Source, sim.Destination} {
		var parts []string
		total := 0
		for _, k := range sim.Kinds() {
			if n := r.Jobs[side.String()][string(k)]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", k, n))
				total += n
			}
		}
		line(side.String()+" jobs", "%d: %s; slots %.0f %% used", total, strings.Join(parts, ", "), 100*r.SlotUse[side])
	}
	line("rows_copied", "%d", r.Copied)
	line("rows_changed", "%d (%.1f copied for each)", r.Changed, float64(r.Copied)/float64(max(r.Changed, 1)))
	line("wrong_rows", "%d (and %d that users changed meanwhile)", r.Wrong, r.Behind)
	line("violations", "%d", len(r.Violations))
	for i, v := range r.Violations {
		if i == 20 {
			line("", "and %d more", len(r.Violations)-i)
			break
		}
		line("", "%s", v)
	}
	line("repeated", "%d jobs did again what had been done", r.Repeated)
	if r.Kills > 0 {
		line("kills", "%d, with %d jobs in flight", r.Kills, r.InFlight)
	}
	line("client_requests", "%d (%.2f a second)", r.Calls, float64(r.Calls)/r.Makespan)
	if r.Saves > 0 {
		line("journal", "%d records in %d documents", r.Records, r.Saves)
	}
	line("peak_client_bytes", "%d", r.PeakClient)
	if r.Error != "" {
		line("error", "%s", r.Error)
	}
}
