package tasks

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// Migration is what the tasks of lane migrate ask of two stacks, each with its own
// credential. Safe for concurrent use.
type Migration interface {
	Environment() *ops.Environment
	// Host is a stack's base URL, as the request names it.
	Host(side migrate.Side) string
	Stack(side migrate.Side) MigrationStack
	// Users tells which instance the environment's own host leads to, where users are.
	Users(ctx context.Context) (host string, v synapse.Version, err error)
	// Follow returns what does jobs on the two. giveUp is called with the reason when
	// asking on makes no sense.
	Follow(giveUp context.CancelCauseFunc) MigrationJobs
}

// MigrationStack is what is asked of one stack. Errors carry ops codes, as Service's
// do.
type MigrationStack interface {
	Version(ctx context.Context) (synapse.Version, error)
	StackStatus(ctx context.Context) (synapse.StackStatus, error)
	SetStackStatus(ctx context.Context, s synapse.StackStatus) (synapse.StackStatus, error)
	Types(ctx context.Context) ([]string, error)
	PrimaryTypes(ctx context.Context) ([]string, error)
}

// MigrationJobs does jobs. Close it when done.
type MigrationJobs interface {
	migrate.Executor
	// Away is for how long a stack has answered no call, and GivesUp after how long it
	// is given up.
	Away(side migrate.Side) time.Duration
	GivesUp() time.Duration
	Close()
}

// The inputs that name the stacks.
var (
	sourceHost = ops.Input{Name: "source-host", Kind: ops.KindHost, Example: "https://repo-prod.prod.sagebase.org",
		Help: "The stack that is copied from: a host of the environment."}
	destinationHost = ops.Input{Name: "destination-host", Kind: ops.KindHost, Example: "https://repo-staging.prod.sagebase.org",
		Help: "The stack that is copied to: another host of the same environment."}
	typesInput = ops.Input{Name: "types", Kind: ops.KindText, Default: "all", Pattern: `all|[A-Z][A-Z0-9_]*(,[A-Z][A-Z0-9_]*)*`, Most: 8000, Example: "all",
		Rule: "It is all, or the names of primary types such as NODE,ACL.", Help: "all, or the primary types that are meant, separated by commas."}
	batchInput = ops.Input{Name: "batch-size", Kind: ops.KindInteger, Default: "50000", Example: "50000", Least: 10, Most: 100_000,
		Help: "Rows of a backup, and IDs of a bin that is compared."}
)

// MigrationHosts are the hosts that a request of a migration's task names.
func MigrationHosts(v ops.Values) [2]string {
	return [2]string{v.Text(sourceHost.Name), v.Text(destinationHost.Name)}
}

// hostName is a base URL without its scheme.
func hostName(host string) string {
	_, name, _ := strings.Cut(host, "://")
	return name
}

// pairTarget is the one target: the destination.
func pairTarget(v ops.Values) []ops.Target {
	name := hostName(v.Text(destinationHost.Name))
	return []ops.Target{{ID: "migration/" + name, Label: name, Value: name}}
}

// A pair is two stacks that a task is about.
type pair struct {
	x     Migration
	pause pause
	// patient: a stack that does not answer is asked again for some minutes. Somebody
	// waits for what a task that only looks tells.
	patient bool
}

// A stackState is one stack as it says it is.
type stackState struct {
	host              string
	instance, version string
	status, message   string
	pending           string
	types, primary    []string
}

func (s stackState) String() string { return s.instance + " " + s.version }

// How long a stack that does not answer is asked again: deployments and restarts
// take it away for a minute or two, and a copy of days must not end for that.
const (
	stackPatience = 3 * time.Minute
	stackPause    = 10 * time.Second
)

// ask asks a stack, again while nothing answers.
func (p pair) ask(ctx context.Context, question func() error) error {
	began := time.Now()
	for {
		err := question()
		if ops.CodeOf(err) != ops.Unavailable || ctx.Err() != nil || !p.patient || time.Since(began) >= stackPatience || p.pause(ctx, jittered(stackPause)) != nil {
			return err
		}
	}
}

// identity asks both stacks who they are and how they are.
func (p pair) identity(ctx context.Context) (both [2]stackState, err error) {
	for side := range both {
		s := &both[side]
		stack := p.x.Stack(migrate.Side(side))
		s.host = p.x.Host(migrate.Side(side))
		var v synapse.Version
		var status synapse.StackStatus
		if err := p.ask(ctx, func() (err error) { v, err = stack.Version(ctx); return err }); err != nil {
			return both, fmt.Errorf("asking which instance answers at %s, the %s: %w", s.host, migrate.Side(side), err)
		}
		if err := p.ask(ctx, func() (err error) { status, err = stack.StackStatus(ctx); return err }); err != nil {
			return both, fmt.Errorf("asking the status of %s, the %s: %w", s.host, migrate.Side(side), err)
		}
		s.instance, s.version = ops.Clip(v.StackInstance), ops.Clip(v.Version)
		s.status, s.message, s.pending = status.Status, status.CurrentMessage, status.PendingMaintenanceMessage
		if s.instance == "" || s.version == "" {
			return both, ops.Refuse("migration-pair", "Ask whether it is a Synapse host.", "%s does not say which instance and version it is.", s.host)
		}
	}
	return both, nil
}

