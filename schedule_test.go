package ops_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

func TestScheduleIsChecked(t *testing.T) {
	for _, c := range []struct{ cron, says string }{
		{"17 9 * * 1", ""},
		{"0 0-6/2 1,15 */3 1-5", ""},
		{"", "five fields"},
		{"17 9 * *", "five fields"},
		{"17 9 * * 1 2026", "five fields"},
		{"17  9 * * 1", "five fields"},
		{"*/5 9 * * 1", ""},
		{"*/30 9 * * 1", ""},
		{"17,47 9 * * 1", ""},
		{"* 9 * * 1", "more often than every 5 minutes"},
		{"*/4 9 * * 1", "more often than every 5 minutes"},
		{"0,58 9 * * 1", "more often than every 5 minutes"},
		{"17 9-8 * * 1", "ends before it begins"},
		{"17, 9 * * 1", "field"},
		{"60 9 * * 1", "60 where 0 to 59"},
		{"17 24 * * 1", "24 where 0 to 23"},
		{"17 9 0 * 1", "0 where 1 to 31"},
		{"17 9 * 13 1", "13 where 1 to 12"},
		{"17 9 * * 7", "7 where 0 to 6"},
		{"17 9 * * MON", `field "MON"`},
		{"17 */0 * * 1", "step of 0"},
		{"@daily", "five fields"},
		{"17 9 * * 1'\n", "field"},
	} {
		task := ops.Task{Name: "canary", Schedule: &ops.Schedule{Cron: c.cron, Reason: "To know."}}
		err := task.CheckSchedule()
		if (err == nil) != (c.says == "") {
			t.Errorf("%q: error %v", c.cron, err)
		} else if err != nil && (ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: error %v, want Invalid and %q", c.cron, err, c.says)
		}
	}
}

func TestScheduleZoneIsChecked(t *testing.T) {
	for _, c := range []struct{ cron, zone, says string }{
		{"17,47 0-6 * * 2-4", "America/Los_Angeles", ""},
		{"17 9 * * 1", "Mars/Olympus", `"Mars/Olympus", which is not a time zone`},
		{"17 9 * * 1", "Local", "not a time zone"},
		{"17 9 * * 1", "Australia/Lord_Howe", "less than an hour"},
		{"17 9 1 * *", "America/Los_Angeles", "a day of the month or a month"},
		{"17 9 * 6 *", "America/Los_Angeles", "a day of the month or a month"},
		{"17 9 1 6 *", "", ""},
	} {
		task := ops.Task{Name: "canary", Schedule: &ops.Schedule{Cron: c.cron, Zone: c.zone, Reason: "To know."}}
		err := task.CheckSchedule()
		if (err == nil) != (c.says == "") || err != nil && (ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q in %q: error %v, want %q", c.cron, c.zone, err, c.says)
		}
		if _, err := task.Schedule.Crons(); (err == nil) != (c.says == "") {
			t.Errorf("%q in %q: crons give %v", c.cron, c.zone, err)
		}
	}
	staged := ops.Task{Name: "release", Stages: []ops.Stage{{}}, Schedule: &ops.Schedule{Cron: "0 9 * * *", Reason: "To know."}}
	if err := staged.CheckSchedule(); ops.CodeOf(err) != ops.Invalid {
		t.Errorf("a staged task has a schedule: %v", err)
	}
}

func TestScheduleCrons(t *testing.T) {
	for _, c := range []struct {
		cron, zone string
		want       []string
	}{
		{"17 9 1 * 1", "", []string{"17 9 1 * 1"}},
		{"17,47 0-6 * * 2-4", "America/Los_Angeles", []string{"17,47 7-14 * * 2-4"}},
		// The night before, in UTC: what is Sunday there is Monday here.
		{"30 23 * * 0", "America/Los_Angeles", []string{"30 6-7 * * 1"}},
		// Over midnight: other hours on other days, and no minute twice.
		{"0 16-17 * * 6", "America/Los_Angeles", []string{"0 0-1 * * 0", "0 23 * * 6"}},
		{"0 6 * * *", "Asia/Kolkata", []string{"30 0 * * *"}},
		{"0 0-23 * * *", "America/Los_Angeles", []string{"0 * * * *"}},
	} {
		got, err := (&ops.Schedule{Cron: c.cron, Zone: c.zone}).Crons()
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: %q, %v, want %q", c.cron, c.zone, got, err, c.want)
		}
	}
}

