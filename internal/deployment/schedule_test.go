package deployment

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func timetableOf(t *testing.T, expression, zone string) timetable {
	t.Helper()
	table, err := read(core.Schedule{Expression: expression, Timezone: zone})
	if err != nil {
		t.Fatalf("%q in %s: %v", expression, zone, err)
	}
	return table
}

func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// The moments are written with the offset that holds then, so that the wall clock can be read off.
func TestSchedulesMatchTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"eight in the evening stays that", "0 20 * * *", "America/New_York", "2026-03-07T12:00Z", []string{"2026-03-07T20:00-05:00", "2026-03-08T20:00-04:00"}},
		{"a time that spring skips does not match", "30 2 * * *", "America/New_York", "2026-03-07T00:00Z", []string{"2026-03-07T02:30-05:00", "2026-03-09T02:30-04:00"}},
		{"an hour that spring skips does not match", "15 * * * *", "America/New_York", "2026-03-08T06:00Z", []string{"2026-03-08T01:15-05:00", "2026-03-08T03:15-04:00"}},
		{"the moment of the change counts", "0 3 * * *", "America/New_York", "2026-03-07T12:00Z", []string{"2026-03-08T03:00-04:00", "2026-03-09T03:00-04:00"}},
		{"a time that autumn repeats matches twice", "30 1 * * *", "America/New_York", "2026-10-31T12:00Z", []string{"2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", "2026-11-02T01:30-05:00"}},
		{"the first second that autumn repeats", "0 1 * * *", "America/New_York", "2026-10-31T12:00Z", []string{"2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00", "2026-11-02T01:00-05:00"}},
		{"half an hour is skipped", "15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00Z", []string{"2026-10-03T02:15+10:30", "2026-10-05T02:15+11:00"}},
		{"what lies behind half an hour is not", "45 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:30Z", []string{"2026-10-04T02:45+11:00", "2026-10-05T02:45+11:00"}},
		{"half an hour is repeated", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", []string{"2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-06T01:45+10:30"}},
		{"what is not in it is not", "15 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", []string{"2026-04-05T01:15+11:00", "2026-04-06T01:15+10:30"}},
		{"midnight that does not exist", "0 0 * * *", "America/Santiago", "2026-09-05T00:00Z", []string{"2026-09-05T00:00-04:00", "2026-09-07T00:00-03:00"}},
		{"every minute", "* * * * *", "UTC", "2026-01-01T00:00Z", []string{"2026-01-01T00:01Z", "2026-01-01T00:02Z"}},
		{"steps and ranges", "*/20 8-9,22 * * *", "UTC", "2026-01-01T09:30Z", []string{"2026-01-01T09:40Z", "2026-01-01T22:00Z"}},
		{"weekdays", "0 9 * * 1-5", "Europe/Berlin", "2026-01-02T12:00Z", []string{"2026-01-05T09:00+01:00", "2026-01-06T09:00+01:00"}},
		{"Sunday is 0", "0 9 * * 0", "UTC", "2026-01-01T00:00Z", []string{"2026-01-04T09:00Z", "2026-01-11T09:00Z"}},
		{"and 7", "0 9 * * 7", "UTC", "2026-01-01T00:00Z", []string{"2026-01-04T09:00Z", "2026-01-11T09:00Z"}},
		{"Friday to Sunday", "0 9 * * 5-7", "UTC", "2026-01-01T00:00Z", []string{"2026-01-02T09:00Z", "2026-01-03T09:00Z", "2026-01-04T09:00Z", "2026-01-09T09:00Z"}},
		{"either of two day fields", "0 0 13 * 5", "UTC", "2026-01-08T00:00Z", []string{"2026-01-09T00:00Z", "2026-01-13T00:00Z", "2026-01-16T00:00Z"}},
		{"a leap day", "0 12 29 2 *", "America/New_York", "2026-01-01T00:00Z", []string{"2028-02-29T12:00-05:00", "2032-02-29T12:00-05:00"}},
		{"a leap day behind a century", "0 12 29 2 *", "UTC", "2097-01-01T00:00Z", []string{"2104-02-29T12:00Z"}},
		{"the last day of a leap year far ahead", "0 19 31 12 *", "America/New_York", "2040-12-31T12:00Z", []string{"2040-12-31T19:00-05:00", "2041-12-31T19:00-05:00"}},
		{"and in the south", "30 10 31 12 *", "Australia/Lord_Howe", "2040-12-30T23:45Z", []string{"2041-12-31T10:30+11:00", "2042-12-31T10:30+11:00"}},
		{"zones without changes", "0 0 1 1 *", "Asia/Kolkata", "2026-06-01T00:00Z", []string{"2027-01-01T00:00+05:30", "2028-01-01T00:00+05:30"}},
	} {
		table := timetableOf(t, c.expression, c.zone)
		var want []time.Time
		for _, text := range c.want {
			want = append(want, utc(t, text))
		}
		if diff := cmp.Diff(want, table.upcoming(utc(t, c.after), len(want))); diff != "" {
			t.Errorf("%s: %q in %s (-want +got):\n%s", c.name, c.expression, c.zone, diff)
		}
	}
}

func TestSchedulesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, zone, field string }{
		{"", "UTC", "schedule.expression"},
		{"* * * *", "UTC", "schedule.expression"},
		{"0 * * * * *", "UTC", "schedule.expression"},
		{"0 0 1 1 * 2026", "UTC", "schedule.expression"},
		{"@daily", "UTC", "schedule.expression"},
		{"@every 1h", "UTC", "schedule.expression"},
		{"TZ=UTC 0 0 * * *", "UTC", "schedule.expression"},
		{"0 0 L * *", "UTC", "schedule.expression"},
		{"0 0 15W * *", "UTC", "schedule.expression"},
		{"0 0 * * 5#3", "UTC", "schedule.expression"},
		{"0 0 ? * *", "UTC", "schedule.expression"},
		{"H 0 * * *", "UTC", "schedule.expression"},
		{"0 9 * * MON", "UTC", "schedule.expression"},
		{"0 9 1 JAN *", "UTC", "schedule.expression"},
		{"60 * * * *", "UTC", "schedule.expression"},
		{"* 24 * * *", "UTC", "schedule.expression"},
		{"* * 0 * *", "UTC", "schedule.expression"},
		{"* * * 13 *", "UTC", "schedule.expression"},
		{"* * * * 8", "UTC", "schedule.expression"},
		{"* 22-2 * * *", "UTC", "schedule.expression"},
		{"*/0 * * * *", "UTC", "schedule.expression"},
		{"*/60 * * * *", "UTC", "schedule.expression"},
		{"5/10 * * * *", "UTC", "schedule.expression"},
		{"1,,2 * * * *", "UTC", "schedule.expression"},
		{"-1 * * * *", "UTC", "schedule.expression"},
		{"1-2-3 * * * *", "UTC", "schedule.expression"},
		{"0 0 30 2 *", "UTC", "schedule.expression"},
		{strings.Repeat("0,", 200) + "0 * * * *", "UTC", "schedule.expression"},
		{"* * * * *", "", "schedule.timezone"},
		{"* * * * *", "Local", "schedule.timezone"},
		{"* * * * *", "Mars/Olympus", "schedule.timezone"},
		{"* * * * *", "../UTC", "schedule.timezone"},
		{"* * * * *", "right/UTC", "schedule.timezone"},
		{"* * * * *", "+02:00", "schedule.timezone"},
	} {
		d := core.Deployment{Name: "x", Events: make([]core.InitialEvent, 1), Schedule: &core.Schedule{Expression: c.expression, Timezone: c.zone}}
		err := check(d)
		if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), " "+c.field+":") {
			t.Errorf("%q in %q: %v, want the field %s", c.expression, c.zone, err, c.field)
		}
	}
}

func TestJitterIsBoundedAndTheSameForOneDeployment(t *testing.T) {
	t.Parallel()
	for expression, most := range map[string]time.Duration{
		"* * * * *": 9 * time.Second, "*/10 * * * *": 90 * time.Second, "0 * * * *": 9 * time.Minute, "0 0 29 2 *": 9 * time.Minute,
	} {
		table := timetableOf(t, expression, "UTC")
		at := table.next(utc(t, "2026-01-01T00:00Z"))
		different := map[time.Duration]bool{}
		for range 100 {
			id := core.NewID[core.DeploymentID]()
			jitter := table.start(id, at).Sub(at)
			if jitter < 5*time.Second || jitter > most {
				t.Fatalf("%q: jitter %v, want 5s to %v", expression, jitter, most)
			}
			if again := timetableOf(t, expression, "UTC").start(id, at).Sub(at); again != jitter {
				t.Fatalf("%q: jitter %v and then %v", expression, jitter, again)
			}
			different[jitter] = true
		}
		if len(different) < 50 {
			t.Errorf("%q: 100 deployments share %d starts", expression, len(different))
		}
	}
}

func BenchmarkUpcomingLeapDays(b *testing.B) {
	table, err := read(core.Schedule{Expression: "0 12 29 2 *", Timezone: "America/New_York"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table.upcoming(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), UpcomingRuns)
	}
}
