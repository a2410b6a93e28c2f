package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox/migration"
)

// pairFlags say what two simulated stacks hold and how fast their time passes.
type pairFlags struct {
	config migration.Config
	types  []string
	speed  float64
	write  string
}

// pairFlagNames are the flags that mean something with --migration only.
var pairFlagNames = []string{"profile", "situation", "scale", "seed", "types", "faults", "writes", "speed", "write"}

func (f *pairFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.config.Profile, "profile", "E", "with --migration: `P` is what takes longest: R (restores), B (backups) or E (neither)")
	fs.StringVar(&f.config.Situation, "situation", "nightly", "with --migration: `SITUATION` is initial, nightly or final (the source is READ_ONLY)")
	fs.Int64Var(&f.config.Scale, "scale", 1000, "with --migration: `N` times fewer rows than production; batches shrink alike")
	fs.Int64Var(&f.config.Seed, "seed", 1, "with --migration: `N` decides about rows, times and faults")
	fs.StringSliceVar(&f.types, "types", nil, "with --migration: these primary `TYPES` only, such as NODE,ACL,CHANGE")
	fs.BoolVar(&f.config.Faults, "faults", false, "with --migration: jobs fail, polls do not get through, a worker is lost")
	fs.BoolVar(&f.config.Writes, "writes", false, "with --migration: users change the source meanwhile")
	fs.Float64Var(&f.speed, "speed", 1, "with --migration: time passes `N` times as fast")
	fs.StringVar(&f.write, "write", "", "with --migration: write an environments file and both credentials into `DIR`")
}

// none refuses flags that would do nothing.
func (f *pairFlags) none(cmd *cobra.Command) error {
	for _, name := range pairFlagNames {
		if cmd.Flags().Changed(name) {
			return ops.Errorf(ops.Invalid, "--%s means something with --migration only.", name)
		}
	}
	return nil
}

// A servedPair is what is printed of it, and in JSON the document.
type servedPair struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Report      string `json:"report"`
	BatchSize   int64  `json:"batch_size"`
	Config      string `json:"config,omitempty"` // the environments file that was written
}

func (a *app) sandboxPair(cmd *cobra.Command, f *sandboxFlags) error {
	switch {
	case f.pair.speed <= 0 || f.pair.speed > 10_000:
		return ops.Errorf(ops.Invalid, "--speed %g is not above 0 and at most 10000.", f.pair.speed)
	case f.second == "":
		f.second = "127.0.0.1:8545"
	}
	c := f.pair.config
	c.Types = f.pair.types
	pair, err := migration.New(c)
	if err != nil {
		return ops.Errorf(ops.Invalid, "%v.", err)
	}
	var listeners [2]net.Listener
	var hosts [2]string
	for side, address := range []string{f.address, f.second} {
		if listeners[side], err = listenLoopback(address); err != nil {
			return err
		}
		defer listeners[side].Close()
		hosts[side] = "http://" + listeners[side].Addr().String()
	}
	doc := servedPair{Source: hosts[0], Destination: hosts[1], Report: hosts[0] + "/sandbox/report", BatchSize: pair.BatchSize()}
	if f.pair.write != "" {
		if doc.Config, err = writePair(f.pair.write, hosts, pair.Instances()); err != nil {
			return err
		}
	}
	if err := a.print(doc, func(w io.Writer) error { return f.pair.describe(w, doc, pair) }); err != nil {
		return err
	}
	a.flush()
	stacks := migration.NewStacks(pair, time.Now, f.pair.speed)
	ctx, end := context.WithCancel(cmd.Context())
	ended := make(chan error, len(listeners))
	for side, l := range listeners {
		go func() { ended <- stacks.Serve(ctx, migration.Side(side), l) }()
	}
	err = <-ended
	end()
	<-ended
	stacks.Look(func(p *migration.Pair) { a.sayLines(judged(p.Summary())) })
	return served(err)
}

func (f *pairFlags) describe(w io.Writer, doc servedPair, p *migration.Pair) error {
	rows := int64(0)
	for _, n := range p.Rows() {
		rows += n
	}
	types, _ := p.Types()
	names := p.Instances()
	pace := ""
	if f.speed != 1 {
		pace = fmt.Sprintf("; time passes %g times as fast", f.speed)
	}
	lines := []string{
		fmt.Sprintf("Two simulated stacks: %s, profile %s, %d types with %d rows, batches of %d%s.", f.config.Situation, f.config.Profile, len(types), rows, doc.BatchSize, pace),
		fmt.Sprintf("source       %s  instance %s, %s", doc.Source, names[0], p.StackStatus(migration.Source)),
		fmt.Sprintf("destination  %s  instance %s, %s", doc.Destination, names[1], p.StackStatus(migration.Destination)),
		fmt.Sprintf("credentials  %s:%s and %s:%s; they open nothing else", migration.Key, migration.SourceSecret, migration.Key, migration.DestinationSecret),
		"report       " + doc.Report,
	}
	if doc.Config == "" {
		lines = append(lines, "", "With --write DIR, DIR gets the credentials and this environments file:", "")
		lines = append(lines, strings.Split(strings.TrimSuffix(environmentOf("DIR", [2]string{doc.Source, doc.Destination}, names), "\n"), "\n")...)
	} else {
		lines = append(lines,
			"next         export SYNOPS_CONFIG="+ops.ShellQuote(doc.Config)+" SYNAPSE_HOST="+doc.Source,
			fmt.Sprintf("             synops run migrate-status source-host=%s destination-host=%s -e sandbox", doc.Source, doc.Destination))
	}
	return printLines(w, lines)
}

// environmentOf is an environments file for the two.
func environmentOf(dir string, hosts, names [2]string) string {
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	return fmt.Sprintf(`environments:
  sandbox:
    synapse_hosts: [%s, %s]
    instances: [%s, %s]
    migration_source: %s
    migration_destination: %s
`, quoted(hosts[0]), quoted(hosts[1]), quoted(names[0]), quoted(names[1]),
		quoted("file:"+filepath.Join(dir, "source")), quoted("file:"+filepath.Join(dir, "destination")))
}

// writePair writes what an operator needs to use the two, and returns the path of
// the environments file.
func writePair(dir string, hosts, names [2]string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	config := filepath.Join(dir, "environments.yaml")
	for _, file := range [][2]string{ // the environments file last: who sees it, has all
		{filepath.Join(dir, "source"), migration.Key + ":" + migration.SourceSecret},
		{filepath.Join(dir, "destination"), migration.Key + ":" + migration.DestinationSecret},
		{config, environmentOf(dir, hosts, names)},
	} {
		if err == nil {
			err = writeWhole(file[0], file[1])
		}
	}
	if err != nil {
		return "", &ops.Error{Code: ops.Unavailable, Err: err, Message: "cannot write the environments file: " + err.Error() + ".", Hint: "Name a folder of yours with --write."}
	}
	return config, nil
}

// judged are the lines that tell what became of a migration between the two.
func judged(s migration.Summary) []string {
	if len(s.Jobs["source"])+len(s.Jobs["destination"]) == 0 {
		return []string{"No job was started."}
	}
	lines := []string{fmt.Sprintf("%d rows were copied; %d are wrong, and %d that users changed meanwhile are behind. %d jobs did again what had been done. Rules broken: %d.",
		s.Copied, s.Wrong, s.Behind, s.Repeated, len(s.Violations))}
	const most = 10
	for _, v := range s.Violations[:min(most, len(s.Violations))] {
		lines = append(lines, "  "+v)
	}
	return lines
}

// writeWhole writes a file that nobody ever sees a part of: whoever waits for it reads
// it at once.
func writeWhole(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