// read is identity and the types that each stack has.
func (p pair) read(ctx context.Context) ([2]stackState, error) {
	both, err := p.identity(ctx)
	if err != nil {
		return both, err
	}
	for side := range both {
		s := &both[side]
		stack := p.x.Stack(migrate.Side(side))
		if err := p.ask(ctx, func() (err error) { s.types, err = stack.Types(ctx); return err }); err != nil {
			return both, fmt.Errorf("asking %s which types it has: %w", s.host, err)
		}
		if err := p.ask(ctx, func() (err error) { s.primary, err = stack.PrimaryTypes(ctx); return err }); err != nil {
			return both, fmt.Errorf("asking %s which types are migrated: %w", s.host, err)
		}
		if len(s.primary) == 0 {
			return both, ops.Errorf(ops.Internal, "%s names no type that is migrated.", s.host)
		}
	}
	return both, nil
}

// guards are asked before the plan, at every attempt. writes: the destination is
// written to.
func (p pair) guards(writes bool) []ops.Guard {
	g := []ops.Guard{{Name: "migration-pair", Ask: p.askPair}, {Name: "migration-credential", Ask: p.askCredentials}}
	if writes {
		g = append(g, ops.Guard{Name: "migration-destination", Ask: p.askDestination})
	}
	return g
}

// askPair wants two different stacks of one family, and such as the environment
// pins.
func (p pair) askPair(ctx context.Context) error {
	const guard = "migration-pair"
	env := p.x.Environment()
	both, err := p.identity(ctx)
	if err != nil {
		return err
	}
	s, d := both[migrate.Source], both[migrate.Destination]
	if s.host == d.host || s.instance == d.instance {
		return ops.Refuse(guard, "Name two different stacks.", "source and destination are the same stack: %s is instance %s, and %s is instance %s.",
			s.host, ops.Quote(s.instance), d.host, ops.Quote(d.instance))
	}
	for _, one := range both {
		if len(env.Instances) > 0 && !slices.ContainsFunc(env.Instances, func(pattern string) bool { ok, _ := path.Match(pattern, one.instance); return ok }) {
			return ops.Refuse(guard, fmt.Sprintf("Instances of %s match %v.", env.Name, env.Instances), "%s answers as instance %s.", one.host, ops.Quote(one.instance))
		}
		if f := family(one.host); env.Stack != "" && f != loopbackFamily && !strings.HasPrefix(f, env.Stack+".") {
			return ops.Refuse(guard, fmt.Sprintf("Stacks of %s are under %s.", env.Name, env.Stack), "%s is of another family of stacks.", one.host)
		}
	}
	if family(s.host) != family(d.host) {
		return ops.Refuse(guard, "Only stacks of one family share the place where backups are kept.", "%s and %s are of different families: %s and %s.",
			s.host, d.host, family(s.host), family(d.host))
	}
	return nil
}

// askCredentials asks both stacks for what only their own credential may read.
func (p pair) askCredentials(ctx context.Context) error {
	for side := range migrate.Side(2) {
		err := p.ask(ctx, func() error { _, err := p.x.Stack(side).PrimaryTypes(ctx); return err })
		switch {
		case ops.CodeOf(err) == ops.Denied:
			return ops.Refuse("migration-credential", fmt.Sprintf("Each stack has its own. Are source-host and destination-host exchanged? Else put the pair that this stack accepts where the environment's migration_%s says.", side), "%s, the %s, does not accept its credential: %v", p.x.Host(side), side, err)
		case err != nil:
			return fmt.Errorf("asking %s which types are migrated: %w", p.x.Host(side), err)
		}
	}
	return nil
}

const loopbackFamily = "this machine"

// family is what stacks have in common that share an account's buckets: the domain
// that their hosts are in.
func family(host string) string {
	if ops.Loopback(host) {
		return loopbackFamily
	}
	u, err := url.Parse(host)
	if err != nil {
		return ""
	}
	_, domain, _ := strings.Cut(u.Hostname(), ".")
	return domain
}

// askDestination refuses to write to what users are on, by host and by instance:
// hosts are switched to the next instance once a week.
func (p pair) askDestination(ctx context.Context) error {
	const guard, remedy = "migration-destination", "Name the stack that users are not on yet as the destination."
	var host string
	var users, d synapse.Version
	if err := p.ask(ctx, func() (err error) { host, users, err = p.x.Users(ctx); return err }); err != nil {
		return fmt.Errorf("asking which instance users are on, at %s: %w", host, err)
	}
	if err := p.ask(ctx, func() (err error) { d, err = p.x.Stack(migrate.Destination).Version(ctx); return err }); err != nil {
		return fmt.Errorf("asking which instance the destination is: %w", err)
	}
	switch {
	case users.StackInstance == "":
		return ops.Refuse(guard, "Ask whether SYNAPSE_HOST is a Synapse host.", "%s does not say which instance users are on.", host)
	case host == p.x.Host(migrate.Destination):
		return ops.Refuse(guard, remedy, "the destination %s is what users of %s are on.", host, p.x.Environment().Name)
	case users.StackInstance == d.StackInstance:
		return ops.Refuse(guard, remedy, "users are on instance %s, for %s leads to it, and so does the destination %s.", ops.Quote(users.StackInstance), host, p.x.Host(migrate.Destination))
	}
	return nil
}

