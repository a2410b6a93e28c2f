package render

import ops "github.com/Sage-Bionetworks/synapse-ops-core"

// The sections that callers are listed under in the Actions tab.
const (
	aboutRuns    = "Run: "
	aboutAccount = "Account: "
)

// callers are the workflows that are about runs and the account, not about a task.
func (s *Source) callers(env *ops.Environment) []*workflow {
	run := field{Name: "run", Type: "string", Required: true, Description: "The run's ID, as its summary shows it, such as 20261123T141502Z-remove-user-3f9c1a."}
	settle := field{Name: "settle", Type: "string", Description: "For effects of which nothing can tell what became: EFFECT=done or EFFECT=not-done, separated by blanks. The run's report names them."}
	force := field{Name: "force", Type: "boolean", Default: "false", Description: "Stop a worker that is still there first."}
	reason, watch := askingField(ops.FieldReason, env), askingField(ops.FieldWatch, env)
	reason.Required = false
	plan, confirm := askingField(ops.FieldPlan, env), askingField(ops.FieldConfirm, env)
	plan.Description = "Only if the run is to be bound to another plan than before: that plan's digest, sha256:…"
	confirm.Description = "Only if the plan asks for another answer than before: that answer."

	all := []*workflow{
		s.caller(env, aboutRuns, "cancel", "Ends a run: what is in hand is settled, nothing further begins.", run, reason),
		s.caller(env, aboutRuns, "resume", "Goes on with a run that failed or whose worker died: what is recorded as done is not done again.",
			run, settle, plan, confirm, force, reason, watch),
		s.caller(env, aboutRuns, "settle", "Finishes the clean-up of a run that was canceled or lost; begins nothing new.", run, settle, force, reason, watch),
		s.caller(env, aboutAccount, "deploy", "Brings the account's lanes and bundle up to this dashboard's release.",
			field{Name: ops.FieldMode, Type: "choice", Options: []string{ops.ModePlan, ops.ModePerform}, Default: quoted(ops.ModePlan),
				Description: "plan says what differs in the account of " + mark(env.Name) + " and changes nothing; perform deploys."},
			field{Name: "lanes", Type: "string", Description: "Blank: all. Else some of " + lanesOf(env) + ", separated by blanks."},
			field{Name: "lowest", Type: "string", Description: "Blank: as it is. The oldest version that may still run, such as v1.4.0."},
			field{Name: "interrupt", Type: "boolean", Default: "false", Description: "Change a lane although it is at work. Its runs are lost and must be resumed."},
			reason),
		s.caller(env, aboutAccount, "doctor", "Says what of the account is not as runs need it, and changes nothing."),
		s.caller(env, aboutAccount, "secret-put", "Checks this repository's secret GH_PAT and puts it where tools from private repositories are fetched with it.", reason),
	}
	for _, w := range all {
		switch w.File {
		case "resume.yml", "settle.yml": // they follow, and tell the end
			w.Secrets = []secret{{webhook, webhook}}
		case "secret-put.yml":
			w.With = append(w.With, [2]string{"secret", "GH_PAT"})
			w.Secrets = []secret{{"GH_PAT", "GH_PAT"}}
		}
	}
	return all
}

func (s *Source) caller(env *ops.Environment, section, name, about string, fields ...field) *workflow {
	w := s.calling(env, name)
	w.File, w.Name, w.About, w.Fields = name+".yml", section+name, about, fields
	w.RunName = mark(env.Name) + " " + name + requester
	w.Form = len(fields) > 0
	return w
}

func lanesOf(env *ops.Environment) string {
	lanes := env.Lanes
	if len(lanes) == 0 {
		lanes = ops.Lanes()
	}
	text := ""
	for i, l := range lanes {
		switch {
		case i > 0 && i == len(lanes)-1:
			text += " and "
		case i > 0:
			text += ", "
		}
		text += string(l)
	}
	return text
}
