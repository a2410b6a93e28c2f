package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/deploy"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/environments"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/render"
)

func (a *app) dashboardsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dashboards", Short: "Bring the ops repositories' forms up to date", Args: noArgs,
		Long: "dashboards are what an ops repository holds: forms that call this repository's workflows.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "sync CHECKOUT", Short: "Prepare a pull request's branch in an ops repository's checkout",
		Long: "sync renders the environment's dashboard and commits it to a new branch of CHECKOUT, beside what is\n" +
			"checked out there: its files and its branch stay as they are, and nothing is pushed. It refuses a\n" +
			"checkout of another repository, or one that is not clean and on main. Where there are credentials\nfor the account, it tells whether the dashboard is older than the bundle that builds run.",
		Example: "  synops dashboards sync ../synapse-ops-dev -e dev",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &ops.Error{Code: ops.Invalid, Message: "synops dashboards sync takes one folder, a checkout of an ops repository.", Hint: "Such as synops dashboards sync ../synapse-ops-dev -e dev"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.syncDashboard(cmd.Context(), args[0]) },
	})
	return cmd
}

// A synced is what came of preparing a pull request.
type synced struct {
	Environment ops.EnvironmentName `json:"environment"`
	Repository  string              `json:"repository"`
	Was         string              `json:"was,omitempty"` // the release that the dashboard called
	Release     string              `json:"release"`       // and calls now
	Deployed    string              `json:"deployed,omitempty"`
	Branch      string              `json:"branch,omitempty"` // absent: nothing to change
	Commit      string              `json:"commit,omitempty"`
	Changes     []render.Change     `json:"changes"`
	Notes       []string            `json:"notes"`
	Next        string              `json:"next,omitempty"`
}

func (a *app) syncDashboard(ctx context.Context, folder string) error {
	source, file, err := a.renderSource()
	if err != nil {
		return err
	}
	env, err := opsEnvironment(file, a.said())
	if err != nil {
		return err
	}
	a.trouble.Environment, a.trouble.Changed, a.trouble.Unchanged = env.Name, "Nothing: no branch was made.", "The checkout is as it was."
	files, err := source.Dashboard(env)
	if err != nil {
		return err
	}
	repo := &checkout{app: a, folder: folder}
	held, err := repo.examine(ctx, env, file)
	if err != nil {
		return err
	}
	doc := &synced{Environment: env.Name, Repository: env.Repository, Release: source.Release, Changes: []render.Change{}, Notes: []string{}}
	if held != nil {
		doc.Was = held.Release
	}
	if err := repo.commit(ctx, doc, files, held); err != nil {
		return err
	}
	a.age(ctx, env, doc)
	return a.print(doc, func(w io.Writer) error { return printLines(w, doc.lines()) })
}

// opsEnvironment is the environment named, which must have a repository.
func opsEnvironment(file *environments.File, name ops.EnvironmentName) (*ops.Environment, error) {
	if name == "" {
		return nil, &ops.Error{Code: ops.Invalid, Message: "No environment was named.", Hint: "Name it with -e, one of " + strings.Join(file.Names(), ", ") + "."}
	}
	env, err := file.Environment(name)
	if err == nil && env.Repository == "" {
		err = &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s has no ops repository.", name), Hint: "Its entry in the environments file names none."}
	}
	return env, err
}

// examine asks what must hold of the checkout before anything is written, and
// returns the manifest it has, nil for none.
func (c *checkout) examine(ctx context.Context, env *ops.Environment, file *environments.File) (*render.Manifest, error) {
	top, err := c.git(ctx, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is not a git checkout.", ops.Quote(c.folder)), Hint: "Clone " + env.Repository + " and name its folder.", Err: err}
	}
	if !sameFolder(top, c.folder) {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is not the top of its checkout, which is %s.", ops.Quote(c.folder), ops.Quote(top)), Hint: "Name that one, if it is meant."}
	}
	if err := c.ownRepository(ctx, env, file); err != nil {
		return nil, err
	}
	if branch, err := c.git(ctx, nil, "symbolic-ref", "--short", "HEAD"); err != nil || branch != "main" {
		return nil, ops.Refuse("checkout", "Switch to main and pull, then try again.", "the checkout is not on the branch main.")
	}
	switch dirty, err := c.git(ctx, nil, "status", "--porcelain", "--untracked-files=all"); {
	case err != nil:
		return nil, err
	case dirty != "":
		first, _, _ := strings.Cut(dirty, "\n")
		return nil, ops.Refuse("checkout", "Commit or remove what is there, then try again.", "the checkout is not clean: %s", ops.Quote(strings.TrimSpace(first)))
	}
	return c.manifest(ctx, env)
}

// ownRepository refuses another repository than the environment's: forms of one
// environment in the other's repository would be the mistake all this is against.
func (c *checkout) ownRepository(ctx context.Context, env *ops.Environment, file *environments.File) error {
	url, err := c.git(ctx, nil, "remote", "get-url", "origin")
	if err != nil {
		return ops.Refuse("repository", "Clone "+env.Repository+" and name its folder.", "the checkout has no remote called origin, so nothing tells whose it is.")
	}
	name := repositoryOf(url)
	if strings.EqualFold(name, env.Repository) {
		return nil
	}
	for i := range file.Environments {
		if other := &file.Environments[i]; other.Repository != "" && strings.EqualFold(name, other.Repository) {
			return ops.Refuse("repository", fmt.Sprintf("Name the checkout of %s, or -e %s.", env.Repository, other.Name), "this is a checkout of %s, which is %s's, not %s's.", other.Repository, other.Name, env.Name)
		}
	}
	return ops.Refuse("repository", "Clone "+env.Repository+" and name its folder.", "this is a checkout of %s, not of %s.", ops.Quote(name), env.Repository)
}

