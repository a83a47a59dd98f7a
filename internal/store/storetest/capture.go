package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// RunCaptures proves all promises of core.CaptureStore. Open returns an empty store and closes it when its
// test has ended.
func RunCaptures(t *testing.T, open func(t *testing.T) core.CaptureStore) {
	for name, promise := range map[string]func(*testing.T, *captureBundle){
		"everything comes back as it went in":                 captureComesBack,
		"pages follow each other without gap or overlap":      capturePages,
		"a page ends when its texts are long enough":          captureMaxBytes,
		"bare captures have no long texts":                    captureBare,
		"a named capture is stored once":                      captureDuplicates,
		"all or none":                                         captureAllOrNone,
		"nobody sees another project":                         captureTenancy,
		"counts agree after appends, forgetting and expiry":   captureCounts,
		"the most called paths, and that there are more":      captureManyPaths,
		"the worst paths first":                               captureWorstPaths,
		"percentiles are those of all captures":               capturePercentiles,
		"reads see one moment":                                captureWholeReads,
		"parallel appends are all counted":                    captureParallel,
		"a session of several days is counted once":           captureSessionDays,
		"what is unknown is empty":                            captureUnknown,
		"expiry takes at most limit":                          captureExpiryLimit,
		"chosen agents only":                                  captureChosenAgents,
		"sums of bytes end at their limit":                    captureManyBytes,
		"too many paths of a day are counted as others":       captureOtherPaths,
		"the most frequent statuses, and that there are more": captureManyStatuses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			promise(t, &captureBundle{CaptureStore: open(t)})
		})
	}
}

// captureBundle is a fresh store.
type captureBundle struct {
	core.CaptureStore
	removed bool // captures were taken out: MaxLatencyMS may be too high
}

// maxMayBeHigh leaves MaxLatencyMS out of comparisons once captures were taken out.
func (b *captureBundle) maxMayBeHigh() gocmp.Option {
	return gocmp.FilterPath(func(p gocmp.Path) bool { return b.removed && p.Last().String() == ".MaxLatencyMS" }, gocmp.Ignore())
}

// everyDay is a span that has all days of these tests.
var everyDay = core.Days{From: -1_000_000, To: 1_000_000}

// caller is where captures come from.
type caller struct {
	project core.ProjectID
	agent   core.AgentID
	session core.SessionID
}

func newCaller() caller {
	return caller{core.NewID[core.ProjectID](), core.NewID[core.AgentID](), core.NewID[core.SessionID]()}
}

// capture is a fine call, some seconds after epoch.
func (c caller) capture(seconds int, edit ...func(*core.Capture)) core.Capture {
	capture := core.Capture{
		Project: c.project, ID: core.NewID[core.CaptureID](), Agent: c.agent, Session: c.session, Via: core.CaptureByAgent,
		At: at(seconds), ReceivedAt: at(seconds + 1), Path: "/v2/geocode", Method: "GET", StatusCode: 200, LatencyMS: 84.25,
		RequestBytes: 10, ResponseBytes: 20,
	}
	for _, f := range edit {
		f(&capture)
	}
	return capture
}

// everyField has every field.
func everyField(c *core.Capture) {
	for i, s := range []**string{
		&c.RequestHeaders, &c.RequestBody, &c.QueryParams, &c.PostData, &c.ResponseHeaders, &c.ResponseBody,
		&c.RequestContentType, &c.ResponseContentType, &c.Error,
	} {
		text := fmt.Sprintf("text %d: ünï¢ode \t\r\n", i)
		*s = &text
	}
	c.CustomProperties, c.Metadata = json.RawMessage(`{"a": [1]}`), json.RawMessage(`null`)
	c.Via, c.Named = core.CaptureBySDK, true
}

// keptCapture is c as a store gives it back.
func keptCapture(c core.Capture) core.Capture {
	c.At, c.ReceivedAt = kept(c.At), kept(c.ReceivedAt)
	return c
}

// bare is c as a Bare query gives it.
func bare(c core.Capture) core.Capture {
	c.RequestHeaders, c.RequestBody, c.QueryParams, c.PostData, c.ResponseHeaders, c.ResponseBody = nil, nil, nil, nil, nil, nil
	c.CustomProperties, c.Metadata = nil, nil
	return c
}

// add appends captures that must all be new.
func (b *captureBundle) add(t *testing.T, captures ...core.Capture) {
	t.Helper()
	fresh, err := b.AppendCaptures(t.Context(), captures)
	need(t, err)
	if len(fresh) != len(captures) || slices.Contains(fresh, false) {
		t.Fatalf("fresh = %v, want %d times true", fresh, len(captures))
	}
}