// started counts what a schedule starts from a time to another, by the minute in
// UTC, as GitHub would: each cron that matches is a start, and those that are not
// due end there.
func started(t *testing.T, s *ops.Schedule, from, to time.Time) (due []time.Time) {
	t.Helper()
	crons, err := s.Crons()
	if err != nil {
		t.Fatal(err)
	}
	var fields [][]map[int]bool
	for _, c := range crons {
		var sets []map[int]bool
		for i, f := range strings.Fields(c) {
			most, set := []int{60, 24, 32, 13, 7}[i], map[int]bool{}
			for part := range strings.SplitSeq(f, ",") {
				a, b, ranged := strings.Cut(part, "-")
				low, _ := strconv.Atoi(a)
				high := low
				if ranged {
					high, _ = strconv.Atoi(b)
				}
				if part == "*" {
					low, high = 0, most-1
				}
				for n := low; n <= high; n++ {
					set[n] = true
				}
			}
			sets = append(sets, set)
		}
		fields = append(fields, sets)
	}
	for at := from.UTC(); at.Before(to); at = at.Add(time.Minute) {
		for _, f := range fields {
			if !f[0][at.Minute()] || !f[1][at.Hour()] || !f[2][at.Day()] || !f[3][int(at.Month())] || !f[4][int(at.Weekday())] {
				continue
			}
			is, err := s.Due(at)
			if err != nil {
				t.Fatal(err)
			}
			if is {
				due = append(due, at)
			}
		}
	}
	return due
}

// Over two years with both changes of the clocks, what crons in UTC start and is due
// is every tick of the local clocks, once.
func TestScheduleFollowsTheClocks(t *testing.T) {
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, pacific), time.Date(2028, 1, 1, 0, 0, 0, 0, pacific)
	for _, c := range []struct {
		cron   string
		minute []int
		hours  [2]int
		days   []time.Weekday
	}{
		{"17,47 0-6 * * 2-4", []int{17, 47}, [2]int{0, 6}, []time.Weekday{time.Tuesday, time.Wednesday, time.Thursday}},
		{"30 22-23 * * 6", []int{30}, [2]int{22, 23}, []time.Weekday{time.Saturday}},
		{"0 0 * * 0", []int{0}, [2]int{0, 0}, []time.Weekday{time.Sunday}}, // the days of the changes themselves
		{"5 3-5 * * *", []int{5}, [2]int{3, 5}, []time.Weekday{0, 1, 2, 3, 4, 5, 6}},
	} {
		var want []time.Time
		for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
			for hour := c.hours[0]; hour <= c.hours[1] && slices.Contains(c.days, day.Weekday()); hour++ {
				for _, minute := range c.minute {
					want = append(want, time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, pacific).UTC())
				}
			}
		}
		if got := started(t, &ops.Schedule{Cron: c.cron, Zone: "America/Los_Angeles"}, from, to); !slices.Equal(got, want) {
			t.Errorf("%s: %d starts, want %d", c.cron, len(got), len(want))
		}
	}
	// The hour that is skipped is skipped, the one that is repeated is there twice.
	nightly := func(cron string, month time.Month, day int) int {
		d := time.Date(2026, month, day, 0, 0, 0, 0, pacific)
		return len(started(t, &ops.Schedule{Cron: cron, Zone: "America/Los_Angeles"}, d, d.AddDate(0, 0, 1)))
	}
	if n := nightly("30 2 * * *", time.March, 8); n != 0 {
		t.Errorf("an hour that does not exist starts %d", n)
	}
	if n := nightly("30 1 * * *", time.November, 1); n != 2 {
		t.Errorf("an hour that is there twice starts %d", n)
	}
}

func TestScheduleIsDue(t *testing.T) {
	s := &ops.Schedule{Cron: "17,47 0-6 * * 2-4", Zone: "America/Los_Angeles"}
	for at, want := range map[string]bool{
		"2026-11-24T07:59:59Z": false, // Monday 23:59:59 PST
		"2026-11-24T08:00:00Z": true,  // Tuesday 00:00 PST
		"2026-11-24T14:59:59Z": true,  // Tuesday 06:59:59 PST
		"2026-11-24T15:00:00Z": false,
		"2026-11-26T14:59:59Z": true,  // Thursday
		"2026-11-27T08:30:00Z": false, // Friday
		"2026-07-07T06:59:59Z": false, // Monday 23:59:59 PDT
		"2026-07-07T07:00:00Z": true,
		"2026-07-07T13:59:59Z": true,
		"2026-07-07T14:17:00Z": false, // the tick that is PST's
		"2026-11-24T08:31:00Z": true,  // late
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Due(when); err != nil || got != want {
			t.Errorf("%s: %t, %v", at, got, err)
		}
	}
	if due, err := (&ops.Schedule{Cron: "17 9 * * 1"}).Due(time.Now()); err != nil || !due {
		t.Errorf("without a zone: %t, %v", due, err)
	}
	if due, err := (&ops.Schedule{Cron: "17 9 * * 1", Zone: "Mars/Olympus"}).Due(time.Now()); err == nil || due {
		t.Errorf("in no zone: %t, %v", due, err)
	}
}

