package storetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// captureManyBytes has captures whose bytes are more than 64 bits can count, in one append, in one day, over
// days; and others of which each byte is counted.
func captureManyBytes(t *testing.T, b *captureBundle) {
	huge, exact := newCaller(), newCaller()
	exact.project = huge.project
	bytes := func(request, response int64) func(*core.Capture) {
		return func(c *core.Capture) { c.RequestBytes, c.ResponseBytes = request, response }
	}
	for range 2 {
		b.add(t, huge.capture(0, bytes(math.MaxInt64, 1<<61)), huge.capture(1, bytes(math.MaxInt64, 1<<61)))
		b.add(t, huge.capture(86400, bytes(1<<61, 1<<61+1)))
	}
	b.add(t, exact.capture(0, bytes(1<<53+1, 1<<31)), exact.capture(86400, bytes(1<<53, 1<<31-1)))
	sums := func(list []core.AgentUsage) (sums [][2]int64) {
		for _, u := range list {
			sums = append(sums, [2]int64{u.RequestBytes, u.ResponseBytes})
		}
		return sums
	}
	usage, err := b.Usage(t.Context(), huge.project, nil, everyDay)
	need(t, err)
	full := [2]int64{core.MaxSummedBytes, core.MaxSummedBytes}
	same(t, "sums over days", sums(usage), [][2]int64{full, {1<<54 + 1, 1<<32 - 1}})
	days, err := b.UsageDays(t.Context(), huge.project, huge.agent, everyDay)
	need(t, err)
	same(t, "sums of days", sums(days), [][2]int64{full, full})

	// What was cut is not known any more; but the sum stays one.
	other := huge
	other.session = core.NewID[core.SessionID]()
	b.add(t, other.capture(2, bytes(7, 7)))
	need(t, b.ForgetSession(t.Context(), huge.project, huge.session))
	days, err = b.UsageDays(t.Context(), huge.project, huge.agent, everyDay)
	need(t, err)
	if len(days) != 1 || days[0].Captures != 1 || days[0].RequestBytes < 0 || days[0].ResponseBytes < 0 {
		t.Errorf("after the others were forgotten: %+v", days)
	}
}

// captureOtherPaths fills a day but for one path, and goes on from there.
func captureOtherPaths(t *testing.T, b *captureBundle) {
	first, second := newCaller(), newCaller()
	second.project, second.agent = first.project, first.agent
	day := core.DayOf(epoch)
	path := func(path string, status int) func(*core.Capture) {
		return func(c *core.Capture) { c.Path, c.StatusCode = path, status }
	}
	var captures []core.Capture
	for i := range core.MaxDayPaths - 1 {
		captures = append(captures, first.capture(i, path(fmt.Sprint("/", i), 200)))
	}
	b.add(t, captures...)
	late := []core.Capture{
		second.capture(1, path("/0", 200)),
		second.capture(2, path("/last", 200), everyField),
		second.capture(3, path("/late", 500)),
		second.capture(4, path("/later", 404)),
		second.capture(86400, path("/late", 500)), // its day has room
	}
	late[1].Error = nil
	b.add(t, late[0], late[1], late[2])
	b.add(t, late[3])
	b.add(t, late[4])

	counts := func(when string, want map[string]int64) {
		t.Helper()
		list, more, err := b.PathDays(t.Context(), first.project, first.agent, core.Days{From: day, To: day}, 10_000)
		need(t, err)
		got, paths := make(map[string]int64), 0
		for _, p := range list {
			if _, asked := want[p.Path]; asked {
				got[p.Path] = p.Count
			}
			paths++
		}
		for p, n := range want {
			if n == 0 {
				delete(want, p)
			}
		}
		same(t, when, got, want)
		if more || paths > core.MaxDayPaths+1 {
			t.Errorf("%s: %d paths, more = %t", when, paths, more)
		}
	}
	counts("full", map[string]int64{"/0": 2, "/1": 1, "/last": 1, "/late": 0, "/later": 0, core.OtherPaths: 2})
	for i := range late {
		late[i] = keptCapture(late[i])
	}
	same(t, "captures", b.list(t, second, core.CaptureQuery{}), late)
	same(t, "pages do not count paths", len(b.list(t, second, core.CaptureQuery{Bare: true, MaxBytes: 80})), len(late))

	wrong, err := b.PathErrors(t.Context(), first.project, first.agent, everyDay, 10)
	need(t, err)
	lastOfOthers, lastOfLate := bare(late[2]), bare(late[4])
	same(t, "errors", wrong, []core.PathErrors{
		{
			Path: core.OtherPaths, Count: 2, Errors: 1, ClientErrors: 1, Last: &lastOfOthers,
			Statuses: []core.MethodStatus{{Method: "GET", StatusCode: 404, Count: 1}, {Method: "GET", StatusCode: 500, Count: 1, Errors: 1}},
		},
		{Path: "/late", Count: 1, Errors: 1, Last: &lastOfLate, Statuses: []core.MethodStatus{{Method: "GET", StatusCode: 500, Count: 1, Errors: 1}}},
	})

	// Where they were counted, there they are taken away; and then the day has room for one again.
	need(t, b.ForgetSession(t.Context(), second.project, second.session))
	counts("forgotten", map[string]int64{"/0": 1, "/1": 1, "/last": 0, "/late": 0, core.OtherPaths: 0})
	b.add(t, second.capture(5, path("/late", 200)), second.capture(6, path("/later", 200)), second.capture(7, path(core.OtherPaths, 200)))
	counts("again", map[string]int64{"/late": 1, "/later": 0, core.OtherPaths: 2})
	n, err := b.ExpireCaptures(t.Context(), day+1, 10_000)
	need(t, err)
	same(t, "expired", n, core.MaxDayPaths+2)
	counts("expired", map[string]int64{"/0": 0, core.OtherPaths: 0})
}

func captureManyStatuses(t *testing.T, b *captureBundle) {
	c := newCaller()
	var captures []core.Capture
	var want []core.MethodStatus
	for i := range core.MaxStatuses {
		want = append(want, core.MethodStatus{Method: fmt.Sprintf("M%02d", i), StatusCode: 404, Count: 2})
	}
	add := func(path, method string) {
		captures = append(captures, c.capture(len(captures), func(c *core.Capture) { c.Path, c.Method, c.StatusCode = path, method, 404 }))
	}
	for i := range core.MaxStatuses {
		for range 2 {
			add("/more", want[i].Method)
			add("/all", want[i].Method)
		}
	}
	add("/more", "A")
	b.add(t, captures...)
	list, err := b.PathErrors(t.Context(), c.project, c.agent, everyDay, 10)
	need(t, err)
	all := int64(2 * core.MaxStatuses)
	same(t, "errors", list, []core.PathErrors{
		{Path: "/more", Count: all + 1, ClientErrors: all + 1, Statuses: want, MoreStatuses: true},
		{Path: "/all", Count: all, ClientErrors: all, Statuses: want},
	})
}