func (b *captureBundle) list(t *testing.T, c caller, q core.CaptureQuery) []core.Capture {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 10_000
	}
	list, err := b.Captures(t.Context(), c.project, c.agent, c.session, q)
	need(t, err)
	return list
}

func captureComesBack(t *testing.T, b *captureBundle) {
	c := newCaller()
	empty, long := "", strings.Repeat("é", 300_000)
	random := make([]rune, 8192)
	for i := range random {
		random[i] = rune(0x4e00 + rand.IntN(0x5000))
	}
	captures := []core.Capture{
		c.capture(1, everyField),
		c.capture(2),
		c.capture(3, func(c *core.Capture) { c.RequestBody, c.Error, c.ResponseContentType = &empty, &empty, &empty }),
		c.capture(4, func(c *core.Capture) { c.ResponseBody, c.Metadata = &long, json.RawMessage(`"`+long+`"`) }),
		c.capture(5, func(c *core.Capture) { c.Path = string(random) }),
		c.capture(6, func(c *core.Capture) { c.Path = string(random[:8191]) + "!" }),
		c.capture(7, func(c *core.Capture) { c.Path, c.Method, c.StatusCode, c.LatencyMS = "/'\"%_\\", "geT", 0, 0 }),
		c.capture(8, func(c *core.Capture) { c.RequestBytes, c.LatencyMS = 1<<50, 86_400_000 }),
		c.capture(9, func(c *core.Capture) { c.LatencyMS = 5e-324 }),
	}
	b.add(t, captures...)
	old := caller{c.project, c.agent, core.NewID[core.SessionID]()}
	first := old.capture(0, func(c *core.Capture) {
		c.At, c.ReceivedAt = time.Unix(0, 0), time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	})
	b.add(t, first)
	for i := range captures {
		captures[i] = keptCapture(captures[i])
	}
	same(t, "captures", b.list(t, c, core.CaptureQuery{}), captures)
	same(t, "at the epoch", b.list(t, old, core.CaptureQuery{}), []core.Capture{keptCapture(first)})
	paths, _, err := b.PathDays(t.Context(), c.project, c.agent, everyDay, 100)
	need(t, err)
	if len(paths) != 5 { // four paths, one of them on two days
		t.Errorf("%d rows of paths, want 5", len(paths))
	}
}