// common are the types that both stacks have: the primary ones, of those that were
// asked for, in the destination's order, and all. left names those that one side
// lacks.
func common(both [2]stackState, asked string) (primary, all, left []string, err error) {
	s, d := both[migrate.Source], both[migrate.Destination]
	for _, t := range d.types {
		if slices.Contains(s.types, t) {
			all = append(all, t)
		} else {
			left = append(left, t+" (not at the source)")
		}
	}
	for _, t := range s.types {
		if !slices.Contains(d.types, t) {
			left = append(left, t+" (not at the destination)")
		}
	}
	for _, t := range d.primary {
		if slices.Contains(s.primary, t) {
			primary = append(primary, t)
		}
	}
	for _, t := range all { // nobody would copy it: backups hold what the source says belongs together
		switch at := slices.Contains(s.primary, t); {
		case at == slices.Contains(d.primary, t):
		case at:
			left = append(left, t+" (primary at the source only)")
		default:
			left = append(left, t+" (primary at the destination only)")
		}
	}
	if asked != "all" {
		if primary, err = chosen(primary, strings.Split(asked, ",")); err != nil {
			return nil, nil, nil, err
		}
	}
	if len(primary) == 0 {
		return nil, nil, nil, ops.Refuse("migration-types", "Look at both with migrate-status.", "the two stacks have no type in common.")
	}
	return primary, all, left, nil
}

// chosen keeps the order of the stacks, whatever was asked in which order.
func chosen(primary, asked []string) ([]string, error) {
	for _, t := range asked {
		if !slices.Contains(primary, t) {
			hint := "Name primary types that both stacks have: migrate-status lists them."
			if near := ops.Nearest(t, primary); near != "" {
				hint = fmt.Sprintf("Did you mean %s? ", near) + hint
			}
			return nil, ops.Refuse("migration-types", hint, "type %s is not one that both stacks migrate.", ops.Quote(t))
		}
	}
	return slices.DeleteFunc(slices.Clone(primary), func(t string) bool { return !slices.Contains(asked, t) }), nil
}

// countPatience is how long a plan waits for the counts, which take seconds.
const countPatience = 10 * time.Minute

// counts asks both stacks for the lowest and the highest ID of types, in one job
// each.
func (p pair) counts(ctx context.Context, types []string) (marks [2]map[string]migrate.Mark, err error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	x := p.x.Follow(giveUp)
	defer x.Close()
	defer giveUp(nil)
	for side := range marks {
		x.Start(ctx, migrate.Job{N: int64(side) + 1, Kind: migrate.Counts, Side: migrate.Side(side), Types: types, Expected: 8 * time.Second})
	}
	until := x.Now().Add(countPatience)
	for marks[0] == nil || marks[1] == nil {
		events := x.Wait(ctx, until)
		if err := ctx.Err(); err != nil {
			return marks, fmt.Errorf("counting: %w", context.Cause(ctx))
		}
		for _, e := range events {
			if e.Answer != nil {
				marks[e.N-1] = e.Answer.Marks
			} else if e.Over() {
				return marks, ops.Errorf(ops.Unavailable, "the %s could not count its rows: %s", migrate.Side(e.N-1), quiet(e.Failed+e.Lost+e.Refused))
			}
		}
		if len(events) == 0 && !x.Now().Before(until) {
			return marks, ops.Errorf(ops.Unavailable, "the stacks have not counted their rows within %v.", countPatience)
		}
	}
	return marks, nil
}

// spanned is how many IDs the types' ranges span: the service counts no rows. It is the
// largest number where there are more.
func spanned(marks map[string]migrate.Mark, types []string) int64 {
	n := int64(0)
	for _, t := range types {
		m := marks[t]
		switch {
		case !m.Any:
		case n > math.MaxInt64-m.IDs():
			return math.MaxInt64
		default:
			n += m.IDs()
		}
	}
	return n
}

// countTolerance is by how much a count may differ from the plan's, in percent.
const countTolerance = 5

// about rounds a count to two figures, so that it binds a plan within
// countTolerance.
func about(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n/unit + (n%unit+unit/2)/unit) * unit
}

// quotedText is what a database quotes of a row when it complains.
var quotedText = regexp.MustCompile(`'[^']*'|"[^"]*"|` + "`[^`]*`" + `|[^\s@]+@[^\s@]+`)

// quiet takes out of a service's complaint what may be somebody's data: it goes into
// journals and reports.
func quiet(reason string) string {
	reason = quotedText.ReplaceAllString(strings.Join(strings.Fields(reason), " "), "[…]")
	if ops.LooksSecret(reason) {
		return "[withheld: it looks like a secret]"
	}
	q := ops.Quote(reason)
	return q[1 : len(q)-1]
}
