package ops

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are there on every machine, and the same ones
)

// A Schedule is when a task may start by itself, and with what: exactly these
// inputs, this reason and this answer. Nobody looks at the plan of such a run
// first, so it is off until an environment's entry enables it.
type Schedule struct {
	// Cron is five fields, the time in Zone: minute, hour, day of the month, month
	// and day of the week.
	Cron string `json:"cron"`
	// Zone is a time zone's IANA name such as America/Los_Angeles, whose daylight
	// saving time is followed; "" is UTC. With a zone, day of the month and month are
	// *. An hour that the clocks skip is skipped, and one that they repeat is twice.
	Zone string `json:"zone,omitempty"`
	// Inputs are as a form would give them. The name of one of Constants in braces,
	// "{destination}", stands for its value in the environment.
	Inputs map[string]string `json:"inputs,omitempty"`
	// Confirm is the answer given to a plan that asks for one, which may name
	// constants too. A plan that asks for another is refused.
	Confirm string `json:"confirm,omitempty"`
	// Constants are what each environment gives the schedule alone, in the task's
	// section of its constants file. They are needed where the schedule is enabled.
	Constants []Input `json:"constants,omitempty"`
	Reason    string  `json:"reason"` // recorded as the reason of each run
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
	if _, err := s.times(); err != nil {
		return err
	}
	if strings.TrimSpace(s.Reason) == "" {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The schedule of %s gives no reason.", t.Name), Hint: "Say in a sentence why it runs by itself."}
	}
	if len(t.Stages) > 0 {
		return &Error{Code: Invalid, Message: fmt.Sprintf("%s has stages and a schedule: it stops before a stage for a person's answer.", t.Name), Hint: "Declare the schedule of a task without stages."}
	}
	// Any environment's constants are like the examples.
	examples := map[string]string{}
	for _, c := range s.Constants {
		if c.Optional || c.Default != "" || slices.ContainsFunc(t.Constants, func(in Input) bool { return in.Name == c.Name }) {
			return &Error{Code: Invalid, Message: fmt.Sprintf("The schedule of %s has the constant %s, which is optional, or a constant of its runs.", t.Name, Quote(c.Name)), Hint: "Declare one that is required, under a name of its own."}
		}
		examples[c.Name] = c.Example
	}
	_, err := t.ScheduleIn(&Environment{Name: "the catalog", Constants: map[string]map[string]string{string(t.Name): examples}})
	return err
}

// constantName is what stands for a constant.
var constantName = Pattern(`\{([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\}`)

// ScheduleIn is the task's schedule with an environment's constants in the places of
// their names. The error is Invalid where one is missing or wrong, or where the
// inputs that come of them are not the task's.
func (t *Task) ScheduleIn(env *Environment) (*Schedule, error) {
	s := *t.Schedule
	wrong := func(err error) (*Schedule, error) {
		return nil, fmt.Errorf("the schedule of %s in %s: %w", t.Name, env.Name, err)
	}
	v, err := t.constants(env, s.Constants)
	if err != nil {
		return wrong(err)
	}
	for _, text := range append(slices.Sorted(maps.Values(s.Inputs)), s.Confirm) {
		for _, m := range constantName().FindAllStringSubmatch(text, -1) {
			if !v.Has(m[1]) {
				return wrong(&Error{Code: Invalid, Message: fmt.Sprintf("it has no constant %s.", Quote(m[1])), Hint: "Declare it in the schedule's constants."})
			}
		}
	}
	fill := func(text string) string {
		return constantName().ReplaceAllStringFunc(text, func(name string) string { return v.Text(strings.Trim(name, "{}")) })
	}
	s.Inputs, s.Confirm = maps.Clone(s.Inputs), fill(s.Confirm)
	for name, text := range s.Inputs {
		s.Inputs[name] = fill(text)
	}
	if _, err := t.Parse(s.Inputs); err != nil {
		return wrong(err)
	}
	return &s, nil
}

// given tells whether an environment gives the schedule of task any constant.
func (s *Schedule) given(task TaskName, env *Environment) bool {
	return slices.ContainsFunc(s.Constants, func(c Input) bool {
		_, own := env.Constants[string(task)][c.Name]
		_, shared := env.Constants[Shared][c.Name]
		return own || shared
	})
}

// When is the schedule as a person reads it: `17 9 * * 1` UTC.
func (s *Schedule) When() string {
	zone := s.Zone
	if zone == "" {
		zone = "UTC"
	}
	return "`" + s.Cron + "` " + zone
}

// Due tells whether now is within an hour and a day of the schedule, on its zone's
// clocks. Crons start it at both of a zone's offsets, of which one is the wrong one,
// and late by what GitHub likes. Minutes do not count, and without a zone it is
// always due: that late is then all that can be wrong.
func (s *Schedule) Due(now time.Time) (bool, error) {
	times, err := s.times()
	if err != nil || times.zone == nil {
		return err == nil, err
	}
	local := now.In(times.zone)
	return slices.Contains(times.hours, local.Hour()) && slices.Contains(times.days, int(local.Weekday())), nil
}