func capturePages(t *testing.T, b *captureBundle) {
	c := newCaller()
	var all []core.Capture
	for i := range 30 {
		all = append(all, c.capture(i/10)) // ten at a time
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	b.add(t, all...)
	for i := range all {
		all[i] = keptCapture(all[i])
	}
	slices.SortFunc(all, compareCaptures)
	for _, size := range []int{1, 7, 10, 29, 30, 31} {
		var got []core.Capture
		for q := (core.CaptureQuery{Limit: size}); ; {
			page := b.list(t, c, q)
			if len(page) > size {
				t.Fatalf("a page of %d has %d captures", size, len(page))
			}
			got = append(got, page...)
			if len(page) < size {
				break
			}
			last := page[len(page)-1]
			q.After = &core.CaptureKey{At: last.At, ID: last.ID}
		}
		same(t, fmt.Sprintf("in pages of %d", size), got, all)
	}
}

func captureMaxBytes(t *testing.T, b *captureBundle) {
	c := newCaller()
	for i := range 5 {
		b.add(t, c.capture(i, func(c *core.Capture) {
			text := strings.Repeat("x", 90)
			c.RequestBody, c.Metadata = &text, json.RawMessage(`"12345678"`) // together 100
		}))
	}
	for _, row := range []struct{ bytes, want int }{{0, 5}, {1, 1}, {100, 1}, {101, 2}, {300, 3}, {10_000, 5}} {
		if got := len(b.list(t, c, core.CaptureQuery{MaxBytes: row.bytes})); got != row.want {
			t.Errorf("MaxBytes %d: %d captures, want %d", row.bytes, got, row.want)
		}
	}
	if got := len(b.list(t, c, core.CaptureQuery{MaxBytes: 1, Bare: true})); got != 5 {
		t.Errorf("MaxBytes 1, bare: %d captures, want 5: no text is there", got)
	}
}

func captureBare(t *testing.T, b *captureBundle) {
	c := newCaller()
	captures := []core.Capture{c.capture(1, everyField), c.capture(2)}
	b.add(t, captures...)
	want := []core.Capture{bare(keptCapture(captures[0])), bare(keptCapture(captures[1]))}
	if want[0].Error == nil || want[0].RequestContentType == nil {
		t.Fatal("the test's own bare capture has no error")
	}
	same(t, "bare", b.list(t, c, core.CaptureQuery{Bare: true}), want)
}

func captureDuplicates(t *testing.T, b *captureBundle) {
	c, other := newCaller(), newCaller()
	other.project = c.project
	named := func(c *core.Capture) { c.Named = true }
	first := c.capture(1, named)
	again := first
	again.Path, again.StatusCode = "/changed", 500
	next := c.capture(2, named)
	theirs := other.capture(3, named)
	theirs.ID = first.ID
	unnamed := c.capture(4)
	m := &captureModel{}
	for _, call := range [][]core.Capture{{first}, {again, next, next, theirs, unnamed}, {theirs, first}, {unnamed}} {
		want := m.append(call)
		got, err := b.AppendCaptures(t.Context(), call)
		need(t, err)
		same(t, "fresh", got, want)
	}
	if len(m.kept) != 5 {
		t.Fatalf("the model keeps %d", len(m.kept))
	}
	checkCaptures(t, "with duplicates", b, m, []core.ProjectID{c.project}, []core.AgentID{c.agent, other.agent}, []core.SessionID{c.session, other.session}, everyDay)

	// What was forgotten may be reported anew.
	need(t, b.ForgetSession(t.Context(), c.project, c.session))
	b.add(t, first)
}

func captureAllOrNone(t *testing.T, b *captureBundle) {
	c := newCaller()
	bad := c.capture(2)
	bad.ID = "not an id"
	nan := c.capture(3)
	nan.LatencyMS = -1
	for _, last := range []core.Capture{bad, nan} {
		_, err := b.AppendCaptures(t.Context(), []core.Capture{c.capture(1), last})
		refused(t, "a capture that cannot be stored", err, core.Invalid, "")
	}
	same(t, "captures", b.list(t, c, core.CaptureQuery{}), []core.Capture{})
	fresh, err := b.AppendCaptures(t.Context(), nil)
	need(t, err)
	same(t, "nothing", len(fresh), 0)
}

// captureTenancy has the same ids, but for the project's, in two projects.
func captureTenancy(t *testing.T, b *captureBundle) {
	mine := newCaller()
	theirs := mine
	theirs.project = core.NewID[core.ProjectID]()
	m := &captureModel{}
	a := mine.capture(1, everyField)
	z := theirs.capture(2, everyField, func(c *core.Capture) { c.ID, c.Path = a.ID, "/theirs" })
	for _, call := range [][]core.Capture{{a}, {z, theirs.capture(3)}} {
		m.append(call)
		b.add(t, call...)
	}
	check := func(when string) {
		t.Helper()
		checkCaptures(t, when, b, m, []core.ProjectID{mine.project, theirs.project}, []core.AgentID{mine.agent}, []core.SessionID{mine.session}, everyDay)
	}
	check("both")
	need(t, b.ForgetSession(t.Context(), mine.project, mine.session))
	m.forget(mine.project, mine.session)
	b.removed = true
	check("without mine")
	if len(m.kept) != 2 {
		t.Fatalf("the model keeps %d", len(m.kept))
	}
}

// captureCounts does many things in random order, and compares everything after each.
func captureCounts(t *testing.T, b *captureBundle) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	projects := []core.ProjectID{core.NewID[core.ProjectID](), core.NewID[core.ProjectID]()}
	agents := []core.AgentID{core.NewID[core.AgentID](), core.NewID[core.AgentID]()}
	var sessions []core.SessionID
	for range 4 {
		sessions = append(sessions, core.NewID[core.SessionID]())
	}
	known := []core.CaptureID{core.NewID[core.CaptureID](), core.NewID[core.CaptureID]()}
	someError := "broken"
	m := &captureModel{}
	day := core.DayOf(epoch)
	b.removed = true
	draw := func() core.Capture {
		c := caller{projects[random.IntN(2)], agents[random.IntN(2)], sessions[random.IntN(4)]}
		return c.capture(random.IntN(4*86400), func(c *core.Capture) {
			c.Path = []string{"/a", "/b", "/c"}[random.IntN(3)]
			c.Method = []string{"GET", "POST"}[random.IntN(2)]
			c.StatusCode = []int{0, 200, 404, 503}[random.IntN(4)]
			c.LatencyMS = []float64{0, 1, 1, random.Float64() * 3, random.ExpFloat64() * 100}[random.IntN(5)]
			c.RequestBytes = random.Int64N(1000)
			if random.IntN(8) == 0 {
				c.Error = &someError
			}
			if random.IntN(10) == 0 {
				c.Named, c.ID = true, known[random.IntN(2)]
			}
		})
	}
	for step := range 60 {
		when := fmt.Sprintf("step %d: ", step)
		switch kind := random.IntN(10); {
		case kind < 6:
			captures := make([]core.Capture, 1+random.IntN(40))
			for i := range captures {
				captures[i] = draw()
			}
			when += fmt.Sprintf("append %d", len(captures))
			got, err := b.AppendCaptures(t.Context(), captures)
			need(t, err)
			same(t, when, got, m.append(captures))
		case kind < 9:
			p, s := projects[random.IntN(2)], sessions[random.IntN(4)]
			when += "forget"
			need(t, b.ForgetSession(t.Context(), p, s))
			m.forget(p, s)
		default:
			before := day + core.Day(random.IntN(3))
			when += fmt.Sprintf("expire before %s", before)
			n, err := b.ExpireCaptures(t.Context(), before, 1000)
			need(t, err)
			same(t, when, n, m.expire(before))
		}
		checkCaptures(t, when, b, m, projects, agents, sessions, everyDay, core.Days{From: day + 1, To: day + 2})
	}
}

