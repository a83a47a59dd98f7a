package deployment

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the zones come along: a machine without them fires at the same moments

	"github.com/netresearch/go-cron"

	"github.com/reeve-ai/reeve/internal/core"
)

// parser reads the five fields. If both day fields are restricted, either may match, as POSIX has it
// (crontab, section "input files").
var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom)

// searchYears is how far ahead a match is looked for: from 29 February to the next it can be eight years.
const searchYears = 9

// cronField is one field of an expression, with the bounds of its numbers.
type cronField struct {
	name      string
	low, high int
}

// cronFields are those of claude-managed-agents.md section 3.11. Day of week has Sunday twice.
var cronFields = []cronField{{"minute", 0, 59}, {"hour", 0, 23}, {"day of month", 1, 31}, {"month", 1, 12}, {"day of week", 0, 7}}

// cronItem is a member of a field's list: *, a number or a range, and a step behind * or a range.
var cronItem = regexp.MustCompile(`^(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$`)

// timetable is a schedule that was read.
type timetable struct {
	spec cron.SpecSchedule // its Location is set for each search
	zone *time.Location
}

// read judges a schedule.
func read(s core.Schedule) (timetable, error) {
	if s.Expression == "" {
		return timetable{}, core.InvalidField("schedule.expression", "is required")
	}
	if err := checkExpression(s.Expression); err != nil {
		return timetable{}, core.InvalidField("schedule.expression", "%s", err.Error())
	}
	parsed, err := parser.Parse(s.Expression)
	if err != nil {
		return timetable{}, core.InvalidField("schedule.expression", "is not a cron expression of five fields")
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return timetable{}, &core.Error{Err: fmt.Errorf("deployment: %q parses as %T", s.Expression, parsed)}
	}
	zone, err := loadZone(s.Timezone)
	if err != nil {
		return timetable{}, err
	}
	return timetable{spec: *spec, zone: zone}, nil
}

// checkExpression holds what the parser would let pass: names, ranges that wrap around, steps of a single
// number, "?" and a time zone of the expression's own. Its errors are shown.
func checkExpression(text string) error {
	fields := strings.Fields(text)
	if len(fields) != len(cronFields) {
		return errors.New("must have five fields: minute, hour, day of month, month, day of week")
	}
	for i, f := range cronFields {
		for item := range strings.SplitSeq(fields[i], ",") {
			if err := f.check(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f cronField) check(item string) error {
	m := cronItem.FindStringSubmatch(item)
	if m == nil {
		return fmt.Errorf("the field %s takes *, numbers, ranges, lists and steps of these, and no names or special characters", f.name)
	}
	low, high := f.low, f.high
	if m[1] != "" {
		low, _ = strconv.Atoi(m[1]) // the pattern has digits only, here and below
		high = low
	}
	if m[2] != "" {
		high, _ = strconv.Atoi(m[2])
	}
	switch {
	case low < f.low || high > f.high:
		return fmt.Errorf("the field %s takes numbers from %d to %d", f.name, f.low, f.high)
	case low > high:
		return fmt.Errorf("the field %s has a range that ends before it begins", f.name)
	case m[3] == "":
		return nil
	case m[1] != "" && m[2] == "":
		return fmt.Errorf("the field %s has a step behind a single number: it goes behind * or a range", f.name)
	}
	if step, _ := strconv.Atoi(m[3]); step < 1 || step > high-low {
		return fmt.Errorf("the field %s has a step that is 0 or longer than its range", f.name)
	}
	return nil
}

// zones are those that were asked for, by name. There are a few hundred names.
var zones sync.Map

// loadZone finds a zone of the IANA database. "" and "Local" are none, and the variants that some systems
// keep beside it differ in leap seconds.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return nil, core.InvalidField("schedule.timezone", "is required")
	}
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	unknown := core.InvalidField("schedule.timezone", "is not a time zone of the IANA database, such as America/Los_Angeles or UTC")
	if name == "Local" || strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
		return nil, unknown
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		unknown.Err = err
		return nil, unknown
	}
	zones.Store(name, zone)
	return zone, nil
}

// next returns the first moment behind after at which the clock on the wall shows a time that matches, in
// UTC; zero if there is none in searchYears. A time that the clock skips in spring does not match, one that
// it shows twice in autumn matches twice (claude-managed-agents.md section 3.11).
//
// The clock runs evenly between two changes of the zone's offset, so each such part is searched by itself,
// in a zone that knows no changes: the parser's own search moves skipped times to behind the change, and
// trips over changes of half an hour.
func (t timetable) next(after time.Time) time.Time {
	spec := t.spec
	part, from, limit := after, after, after.AddDate(searchYears, 0, 0)
	for part.Before(limit) {
		name, offset := part.In(t.zone).Zone()
		end := partEnd(part.In(t.zone))
		spec.Location = time.FixedZone(name, offset)
		spec.MaxSearchYears = searchYears
		if !end.IsZero() {
			spec.MaxSearchYears = min(searchYears, end.Year()-part.Year()+1)
		}
		at := spec.Next(from)
		if !at.IsZero() && (end.IsZero() || at.Before(end)) {
			return at.UTC()
		}
		if end.IsZero() {
			return time.Time{}
		}
		part, from = end, end.Add(-time.Second) // so that the moment of the change counts, too
	}
	return time.Time{}
}

// partEnd returns the end of the time around t in which its zone keeps its offset, behind t; zero if it keeps
// it for ever. Behind the last year of the database's table (2037), Go takes every year for one of 365 days,
// and says on the last day of a leap year that the part has ended already; the offset holds to the year's end.
func partEnd(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return end
}

// Bounds of the jitter (claude-managed-agents.md section 3.11): at most this part of the interval.
const (
	minJitter     = 5 * time.Second
	maxJitter     = 9 * time.Minute
	jitterPercent = 15
)

// start returns when the fire of a moment is to start: a little later, by a share of the interval to the
// moment behind it that is always the same for one deployment, so that all nodes agree on it.
func (t timetable) start(id core.DeploymentID, at time.Time) time.Time {
	bound := maxJitter
	if following := t.next(at); !following.IsZero() {
		bound = max(minJitter, min(maxJitter, following.Sub(at)*jitterPercent/100))
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	share := float64(hash.Sum32()) / (1 << 32)
	return at.Add(minJitter + time.Duration(share*float64(bound-minJitter)).Truncate(time.Millisecond))
}

// upcoming lists the next n moments behind after, or fewer if there are none within searchYears.
func (t timetable) upcoming(after time.Time, n int) []time.Time {
	list := make([]time.Time, 0, n)
	for len(list) < n {
		if after = t.next(after); after.IsZero() {
			break
		}
		list = append(list, after)
	}
	return list
}
