package managed_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ids are those of a list's items.
func ids(page map[string]any) []string {
	list := []string{}
	for _, item := range page["data"].([]any) {
		list = append(list, item.(map[string]any)["id"].(string))
	}
	return list
}

// walk reads a list to its end by next_page, and runs between after the first page.
func walk(t *testing.T, c client, path string, between func()) (all []string, pages int) {
	t.Helper()
	page := c.must(t, "GET", path, "")
	for {
		all = append(all, ids(page)...)
		pages++
		next, more := page["next_page"].(string)
		if !more {
			return all, pages
		}
		if len(ids(page)) == 0 {
			t.Fatal("an empty page has a cursor")
		}
		if pages == 1 && between != nil {
			between()
		}
		page = c.must(t, "GET", path+"&page="+url.QueryEscape(next), "")
	}
}

func TestListsAreStableUnderInserts(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		make5 := func(path string, create func() string) {
			t.Run(c.base+path, func(t *testing.T) {
				var made []string
				for range 5 {
					made = append(made, create())
				}
				slices.Reverse(made)
				got, pages := walk(t, c, path+"?limit=2", func() { create() })
				if d := cmp.Diff(made, got); d != "" || pages != 3 {
					t.Errorf("%d pages, ids (-want +got):\n%s", pages, d)
				}
				// A page that is just full has no cursor behind it.
				if got := c.must(t, "GET", path+"?limit=6", ""); got["next_page"] != nil || len(ids(got)) != 6 {
					t.Errorf("full page = %d items, next_page %v", len(ids(got)), got["next_page"])
				}
			})
		}
		make5("/agents", func() string { return c.agent(t, "") })
		make5("/environments", func() string { return c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string) })
		agent, env := c.agent(t, ""), c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
		make5("/sessions", func() string {
			return c.must(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`)["id"].(string)
		})
	}
}

func TestListsCanBeReadBackwards(t *testing.T) {
	t.Parallel()
	s := start(t)
	q, c := qoder(s), claude(s)
	var made []string
	env, agent := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string), c.agent(t, "")
	for range 5 {
		made = append(made, c.must(t, "POST", "/sessions", `{"agent":"`+agent+`","environment_id":"`+env+`"}`)["id"].(string))
	}
	slices.Reverse(made) // newest first

	first := c.must(t, "GET", "/sessions?limit=2", "")
	if first["prev_page"] != nil {
		t.Errorf("the first page has a page before it: %v", first["prev_page"])
	}
	second := c.must(t, "GET", "/sessions?limit=2&page="+first["next_page"].(string), "")
	third := c.must(t, "GET", "/sessions?limit=2&page="+second["next_page"].(string), "")
	if third["next_page"] != nil {
		t.Errorf("the last page has a page behind it: %v", third["next_page"])
	}
	back := c.must(t, "GET", "/sessions?limit=2&page="+third["prev_page"].(string), "")
	if d := cmp.Diff(made[2:4], ids(back)); d != "" || back["next_page"] == nil || back["prev_page"] == nil {
		t.Errorf("back: next %v, prev %v, ids (-want +got):\n%s", back["next_page"], back["prev_page"], d)
	}
	start := c.must(t, "GET", "/sessions?limit=2&page="+back["prev_page"].(string), "")
	if d := cmp.Diff(made[:2], ids(start)); d != "" || start["prev_page"] != nil {
		t.Errorf("start: prev %v, ids (-want +got):\n%s", start["prev_page"], d)
	}
	c.refused(t, c.do(t, "GET", "/sessions?limit=2&order=asc&page="+first["next_page"].(string), ""), 400, "invalid_request_error")
	c.refused(t, c.do(t, "GET", "/agents?page="+first["next_page"].(string), ""), 400, "invalid_request_error")
	past := url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
	c.refused(t, c.do(t, "GET", "/sessions?created_at[gt]="+past+"&page="+first["next_page"].(string), ""), 400, "invalid_request_error")

	named := func(i int) string { return "sess_" + made[i][len("sesn_"):] }
	before := q.must(t, "GET", "/sessions?limit=2&before_id="+named(4), "")
	if d := cmp.Diff([]string{named(2), named(3)}, ids(before)); d != "" || before["has_more"] != true || before["first_id"] != named(2) || before["last_id"] != named(3) {
		t.Errorf("before_id: %v, ids (-want +got):\n%s", before, d)
	}
	after := q.must(t, "GET", "/sessions?limit=2&after_id="+named(2), "")
	if d := cmp.Diff([]string{named(3), named(4)}, ids(after)); d != "" || after["has_more"] != false || after["next_page"] != nil {
		t.Errorf("after_id: ids (-want +got):\n%s", d)
	}
	asc := q.must(t, "GET", "/sessions?limit=2&order=asc&page="+named(4), "")
	if d := cmp.Diff([]string{named(3), named(2)}, ids(asc)); d != "" || asc["next_page"] != named(2) {
		t.Errorf("ascending: ids (-want +got):\n%s", d)
	}
}

func TestVersionsArePaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, q := claude(s), qoder(s)
	id := c.agent(t, "")
	for v := 1; v < 5; v++ {
		c.must(t, "POST", "/agents/"+id, fmt.Sprintf(`{"system":"v%d"}`, v+1))
	}
	numbers := func(page map[string]any) (list []float64) {
		for _, item := range page["data"].([]any) {
			list = append(list, item.(map[string]any)["version"].(float64))
		}
		return list
	}
	for _, tc := range []struct {
		c     client
		query string
		want  []float64
	}{
		{c, "", []float64{5, 4, 3, 2, 1}},
		{c, "?order=asc&limit=2", []float64{1, 2}},
		{q, "?limit=2", []float64{5, 4}},
		{q, "?limit=2&page=4", []float64{3, 2}},
		{q, "?limit=2&before_id=2", []float64{4, 3}},
		{q, "?limit=2&order=asc&after_id=3", []float64{4, 5}},
		{q, "?limit=2&order=asc&before_id=4", []float64{2, 3}},
		{q, "?after_id=1", nil},
	} {
		if d := cmp.Diff(tc.want, numbers(tc.c.must(t, "GET", "/agents/"+id+"/versions"+tc.query, ""))); d != "" {
			t.Errorf("%s%s (-want +got):\n%s", tc.c.base, tc.query, d)
		}
	}
	page := c.must(t, "GET", "/agents/"+id+"/versions?limit=3", "")
	rest := c.must(t, "GET", "/agents/"+id+"/versions?limit=3&page="+page["next_page"].(string), "")
	if d := cmp.Diff([]float64{2, 1}, numbers(rest)); d != "" || rest["next_page"] != nil {
		t.Errorf("second page: next %v (-want +got):\n%s", rest["next_page"], d)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	env := c.must(t, "POST", "/environments", `{"name":"box"}`)["id"].(string)
	one, two := c.agent(t, ""), c.agent(t, "")
	c.must(t, "POST", "/agents/"+one, `{"system":"v2"}`)
	create := func(agent string) string {
		return c.must(t, "POST", "/sessions", `{"agent":`+agent+`,"environment_id":"`+env+`"}`)["id"].(string)
	}
	a := create(`"` + one + `"`)
	b := create(`{"type":"agent","id":"` + one + `","version":1}`)
	d := create(`"` + two + `"`)
	c.must(t, "POST", "/sessions/"+d+"/archive", "")
	made := url.QueryEscape(c.must(t, "GET", "/sessions/"+b, "")["created_at"].(string))
	for query, want := range map[string][]string{
		"":                                      {b, a},
		"?include_archived=true":                {d, b, a},
		"?agent_id=" + one:                      {b, a},
		"?agent_id=" + one + "&agent_version=1": {b},
		"?agent_id=" + two:                      {},
		"?include_archived=true&statuses[]=terminated":   {d},
		"?include_archived=true&statuses%5B%5D=running":  {},
		"?include_archived=1&statuses=idle&order=asc":    {a, b},
		"?created_at[gte]=" + made:                       {b},
		"?created_at[gt]=" + made:                        {},
		"?created_at[lte]=" + made:                       {b, a},
		"?created_at%5Blt%5D=" + made:                    {a},
		"?deployment_id=depl_0198c1d2000070008000000001": {},
		"?beta=true&unknown=x":                           {b, a},
	} {
		if diff := cmp.Diff(want, ids(c.must(t, "GET", "/sessions"+query, ""))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	if got := ids(qoder(s).must(t, "GET", "/sessions?include_archived=true&statuses=idle", "")); len(got) != 3 {
		t.Errorf("idle sessions = %v: archived ones are idle with Qoder", got)
	}
	c.must(t, "POST", "/agents/"+two+"/archive", "")
	old := url.QueryEscape(c.must(t, "GET", "/agents/"+one, "")["created_at"].(string))
	for query, want := range map[string][]string{
		"": {one}, "?include_archived=true": {two, one}, "?created_at[gte]=" + old: {one}, "?include_archived=true&created_at[lte]=" + old: {one},
	} {
		if diff := cmp.Diff(want, ids(c.must(t, "GET", "/agents"+query, ""))); diff != "" {
			t.Errorf("/agents%s (-want +got):\n%s", query, diff)
		}
	}
	second := c.must(t, "POST", "/environments", `{"name":"second"}`)["id"].(string)
	at := url.QueryEscape(c.must(t, "GET", "/environments/"+env, "")["created_at"].(string))
	for query, want := range map[string][]string{
		"?created_at[gte]=" + at: {second, env}, "?created_at[gt]=" + at: {second}, "?created_at[lte]=" + at: {env}, "?created_at[lt]=" + at: {},
	} {
		if diff := cmp.Diff(want, ids(c.must(t, "GET", "/environments"+query, ""))); diff != "" {
			t.Errorf("/environments%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestModelsArePaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	all := ids(c.must(t, "GET", "/models?limit=1000", ""))
	if len(all) < 4 || !slices.Contains(all, "scripted") {
		t.Fatalf("models = %v", all)
	}
	page := c.must(t, "GET", "/models?limit=2&after_id="+all[0], "")
	if d := cmp.Diff(all[1:3], ids(page)); d != "" || page["has_more"] != true || page["last_id"] != all[2] {
		t.Errorf("page = %v, ids (-want +got):\n%s", page, d)
	}
	back := c.must(t, "GET", "/models?limit=2&before_id="+all[3], "")
	if d := cmp.Diff(all[1:3], ids(back)); d != "" || back["has_more"] != true {
		t.Errorf("before_id: ids (-want +got):\n%s", d)
	}
	q := qoder(s).must(t, "GET", "/models", "")
	if d := cmp.Diff(all, ids(q)); d != "" || q["has_more"] != false {
		t.Errorf("qoder: ids (-want +got):\n%s", d)
	}
}