func captureManyPaths(t *testing.T, b *captureBundle) {
	c := newCaller()
	var captures []core.Capture
	for path, n := range map[string]int{"/rare": 1, "/b": 3, "/Z": 2} {
		for i := range n {
			captures = append(captures, c.capture(i*86400, func(c *core.Capture) { c.Path = path }))
		}
	}
	b.add(t, captures...)
	list, more, err := b.PathDays(t.Context(), c.project, c.agent, everyDay, 2)
	need(t, err)
	day := core.DayOf(epoch)
	var want []core.PathDay
	for _, p := range []struct {
		path string
		days core.Day
	}{{"/Z", 2}, {"/b", 3}} {
		for d := range p.days {
			want = append(want, core.PathDay{Path: p.path, Day: day + d, Count: 1})
		}
	}
	same(t, "the two most called", list, want)
	same(t, "more", more, true)
	_, more, err = b.PathDays(t.Context(), c.project, c.agent, everyDay, 3)
	need(t, err)
	same(t, "more, all three", more, false)
}

func captureWorstPaths(t *testing.T, b *captureBundle) {
	c := newCaller()
	var captures []core.Capture
	for path, statuses := range map[string][]int{
		"/one error": {500}, "/one error of two": {0, 200}, "/client": {404, 404, 404}, "/fine": {200, 301, 200},
		"/one error, one client": {503, 400},
	} {
		for i, status := range statuses {
			captures = append(captures, c.capture(i, func(c *core.Capture) { c.Path, c.StatusCode = path, status }))
		}
	}
	b.add(t, captures...)
	for limit, want := range map[int][]string{
		1: {"/one error, one client"},
		9: {"/one error, one client", "/one error of two", "/one error", "/client"},
	} {
		list, err := b.PathErrors(t.Context(), c.project, c.agent, everyDay, limit)
		need(t, err)
		same(t, "paths", ids(list, func(p core.PathErrors) string { return p.Path }), want)
	}
	list, err := b.PathErrors(t.Context(), c.project, c.agent, core.Days{From: core.DayOf(epoch) + 1, To: core.DayOf(epoch) + 2}, 9)
	need(t, err)
	same(t, "on other days", list, []core.PathErrors{})
}

func captureParallel(t *testing.T, b *captureBundle) {
	c := newCaller()
	const workers, each = 16, 25
	failed := make(chan error, workers)
	var duplicates atomic.Int64
	same16 := make([]core.CaptureID, each)
	for i := range same16 {
		same16[i] = core.NewID[core.CaptureID]()
	}
	for range workers {
		go func() {
			mine := c
			mine.session = core.NewID[core.SessionID]()
			for i := range each {
				// One of its own, and one that all report.
				fresh, err := b.AppendCaptures(t.Context(), []core.Capture{
					mine.capture(i, everyField, func(c *core.Capture) { c.Path = fmt.Sprint("/", i%7) }),
					mine.capture(i, func(c *core.Capture) { c.Named, c.ID = true, same16[i] }),
				})
				if err != nil {
					failed <- err
					return
				}
				if !fresh[0] {
					failed <- fmt.Errorf("a new capture was taken for a duplicate")
					return
				}
				if !fresh[1] {
					duplicates.Add(1)
				}
			}
			failed <- nil
		}()
	}
	for range workers {
		need(t, <-failed)
	}
	same(t, "duplicates", duplicates.Load(), int64((workers-1)*each))
	usage, err := b.Usage(t.Context(), c.project, nil, everyDay)
	need(t, err)
	if len(usage) != 1 || usage[0].Captures != (workers+1)*each || usage[0].Sessions != workers {
		t.Errorf("usage = %+v, want %d captures of %d sessions", usage, (workers+1)*each, workers)
	}
	paths, _, err := b.PathDays(t.Context(), c.project, c.agent, everyDay, 100)
	need(t, err)
	n := int64(0)
	for _, p := range paths {
		n += p.Count
	}
	same(t, "captures by path", n, int64((workers+1)*each))
}

