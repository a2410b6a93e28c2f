package emulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/cfn"
)

// A stackWork is one creation, update or removal of a stack, by whoever acts.
type stackWork struct {
	*stack
	ctx      context.Context
	plan     *changeSet       // nil for a removal
	role     string           // ARN of the role it acts as; "" as who asked
	caller   *Caller          // who asked
	undo     []func() error   // what takes back the changes so far, oldest first
	replaced []*stackResource // what goes in the clean-up
	present  map[string]bool  // logical IDs that the template still has
	imports  map[string]bool  // exports that it takes
	failed   string           // logical ID of the resource that failed
}

// who returns who CloudFormation acts as: the stack's role, of which it takes a new
// session each time for they last an hour, or whoever asked, whose credentials it
// forwards.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
func (w *stackWork) who() (*Caller, error) {
	if w.role == "" {
		return w.caller, nil
	}
	a := w.service.account
	who, err := a.IAM.serviceSession(w.role, "cloudformation.amazonaws.com", "AWSCloudFormation", time.Hour,
		map[string][]string{"aws:SourceArn": {w.id}, "aws:SourceAccount": {a.ID}})
	if err != nil {
		return nil, fmt.Errorf("the role %s is invalid or cannot be assumed: %w", w.role, err)
	}
	return who, nil
}

// executeChangeSet starts the work and answers at once.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html
func executeChangeSet(c *call) (any, error) {
	s := c.account.Stacks
	st, set, err := c.changeSet("ExecuteChangeSet")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := c.param("ClientRequestToken")
	if set.execution == "EXECUTE_IN_PROGRESS" && token != "" && set.executes == token {
		return nil, nil // the same call again
	}
	if set.execution != "AVAILABLE" {
		return nil, fault("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", set.id, set.status)
	}
	if st.status != "REVIEW_IN_PROGRESS" && !updatable(st.status) {
		return nil, fault("ValidationError", "Stack:%s is in %s state and can not be updated.", st.id, st.status)
	}
	set.execution, set.executes = "EXECUTE_IN_PROGRESS", token
	// The others were made against what the stack is about to stop being.
	st.changeSets = []*changeSet{set}
	status := "UPDATE_IN_PROGRESS"
	if st.status == "REVIEW_IN_PROGRESS" {
		status = "CREATE_IN_PROGRESS"
	}
	st.role = set.role
	st.set(status, "User Initiated")
	s.account.cloud.background(func(ctx context.Context) {
		w := &stackWork{stack: st, ctx: ctx, plan: set, role: set.role, caller: c.caller, present: map[string]bool{}, imports: map[string]bool{}}
		w.execute()
	})
	return nil, nil
}

// execute makes what the change set's template says, resource by resource, each
// after all that it refers to; when one fails it takes back all the others.
func (w *stackWork) execute() {
	before := w.remember()
	outputs, err := w.plan.template.Walk(w.following(), w.visit)
	if err == nil {
		err = w.checkExports(outputs)
	}
	if w.ctx.Err() != nil {
		return // the account is gone
	}
	if err != nil {
		w.rollBack(before, err)
		return
	}
	s := w.service
	s.mu.Lock()
	w.outputs, w.body, w.template, w.parameters = outputs, w.plan.body, w.plan.template, w.plan.parameters
	w.description, w.capabilities = w.plan.template.Description, w.plan.capabilities
	w.taken = w.imports
	creating := w.status == "CREATE_IN_PROGRESS"
	if !creating {
		w.updated = s.account.cloud.now()
		w.set("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
	}
	s.mu.Unlock()
	w.cleanUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	w.changeSets = nil // a change set goes with its execution
	if creating {
		w.set("CREATE_COMPLETE", "")
		return
	}
	w.set("UPDATE_COMPLETE", "")
}

// following is what the template is resolved against while resources are made. It
// notes which exports are taken.
func (w *stackWork) following() cfn.Environment {
	env := w.environment(w.plan.parameters)
	lookUp := env.Import
	env.Import = func(name string) (string, error) {
		w.imports[name] = true
		return lookUp(name)
	}
	return env
}

// visit brings one resource to what the template says.
func (w *stackWork) visit(r cfn.Resource) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.present[r.ID] = true
	t, err := typeOf(r.Type)
	if err != nil {
		return err
	}
	properties, err := t.check(r.Properties)
	if err != nil {
		w.failed = r.ID
		return err
	}
	w.service.mu.Lock()
	old := w.resources[r.ID]
	w.service.mu.Unlock()
	one, differs := compareResource(t, r, properties, old)
	switch {
	case old == nil:
		return w.create(t, r, properties)
	case !differs:
		return nil
	case one.replacement == "True":
		return w.replaceWith(t, r, properties, old)
	}
	return w.change(t, r, properties, old)
}

