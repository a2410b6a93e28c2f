package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/tasks"
)

// mostFileBytes bounds a list read with @FILE.
const mostFileBytes = 16 << 20

// rawInputs collects what was supplied: k=v arguments, where a value may be @FILE,
// @FILE:COLUMN or @failed:RUN, or the JSON object in SYNOPS_INPUTS, where "@" means
// nothing. Not both.
func (a *app) rawInputs(ctx context.Context, task *ops.Task, args []string) (map[string]string, error) {
	form := a.p.Getenv(varInputs)
	if form != "" {
		if len(args) > 0 {
			return nil, &ops.Error{Code: ops.Invalid, Message: "Inputs come both from " + varInputs + " and as arguments.", Hint: "Use one of the two."}
		}
		return formInputs(task, form)
	}
	raw := map[string]string{}
	var errs []ops.InputError
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			errs = append(errs, notAPair(task, arg))
			continue
		}
		if _, twice := raw[name]; twice {
			errs = append(errs, ops.InputError{Input: ops.Clip(name), Reason: "it was given twice.", Hint: "Give it once; list values go behind each other, separated by commas."})
			continue
		}
		if in := task.Input(name); in != nil && in.List && strings.HasPrefix(value, "@") {
			list, err := a.listFrom(ctx, task, in, value[1:])
			if err != nil {
				errs = append(errs, ops.InputError{Input: name, Value: ops.Quote(value), Reason: reasonOf(err), Hint: ops.HintOf(err)})
				continue
			}
			value = list
		}
		raw[name] = value
	}
	if len(errs) > 0 {
		return nil, joinParse(task, raw, errs)
	}
	return raw, nil
}

// joinParse adds what parsing finds to the errors of reading: all at once.
func joinParse(task *ops.Task, raw map[string]string, errs []ops.InputError) error {
	all := &ops.InputErrors{Task: task.Name, Errors: errs}
	_, err := task.Parse(raw)
	if parsed, ok := errors.AsType[*ops.InputErrors](err); ok {
		for _, e := range parsed.Errors {
			named := slices.ContainsFunc(errs, func(have ops.InputError) bool { return have.Input == e.Input })
			if !named {
				all.Errors = append(all.Errors, e)
			}
		}
	}
	return all
}

func notAPair(task *ops.Task, arg string) ops.InputError {
	e := ops.InputError{Input: "", Value: ops.Quote(arg), Reason: ops.Quote(arg) + " is not NAME=VALUE."}
	if ops.LooksSecret(arg) {
		e.Value, e.Reason = "[redacted]", "an argument is not NAME=VALUE, and looks like an access token or a key."
	}
	if len(task.Inputs) > 0 {
		e.Hint = fmt.Sprintf("Write %s=…; synops tasks show %s tells all inputs.", task.Inputs[0].Name, task.Name)
	} else {
		e.Hint = fmt.Sprintf("%s takes no inputs.", task.Name)
	}
	return e
}

// formInputs reads the JSON object of strings that a form hands over. Empty
// strings are fields left blank.
func formInputs(task *ops.Task, form string) (map[string]string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(form), &fields); err != nil || fields == nil || !utf8.ValidString(form) {
		return nil, &ops.Error{Code: ops.Invalid, Message: varInputs + " is not a JSON object of strings.", Hint: `It looks like {"users": "3350396"}.`}
	}
	raw := map[string]string{}
	var errs []ops.InputError
	for _, name := range keysTwice(form) {
		// Readers differ in which of the two counts.
		errs = append(errs, ops.InputError{Input: ops.Clip(name), Reason: fmt.Sprintf("%s gives it twice.", varInputs), Hint: "Give it once."})
	}
	for name, value := range fields {
		var s string
		if err := json.Unmarshal(value, &s); err != nil || string(value) == "null" {
			errs = append(errs, ops.InputError{Input: ops.Clip(name), Reason: fmt.Sprintf("its value in %s is not a string.", varInputs), Hint: "Put it in quotes."})
			continue
		}
		raw[name] = s
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b ops.InputError) int { return strings.Compare(a.Input, b.Input) })
		return nil, joinParse(task, raw, errs)
	}
	return raw, nil
}

// keysTwice returns the keys that a flat JSON object has more than once.
func keysTwice(object string) []string {
	dec := json.NewDecoder(strings.NewReader(object))
	seen := map[string]int{}
	var twice []string
	_, _ = dec.Token() // the brace; the text was decoded before
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		var value json.RawMessage
		if err != nil || !ok || dec.Decode(&value) != nil {
			break
		}
		if seen[name]++; seen[name] == 2 {
			twice = append(twice, name)
		}
	}
	return twice
}

// listFrom reads a list from outside the command line: failed:RUN, or a file of
// lines, or FILE:COLUMN of a CSV.
func (a *app) listFrom(ctx context.Context, task *ops.Task, in *ops.Input, from string) (string, error) {
	if run, ok := strings.CutPrefix(from, "failed:"); ok {
		return a.failedOf(ctx, task, in, run)
	}
	path, column := from, ""
	if i := strings.LastIndexByte(from, ':'); i > 0 && strings.HasSuffix(strings.ToLower(from[:i]), ".csv") {
		path, column = from[:i], from[i+1:]
	}
	data, err := readList(path)
	if err != nil {
		return "", err
	}
	if column == "" && strings.HasSuffix(strings.ToLower(path), ".csv") {
		return "", &ops.Error{Code: ops.Invalid, Message: "a CSV has columns.", Hint: fmt.Sprintf("Name one: %s=@%s:COLUMN.", in.Name, path)}
	}
	list := strings.TrimPrefix(string(data), "\ufeff")
	if column != "" {
		if list, err = csvColumn(data, column); err != nil {
			return "", err
		}
	}
	if strings.TrimSpace(list) == "" {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s lists nothing.", ops.Quote(path)), Hint: "Give a text file with a value on each line."}
	}
	return list, nil
}