func captureSessionDays(t *testing.T, b *captureBundle) {
	c := newCaller()
	day := core.DayOf(epoch)
	sessions := func(from, to core.Day) int64 {
		t.Helper()
		usage, err := b.Usage(t.Context(), c.project, nil, core.Days{From: from, To: to})
		need(t, err)
		if len(usage) == 0 {
			return 0
		}
		return usage[0].Sessions
	}
	b.add(t, c.capture(0))
	b.add(t, c.capture(86400), c.capture(3*86400))
	other := c
	other.session = core.NewID[core.SessionID]()
	b.add(t, other.capture(86400))
	for _, row := range []struct {
		from, to core.Day
		want     int64
	}{{0, 0, 1}, {0, 1, 2}, {1, 3, 2}, {2, 2, 0}, {2, 3, 1}, {0, 9, 2}} {
		if got := sessions(day+row.from, day+row.to); got != row.want {
			t.Errorf("days %d to %d: %d sessions, want %d", row.from, row.to, got, row.want)
		}
	}
	_, err := b.ExpireCaptures(t.Context(), day+3, 10)
	need(t, err)
	same(t, "after expiry", sessions(day, day+9), 1)
	need(t, b.ForgetSession(t.Context(), c.project, c.session))
	same(t, "after all", sessions(day, day+9), 0)
}

func captureUnknown(t *testing.T, b *captureBundle) {
	known := newCaller()
	b.add(t, known.capture(1))
	for name, c := range map[string]caller{"other ids": newCaller(), "no ids": {"p", "a", "s"}, "empty ids": {}} {
		m := &captureModel{}
		t.Run(name, func(t *testing.T) {
			checkCaptures(t, name, b, m, []core.ProjectID{c.project}, []core.AgentID{c.agent}, []core.SessionID{c.session}, everyDay)
			need(t, b.ForgetSession(t.Context(), c.project, c.session))
			usage, err := b.Usage(t.Context(), known.project, []core.AgentID{c.agent}, everyDay)
			need(t, err)
			same(t, "usage of an unknown agent", usage, []core.AgentUsage{})
		})
	}
	n, err := b.ExpireCaptures(t.Context(), core.DayOf(epoch)-1, 10)
	need(t, err)
	same(t, "expired", n, 0)
	same(t, "the known", len(b.list(t, known, core.CaptureQuery{})), 1)
}

func captureExpiryLimit(t *testing.T, b *captureBundle) {
	m := &captureModel{}
	b.removed = true
	var projects []core.ProjectID
	var agents []core.AgentID
	var sessions []core.SessionID
	for range 3 {
		c := newCaller()
		projects, agents, sessions = append(projects, c.project), append(agents, c.agent), append(sessions, c.session)
		for d := range 3 {
			captures := []core.Capture{c.capture(d * 86400), c.capture(d*86400 + 1)}
			m.append(captures)
			b.add(t, captures...)
		}
	}
	before := core.DayOf(epoch) + 2
	for i, want := range []int{5, 5, 2, 0} {
		n, err := b.ExpireCaptures(t.Context(), before, 5)
		need(t, err)
		same(t, fmt.Sprint("expired by call ", i), n, want)
	}
	m.expire(before)
	checkCaptures(t, "expired", b, m, projects, agents, sessions, everyDay)
	if len(m.kept) != 6 {
		t.Fatalf("the model keeps %d", len(m.kept))
	}
}

func captureChosenAgents(t *testing.T, b *captureBundle) {
	c := newCaller()
	var agents []core.AgentID
	for n := range 3 {
		c.agent, c.session = core.NewID[core.AgentID](), core.NewID[core.SessionID]()
		agents = append(agents, c.agent)
		for i := range n + 1 {
			b.add(t, c.capture(i))
		}
	}
	usage, err := b.Usage(t.Context(), c.project, agents[:2], everyDay)
	need(t, err)
	same(t, "of two", ids(usage, func(u core.AgentUsage) core.AgentID { return u.Agent }), []core.AgentID{agents[1], agents[0]})
}