// create makes a resource. A role, once made, is there for all: IAM's delay is not
// modeled.
func (w *stackWork) create(t *resourceType, r cfn.Resource, properties map[string]any) error {
	res := &stackResource{id: r.ID, kind: r.Type, properties: properties, deletion: r.DeletionPolicy, replace: r.UpdateReplacePolicy}
	name, named := properties[t.named].(string)
	if !named || t.named == "" {
		name = physicalName(w.name, r.ID, t.most, t.lower)
	}
	w.note(res, "CREATE_IN_PROGRESS", "")
	wait(w.ctx, w.service.account.cloud.settings.Stacks.Step)
	physical := ""
	err := w.ask(t, creates, name, nil, properties)
	if err == nil {
		physical, err = t.create(w.service.account, name, properties)
	}
	if err == nil {
		res.physical = physical
		w.undo = append(w.undo, func() error { return w.unmake(res) })
		err = w.ask(t, reads, physical, nil, nil)
	}
	if err != nil {
		w.failed = r.ID
		w.note(res, "CREATE_FAILED", handlerMessage(err))
		return err
	}
	w.service.mu.Lock()
	w.resources[r.ID] = res
	if !slices.Contains(w.order, r.ID) {
		w.order = append(w.order, r.ID)
	}
	w.service.mu.Unlock()
	w.note(res, "CREATE_IN_PROGRESS", "Resource creation Initiated")
	w.note(res, "CREATE_COMPLETE", "")
	return nil
}

// replaceWith makes another resource in the place of one, which goes in the
// clean-up.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
func (w *stackWork) replaceWith(t *resourceType, r cfn.Resource, properties map[string]any, old *stackResource) error {
	if name, ok := properties[t.named].(string); ok && t.named != "" && same(name, old.properties[t.named]) && old.kind == r.Type {
		err := fault("ValidationError", "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename %s and update the stack again.", name)
		w.failed = r.ID
		w.note(old, "UPDATE_FAILED", err.Message)
		return err
	}
	w.note(old, "UPDATE_IN_PROGRESS", "Requested update requires the creation of a new physical resource; hence creating one.")
	gone := *old
	if err := w.create(t, r, properties); err != nil {
		return err
	}
	gone.deletion = gone.replace
	w.replaced = append(w.replaced, &gone)
	return nil
}

// change changes a resource where it is.
func (w *stackWork) change(t *resourceType, r cfn.Resource, properties map[string]any, old *stackResource) error {
	was := *old
	w.note(old, "UPDATE_IN_PROGRESS", "")
	wait(w.ctx, w.service.account.cloud.settings.Stacks.Step)
	if err := w.apply(t, old, was.properties, properties); err != nil {
		w.failed = r.ID
		w.note(old, "UPDATE_FAILED", handlerMessage(err))
		return err
	}
	w.undo = append(w.undo, func() error {
		w.note(old, "UPDATE_IN_PROGRESS", "")
		err := w.apply(t, old, properties, was.properties)
		w.service.mu.Lock()
		old.deletion, old.replace = was.deletion, was.replace
		w.service.mu.Unlock()
		if err != nil {
			w.note(old, "UPDATE_FAILED", handlerMessage(err))
			return err
		}
		w.note(old, "UPDATE_COMPLETE", "")
		return nil
	})
	w.service.mu.Lock()
	old.deletion, old.replace = r.DeletionPolicy, r.UpdateReplacePolicy
	w.service.mu.Unlock()
	w.note(old, "UPDATE_COMPLETE", "")
	return nil
}

