package ops

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Schedule is when a task may start by itself, and with what: exactly these
// inputs, this reason and this answer. Nobody looks at the plan of such a run
// first, so it is off until an environment's entry enables it.
type Schedule struct {
	// Cron is five fields in UTC, as GitHub reads them. The first is one minute of
	// the hour: a schedule starts at most hourly.
	Cron   string            `json:"cron"`
	Inputs map[string]string `json:"inputs,omitempty"` // as a form would give them
	// Confirm is the answer given to a plan that asks for one. A plan that asks for
	// another is refused.
	Confirm string `json:"confirm,omitempty"`
	Reason  string `json:"reason"` // recorded as the reason of each run
}

// Scheduled tells whether the task may start by itself in env.
func (t *Task) Scheduled(env *Environment) bool {
	return t.Schedule != nil && t.Offered(env.Name) && env.Schedules[t.Name]
}

// CheckSchedule tells what is wrong with the task's schedule, nil when nothing is
// or there is none. The error is Invalid.
func (t *Task) CheckSchedule() error {
	s := t.Schedule
	if s == nil {
		return nil
	}
	if err := checkCron(s.Cron); err != nil {
		return err
	}
	if strings.TrimSpace(s.Reason) == "" {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The schedule of %s gives no reason.", t.Name), Hint: "Say in a sentence why it runs by itself."}
	}
	if _, err := t.Parse(s.Inputs); err != nil {
		return fmt.Errorf("the schedule of %s: %w", t.Name, err)
	}
	return nil
}

// cronField is a number, a range, a list or a step of them, or all.
var cronField = regexp.MustCompile(`^(?:\*|\d{1,2}(?:-\d{1,2})?(?:,\d{1,2}(?:-\d{1,2})?)*)(?:/\d{1,2})?$`)

// cronBounds are the values of each field: minute, hour, day of the month, month,
// day of the week.
var cronBounds = [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}

func checkCron(cron string) error {
	wrong := func(why string) error {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The schedule %s %s.", Quote(cron), why), Hint: `It is minute, hour, day, month and day of the week in UTC, such as "17 9 * * 1".`}
	}
	fields := strings.Split(cron, " ")
	if len(fields) != len(cronBounds) {
		return wrong("does not have five fields")
	}
	if _, err := strconv.Atoi(fields[0]); err != nil {
		return wrong("does not begin with one minute of the hour")
	}
	for i, f := range fields {
		if !cronField.MatchString(f) {
			return wrong(fmt.Sprintf("has the field %s, which is not a number, a range, a list or *", Quote(f)))
		}
		values, step, stepped := strings.Cut(f, "/")
		if n, _ := strconv.Atoi(step); stepped && n == 0 {
			return wrong("has a step of 0")
		}
		for _, digits := range strings.FieldsFunc(values, func(r rune) bool { return r < '0' || r > '9' }) {
			if n, _ := strconv.Atoi(digits); n < cronBounds[i][0] || n > cronBounds[i][1] {
				return wrong(fmt.Sprintf("has %d where %d to %d is meant", n, cronBounds[i][0], cronBounds[i][1]))
			}
		}
	}
	return nil
}