// readList reads a regular file of text; anything else (a device, another
// process's memory) is refused.
func readList(path string) ([]byte, error) {
	path = strings.TrimPrefix(path, "file://")
	info, err := os.Stat(path)
	if err != nil {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("file %s cannot be read.", ops.Quote(path)), Hint: "Check its name."}
	}
	if !info.Mode().IsRegular() || ofTheKernel(path) {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is not an ordinary file.", ops.Quote(path)), Hint: "Give a text file with a value on each line."}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("file %s cannot be read.", ops.Quote(path)), Hint: "Check who may read it."}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostFileBytes+1))
	switch {
	case err != nil:
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("file %s cannot be read.", ops.Quote(path))}
	case len(data) > mostFileBytes:
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("file %s is longer than %d bytes.", ops.Quote(path), mostFileBytes), Hint: "Split it."}
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("file %s is not text.", ops.Quote(path)), Hint: "Save it as UTF-8."}
	}
	return data, nil
}

// ofTheKernel tells whether a path, by whatever detour, names what the kernel makes
// up: another process's memory or environment is no list.
func ofTheKernel(path string) bool {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return true // cannot be told
	}
	for _, root := range []string{"/proc/", "/sys/"} {
		if strings.HasPrefix(abs, root) {
			return true
		}
	}
	return false
}

func csvColumn(data []byte, column string) (string, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	rows, err := r.ReadAll()
	if err != nil {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("the CSV cannot be read: %v.", err)}
	}
	if len(rows) == 0 {
		return "", &ops.Error{Code: ops.Invalid, Message: "the CSV is empty."}
	}
	at := slices.Index(rows[0], column)
	if at < 0 {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("the CSV has no column %s.", ops.Quote(column)), Hint: "Its columns are " + columnNames(rows[0]) + "."}
	}
	if slices.Contains(rows[0][at+1:], column) {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("the CSV has the column %s twice.", ops.Quote(column)), Hint: "Rename one of the two."}
	}
	var b strings.Builder
	for _, row := range rows[1:] {
		b.WriteString(row[at] + "\n")
	}
	return b.String(), nil
}

// columnNames lists a CSV's columns for a message: the first few.
func columnNames(head []string) string {
	const most = 10
	names := make([]string, 0, most)
	for _, name := range head[:min(len(head), most)] {
		names = append(names, ops.Clip(name))
	}
	s := strings.Join(names, ", ")
	if more := len(head) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// failedOf lists the targets of an earlier run of the same task that failed.
func (a *app) failedOf(ctx context.Context, task *ops.Task, in *ops.Input, run string) (string, error) {
	if in.Name != task.TargetsInput {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("@failed lists targets, and input %s is not %s's targets.", in.Name, task.Name)}
	}
	id, err := ops.ParseRunID(run)
	if err != nil {
		return "", err
	}
	st, err := a.open(ctx)
	if err != nil {
		return "", err
	}
	ref, err := st.Find(ctx, id)
	if err != nil {
		return "", err
	}
	status, err := st.Status(ctx, ref)
	if err != nil {
		return "", err
	}
	if status.Request.Task != task.Name {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s is a run of %s, not of %s.", id, status.Request.Task, task.Name)}
	}
	if status.Result == nil {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("%s has not ended.", id), Hint: fmt.Sprintf("See synops show %s.", id)}
	}
	values, err := task.Parse(status.Request.Inputs)
	if err != nil {
		return "", err
	}
	failed, err := failedIDs(ctx, st, ref, status.Result)
	if err != nil {
		return "", err
	}
	pure, err := tasks.Bind(task.Name, nil)
	if err != nil {
		return "", err
	}
	var list []string
	for _, t := range pure.Targets(values) {
		if failed[t.ID] {
			list = append(list, t.Value)
		}
	}
	if len(list) == 0 {
		return "", &ops.Error{Code: ops.Invalid, Message: fmt.Sprintf("nothing failed in %s.", id),
			Hint: "What a run did not reach is done by resuming it: synops resume " + string(id)}
	}
	return strings.Join(list, "\n"), nil
}

// failedIDs collects a result's failed effects, from its effects file where it has
// one.
func failedIDs(ctx context.Context, st *store.Store, ref ops.RunRef, r *ops.Result) (map[string]bool, error) {
	failed := map[string]bool{}
	add := func(e ops.EffectResult) {
		if e.Outcome == ops.EffectFailed {
			failed[e.ID] = true
		}
	}
	if r.EffectsFile == "" {
		for _, e := range r.Effects {
			add(e)
		}
		return failed, nil
	}
	f, err := st.OpenArtifact(ctx, ref, fmt.Sprintf("effects-%d.jsonl", r.Attempt))
	if err != nil {
		return nil, fmt.Errorf("reading the effects file: %w", err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for dec.More() {
		var e ops.EffectResult
		if err := dec.Decode(&e); err != nil {
			return nil, fmt.Errorf("reading the effects file: %w", err)
		}
		add(e)
	}
	return failed, nil
}

// reasonOf is an error's sentence without its hint.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*ops.Error](err); ok && e.Message != "" {
		return e.Message
	}
	return err.Error()
}