// repositoryOf is owner/name of a remote's address, whatever its form.
func repositoryOf(url string) string {
	url = strings.TrimSuffix(strings.TrimSuffix(url, "/"), ".git")
	parts := strings.FieldsFunc(url, func(r rune) bool { return r == '/' || r == ':' })
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

func sameFolder(a, b string) bool {
	resolve := func(p string) string {
		if q, err := filepath.EvalSymlinks(absolute(p)); err == nil {
			return q
		}
		return p
	}
	return resolve(a) == resolve(b)
}

// manifest reads dashboard.json of what is committed.
func (c *checkout) manifest(ctx context.Context, env *ops.Environment) (*render.Manifest, error) {
	names, err := c.git(ctx, nil, "ls-tree", "-r", "-z", "--name-only", "HEAD")
	if err != nil {
		return nil, ops.Refuse("checkout", "Push a first commit to "+env.Repository+", then try again.", "the branch main has no commit.")
	}
	if !slices.Contains(strings.Split(names, "\x00"), render.ManifestPath) {
		return nil, nil
	}
	text, err := c.git(ctx, nil, "cat-file", "blob", "HEAD:"+render.ManifestPath)
	if err != nil {
		return nil, err
	}
	var m render.Manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, ops.Refuse("repository", "Look who wrote it; take the last one that was rendered.", "%s in the checkout is not as synops renders it.", render.ManifestPath)
	}
	if m.Environment != env.Name {
		return nil, ops.Refuse("repository", "Look how it came there before anything is run from that repository.", "the checkout holds the dashboard of %s, not of %s.", ops.Quote(string(m.Environment)), env.Name)
	}
	return &m, nil
}

// age tells how the dashboard stands to the bundle that builds run. It is not an
// error that nothing can be told.
func (a *app) age(ctx context.Context, env *ops.Environment, doc *synced) {
	deployed, err := a.deployedVersion(ctx, env)
	if err != nil {
		doc.Notes = append(doc.Notes, fmt.Sprintf("Which bundle is deployed could not be told: %s", oneLine(err.Error())))
		return
	}
	if deployed == "" {
		doc.Notes = append(doc.Notes, "Which bundle is deployed was not asked: there are no credentials for the account here.")
		return
	}
	doc.Deployed = deployed
	doc.Notes = append(doc.Notes, ageNotes(doc.Was, doc.Release, deployed)...)
}

// ageNotes tells how the release that a dashboard called, if any, and the one that it
// calls now stand to the deployed bundle.
func ageNotes(was, is, deployed string) []string {
	var notes []string
	if older, ok := deploy.Older(was, deployed); ok && older {
		notes = append(notes, fmt.Sprintf("The dashboard is older than the deployed bundle: its forms call %s, and builds run %s and refuse what another release asks for.", was, deployed))
	}
	switch older, ok := deploy.Older(is, deployed); {
	case !ok:
		notes = append(notes, fmt.Sprintf("Whether %s is older than the deployed bundle, %s, cannot be told: one of them is no release.", is, deployed))
	case older:
		notes = append(notes, fmt.Sprintf("What this synops renders is older than the deployed bundle: use synops of %s.", deployed))
	case is != deployed:
		notes = append(notes, fmt.Sprintf("The deployed bundle, %s, is older than this: deploy %s once the pull request is merged.", deployed, is))
	}
	return notes
}

// deployedVersion is the version of the bundle that builds run, "" where there are no
// credentials to ask with.
func (a *app) deployedVersion(ctx context.Context, env *ops.Environment) (string, error) {
	if env.Account == "" || env.Region == "" || !awsauth.Configured(a.p.Getenv) {
		return "", nil
	}
	d, err := a.deployer(ctx, env, "")
	if err != nil {
		return "", err
	}
	base, err := d.Outputs(ctx, deploy.BootstrapStack)
	if err != nil {
		return "", err
	}
	current, err := d.Current(ctx, base["BundleBucket"])
	if err != nil {
		return "", err
	}
	if current == nil {
		return "", &ops.Error{Code: ops.NotFound, Message: "no bundle was deployed yet."}
	}
	return current.Synops, nil
}

func (s *synced) lines() []string {
	lines := []string{strings.ToUpper(string(s.Environment)) + "  dashboard of " + s.Repository, ""}
	row := func(label, text string) { lines = append(lines, fmt.Sprintf("%-9s %s", label, text)) }
	switch s.Was {
	case "":
		row("Release", s.Release+"; there was no dashboard")
	case s.Release:
		row("Release", s.Release+", as before")
	default:
		row("Release", s.Was+" becomes "+s.Release)
	}
	if s.Deployed != "" {
		row("Deployed", s.Deployed)
	}
	for _, c := range s.Changes {
		row(strings.ToUpper(c.Kind[:1])+c.Kind[1:], c.Path)
	}
	if s.Branch == "" {
		row("Changed", "nothing: the dashboard is as it should be")
	} else {
		row("Branch", s.Branch+", commit "+s.Commit[:min(12, len(s.Commit))])
	}
	for _, n := range s.Notes {
		row("Note", n)
	}
	if s.Next != "" {
		row("Next", s.Next)
	}
	return lines
}