// apply changes a resource's properties; policies alone change nothing of it.
func (w *stackWork) apply(t *resourceType, r *stackResource, old, new map[string]any) error {
	if len(differing(old, new)) > 0 {
		if err := w.ask(t, updates, r.physical, old, new); err != nil {
			return err
		}
		if err := t.update(w.service.account, r.physical, old, new); err != nil {
			return err
		}
		if err := w.ask(t, reads, r.physical, nil, nil); err != nil {
			return err
		}
	}
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	r.properties = new
	return nil
}

// ask asks for every permission that the step needs, as who acts.
func (w *stackWork) ask(t *resourceType, v verb, physical string, old, new map[string]any) error {
	who, err := w.who()
	if err != nil {
		return err
	}
	questions, err := t.asks(w.service.account, v, physical, old, new)
	if err != nil {
		return err
	}
	for _, q := range questions {
		if w.role == "" {
			q.keys = merged(q.keys, map[string][]string{"aws:ViaAWSService": {"true"}})
		}
		if err := w.service.account.cloud.allow(who, q, queryDialect); err != nil {
			return err
		}
	}
	return nil
}

// handlerMessage words a failure as a resource's event has it.
func handlerMessage(err error) string {
	code, message := "InternalFailure", err.Error()
	if f, ok := errors.AsType[*Fault](err); ok {
		code, message = f.Code, f.Message
	}
	return fmt.Sprintf("Resource handler returned message: \"%s\" (HandlerErrorCode: %s)", strings.ReplaceAll(message, `"`, "'"), code)
}

// cleanUp removes what the update has left behind. The update stands whether that
// works or not; the events tell.
func (w *stackWork) cleanUp() {
	for _, r := range slices.Backward(w.replaced) {
		_ = w.drop(r)
	}
	for _, id := range slices.Backward(slices.Clone(w.order)) {
		if w.present[id] {
			continue
		}
		w.service.mu.Lock()
		r := w.resources[id]
		w.service.mu.Unlock()
		_ = w.drop(r)
		w.forget(id)
	}
}

func (w *stackWork) forget(id string) {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	delete(w.resources, id)
	w.order = slices.DeleteFunc(w.order, func(o string) bool { return o == id })
}

// unmake takes back what this very operation made.
func (w *stackWork) unmake(r *stackResource) error {
	made := *r
	if made.deletion == cfn.RetainExceptOnCreate {
		made.deletion = "Delete"
	}
	return w.drop(&made)
}

// drop removes a resource unless it is to be retained.
func (w *stackWork) drop(r *stackResource) error {
	if r.deletion == "Retain" || r.deletion == cfn.RetainExceptOnCreate {
		w.note(r, "DELETE_SKIPPED", "")
		return nil
	}
	w.note(r, "DELETE_IN_PROGRESS", "")
	wait(w.ctx, w.service.account.cloud.settings.Stacks.Step)
	t, err := typeOf(r.kind)
	if err == nil {
		err = w.ask(t, deletes, r.physical, r.properties, nil)
	}
	if err == nil {
		err = t.remove(w.service.account, r.physical, r.properties)
	}
	if err != nil && !gone(t, w.service.account, r) {
		w.note(r, "DELETE_FAILED", handlerMessage(err))
		return err
	}
	w.note(r, "DELETE_COMPLETE", "")
	return nil
}

// gone tells whether somebody else has removed the resource.
func gone(t *resourceType, a *Account, r *stackResource) bool {
	_, there, err := t.read(a, r.physical)
	return err == nil && !there
}