func TestScheduleGivesTheTasksInputs(t *testing.T) {
	task := ops.Task{Name: "canary", Inputs: []ops.Input{{Name: "minutes", Kind: ops.KindInteger, Least: 1}}}
	for _, s := range []*ops.Schedule{
		{Cron: "0 9 * * *", Reason: "To know."},
		{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "0"}},
		{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "1", "hours": "1"}},
		{Cron: "0 9 * * *", Reason: " ", Inputs: map[string]string{"minutes": "1"}},
	} {
		task.Schedule = s
		if err := task.CheckSchedule(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	task.Schedule = &ops.Schedule{Cron: "0 9 * * *", Reason: "To know.", Inputs: map[string]string{"minutes": "1"}}
	if err := task.CheckSchedule(); err != nil {
		t.Error(err)
	}
	task.Schedule = nil
	if err := task.CheckSchedule(); err != nil {
		t.Error(err)
	}
}

// What differs between environments is each one's constant, and is checked like any
// other: where the schedule is enabled all are there; where it is not, what is given
// is right.
func TestScheduleTakesConstants(t *testing.T) {
	host := ops.Input{Name: "nightly-host", Kind: ops.KindText, Pattern: `https://[a-z.]+`, Rule: "It is a host's URL.", Example: "https://staging.example.org"}
	task := ops.Task{Name: "copy", Constants: []ops.Input{{Name: "stack", Kind: ops.KindText, Example: "dev"}},
		Inputs: []ops.Input{{Name: "host", Kind: ops.KindText}, {Name: "note", Kind: ops.KindText, Default: "none", Pattern: "[a-z ]+"}},
		Schedule: &ops.Schedule{Cron: "0 9 * * *", Reason: "To know.", Confirm: "{nightly-host}", Constants: []ops.Input{host},
			Inputs: map[string]string{"host": "{nightly-host}"}}}
	if err := task.CheckSchedule(); err != nil {
		t.Fatal(err)
	}
	env := func(on bool, own map[string]string) *ops.Environment {
		return &ops.Environment{Name: "dev", Schedules: map[ops.TaskName]bool{"copy": on}, Constants: map[string]map[string]string{ops.Shared: {"stack": "dev"}, "copy": own}}
	}
	pinned := map[string]string{"nightly-host": "https://next.example.org"}
	s, err := task.ScheduleIn(env(true, pinned))
	if err != nil || s.Inputs["host"] != "https://next.example.org" || s.Confirm != "https://next.example.org" {
		t.Errorf("%+v, %v", s, err)
	}
	if task.Schedule.Inputs["host"] != "{nightly-host}" {
		t.Error("the catalog's own schedule was changed")
	}
	for _, c := range []struct {
		on   bool
		own  map[string]string
		says string // "" for right
	}{
		{true, pinned, ""}, {false, pinned, ""}, {false, nil, ""},
		{true, nil, `dev: constant "nightly-host" of copy: it is required`},
		{true, map[string]string{"nightly-host": "next"}, "It is a host's URL."},
		{false, map[string]string{"nightly-host": "next"}, "It is a host's URL."},
		{false, map[string]string{"nightly-hots": "https://next.example.org"}, `no constant "nightly-hots". Did you mean "nightly-host"?`},
	} {
		err := ops.Catalog{task}.CheckConstants(env(c.on, c.own))
		if (err == nil) != (c.says == "") || err != nil && (ops.CodeOf(err) != ops.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("on %t, %q: %v, want %q", c.on, c.own, err, c.says)
		}
	}
	for says, spoil := range map[string]func(*ops.Schedule){
		`no constant "nightly-hots"`:  func(s *ops.Schedule) { s.Inputs = map[string]string{"host": "{nightly-hots}"} },
		"is optional":                 func(s *ops.Schedule) { s.Constants[0].Optional = true },
		"or a constant of its runs":   func(s *ops.Schedule) { s.Constants[0].Name = "stack" },
		`"{Nightly}" is not accepted`: func(s *ops.Schedule) { s.Inputs["note"] = "{Nightly}" },
	} {
		spoiled := task
		own := *task.Schedule
		own.Constants, own.Inputs = []ops.Input{host}, map[string]string{"host": "{nightly-host}"}
		spoil(&own)
		spoiled.Schedule = &own
		if err := spoiled.CheckSchedule(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// A declared schedule runs nowhere by itself: an environment enables it.
func TestScheduleIsOffUntilEnabled(t *testing.T) {
	task := ops.Task{Name: "canary", Environments: []ops.EnvironmentName{"dev"}, Schedule: &ops.Schedule{}}
	on := map[ops.TaskName]bool{"canary": true}
	for _, c := range []struct {
		env  ops.Environment
		want bool
	}{
		{ops.Environment{Name: "dev"}, false},
		{ops.Environment{Name: "dev", Schedules: map[ops.TaskName]bool{"canary": false}}, false},
		{ops.Environment{Name: "dev", Schedules: map[ops.TaskName]bool{"other": true}}, false},
		{ops.Environment{Name: "dev", Schedules: on}, true},
		{ops.Environment{Name: "prod", Schedules: on}, false},
	} {
		if got := task.Scheduled(&c.env); got != c.want {
			t.Errorf("%s with %v: %t", c.env.Name, c.env.Schedules, got)
		}
	}
	task.Schedule = nil
	if task.Scheduled(&ops.Environment{Name: "dev", Schedules: on}) {
		t.Error("a task without a schedule is scheduled")
	}
}