// Crons are the schedule in UTC, which is all that GitHub knows: with a zone, the
// times of each of its offsets. No minute is in two of them, for each would start
// its own run.
func (s *Schedule) Crons() ([]string, error) {
	times, err := s.times()
	if err != nil {
		return nil, err
	}
	if times.zone == nil {
		return []string{s.Cron}, nil
	}
	// By day and hour in UTC, the minutes.
	ticks := map[[2]int]map[int]bool{}
	for _, offset := range offsets(times.zone) {
		for _, day := range times.days {
			for _, hour := range times.hours {
				for _, minute := range times.minutes {
					at := ((day*24+hour)*60 + minute - offset + minutesOfWeek) % minutesOfWeek
					k := [2]int{at / (24 * 60), at / 60 % 24}
					if ticks[k] == nil {
						ticks[k] = map[int]bool{}
					}
					ticks[k][at%60] = true
				}
			}
		}
	}
	// What has the same minutes and hours is one cron.
	days := map[string][]int{}
	for day := range 7 {
		hours := map[string][]int{}
		for hour := range 24 {
			if minutes := ticks[[2]int{day, hour}]; minutes != nil {
				m := cronList(slices.Sorted(maps.Keys(minutes)), 0)
				hours[m] = append(hours[m], hour)
			}
		}
		for m, h := range hours {
			k := m + " " + cronList(h, 1)
			days[k] = append(days[k], day)
		}
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(days)) {
		all = append(all, k+" * * "+cronList(days[k], 4))
	}
	return all, nil
}

const minutesOfWeek = 7 * 24 * 60

// offsets are those of a zone from UTC in minutes, over years enough to see each: by
// fixed dates, so that what is rendered does not hang on the day it is.
func offsets(zone *time.Location) []int {
	var all []int
	for at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC); at.Year() < 2030; at = at.AddDate(0, 0, 7) {
		_, seconds := at.In(zone).Zone()
		if !slices.Contains(all, seconds/60) {
			all = append(all, seconds/60)
		}
	}
	return all
}

// cronList writes values, ascending, as the field i of a cron.
func cronList(values []int, i int) string {
	if len(values) == cronBounds[i][1]-cronBounds[i][0]+1 {
		return "*"
	}
	var parts []string
	for len(values) > 0 {
		n := 1
		for n < len(values) && values[n] == values[0]+n {
			n++
		}
		part := strconv.Itoa(values[0])
		if n > 1 {
			part += "-" + strconv.Itoa(values[n-1])
		}
		parts, values = append(parts, part), values[n:]
	}
	return strings.Join(parts, ",")
}

// cronPart is a number, a range, or all, and a step of them.
var cronPart = Pattern(`^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?$`)

// cronBounds are the values of each field: minute, hour, day of the month, month,
// day of the week.
var cronBounds = [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}

// leastMinutes is how often GitHub starts a schedule at most.
const leastMinutes = 5

// cronTimes is what a schedule says.
type cronTimes struct {
	minutes, hours, days []int
	zone                 *time.Location // nil: UTC
}

// times reads the schedule. The error is Invalid.
func (s *Schedule) times() (cronTimes, error) {
	wrong := func(format string, args ...any) (cronTimes, error) {
		return cronTimes{}, &Error{Code: Invalid, Message: fmt.Sprintf("The schedule %s %s.", Quote(s.Cron), fmt.Sprintf(format, args...)),
			Hint: `It is minute, hour, day, month and day of the week, such as "17 9 * * 1".`}
	}
	fields := strings.Split(s.Cron, " ")
	if len(fields) != len(cronBounds) {
		return wrong("does not have five fields")
	}
	var values [5][]int
	for i, f := range fields {
		var why string
		if values[i], why = cronValues(f, cronBounds[i]); why != "" {
			return wrong("%s", why)
		}
	}
	t := cronTimes{minutes: values[0], hours: values[1], days: values[4]}
	for i, m := range t.minutes {
		before := t.minutes[(i+len(t.minutes)-1)%len(t.minutes)]
		if gap := (m - before + 60) % 60; len(t.minutes) > 1 && gap < leastMinutes {
			return wrong("starts more often than every %d minutes, which GitHub does not", leastMinutes)
		}
	}
	if s.Zone == "" {
		return t, nil
	}
	if fields[2] != "*" || fields[3] != "*" {
		return wrong("is in a time zone, and names a day of the month or a month: only days of the week can be told in UTC")
	}
	var err error
	if t.zone, err = time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		return wrong("is in %s, which is not a time zone such as America/Los_Angeles", Quote(s.Zone))
	}
	// Due knows a start for the wrong offset by its hour.
	all := offsets(t.zone)
	for _, o := range all {
		if (o-all[0])%60 != 0 {
			return wrong("is in %s, whose clocks change by less than an hour", s.Zone)
		}
	}
	return t, nil
}

// cronValues are the values that a field stands for, ascending; why is what is wrong
// with it.
func cronValues(field string, bounds [2]int) (values []int, why string) {
	in := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		m := cronPart().FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Sprintf("has the field %s, which is not a number, a range, a list or *", Quote(field))
		}
		from, to, step := bounds[0], bounds[1], 1
		if m[1] != "" {
			from, _ = strconv.Atoi(m[1])
			if m[3] == "" {
				to = from
			}
		}
		if m[2] != "" {
			to, _ = strconv.Atoi(m[2])
		}
		if m[3] != "" {
			step, _ = strconv.Atoi(m[3])
		}
		for _, n := range []int{from, to} {
			if n < bounds[0] || n > bounds[1] {
				return nil, fmt.Sprintf("has %d where %d to %d is meant", n, bounds[0], bounds[1])
			}
		}
		switch {
		case step == 0:
			return nil, "has a step of 0"
		case from > to:
			return nil, fmt.Sprintf("has the range %s, which ends before it begins", part)
		}
		for n := from; n <= to; n += step {
			in[n] = true
		}
	}
	return slices.Sorted(maps.Keys(in)), ""
}
