package tool_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/tool"
)

// settings is the environment of a call of a tool with settings.
func settings(s core.WebSettings) core.ToolEnv {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return core.ToolEnv{Settings: raw}
}

// The refused hop must not even be asked: what it is told by its URL may be the secret.
func TestDomainListsHoldOnEveryHop(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "reached")
	}))
	t.Cleanup(other.Close)
	away := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	srv, r := web(t, map[string]func(http.ResponseWriter){
		"/page": sends("text/plain", "here"),
		"/away": func(w http.ResponseWriter) { w.Header().Set("Location", away); w.WriteHeader(http.StatusFound) },
	})
	allow := core.WebSettings{AllowedDomains: []string{"127.0.0.1"}} // as no agent can have it: the test's own server
	block := core.WebSettings{BlockedDomains: []string{"localhost"}}
	for _, c := range []struct {
		name string
		set  core.WebSettings
		url  string
		ok   bool
	}{
		{"allowed", allow, srv.URL + "/page", true},
		{"not allowed", allow, away, false},
		{"redirect to what is not allowed", allow, srv.URL + "/away", false},
		{"not blocked", block, srv.URL + "/page", true},
		{"blocked", block, away, false},
		{"redirect to what is blocked", block, srv.URL + "/away", false},
		{"another spelling of the host", block, strings.Replace(away, "localhost", "LOCALHOST.", 1), false},
		{"a host in other letters", block, strings.Replace(away, "localhost", "ｌocalhost", 1), false},
	} {
		a := run(t, r, settings(c.set), "web_fetch", `{"url":"`+c.url+`"}`)
		if c.ok != !a.bad || !c.ok && !strings.Contains(a.text, `"code":"url_not_allowed"`) {
			t.Errorf("%s: error %v, %s", c.name, a.bad, a.text)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the refused server was asked %d times", n)
	}
}

func TestDomainsCoverWhatIsBelowThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, host, path string
		covered          bool
	}{
		{"example.com", "example.com", "/", true},
		{"example.com", "a.b.example.com", "/x", true},
		{"Example.COM", "EXAMPLE.com.", "", true},
		{"example.com", "notexample.com", "/", false},
		{"example.com", "example.com.evil.net", "/", false},
		{"a.example.com", "example.com", "/", false},
		{"example.com/docs", "www.example.com", "/docs/go", true},
		{"example.com/docs", "example.com", "/docs", true},
		{"example.com/docs/", "example.com", "/docs/go", true},
		{"example.com/docs", "example.com", "/docsearch", false},
		{"0.0.1", "127.0.0.1", "/", false},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", "/", true},
	} {
		allowed := core.WebSettings{AllowedDomains: []string{"other.net", c.list}}.Allows(c.host, c.path)
		blocked := !core.WebSettings{BlockedDomains: []string{c.list, "other.net"}}.Allows(c.host, c.path)
		if allowed != c.covered || blocked != c.covered {
			t.Errorf("%s and %s%s: allowed %v, blocked %v, want %v", c.list, c.host, c.path, allowed, blocked, c.covered)
		}
	}
}

func TestContentIsCutAtTheAgentsTokens(t *testing.T) {
	t.Parallel()
	srv, r := web(t, map[string]func(http.ResponseWriter){
		"/long":  sends("text/plain", strings.Repeat("é", 5000)),
		"/short": sends("text/plain", "short"),
	})
	env := settings(core.WebSettings{MaxContentTokens: 101})
	for path, want := range map[string]int{"/long": 202, "/short": 5} { // 4 bytes a token
		var got fetched
		a := run(t, r, env, "web_fetch", `{"url":"`+srv.URL+path+`"}`)
		if err := json.Unmarshal([]byte(a.text), &got); err != nil {
			t.Fatal(err)
		}
		if n := len([]rune(got.Content)); n != want || got.Truncated != (path == "/long") {
			t.Errorf("%s: %d characters, truncated %v", path, n, got.Truncated)
		}
	}
}

func TestLongPageIsKeptWhereTheAgentCanReadIt(t *testing.T) {
	t.Parallel()
	page := "begin" + strings.Repeat("x", 150_000) + "end"
	srv, r := web(t, map[string]func(http.ResponseWriter){"/long": sends("text/plain", page)})
	var kept string
	env := core.ToolEnv{Keep: func(_ context.Context, text string) string {
		kept = text
		return "the whole is in /workspace/x.txt"
	}}
	var got fetched
	a := run(t, r, env, "web_fetch", `{"url":"`+srv.URL+`/long"}`)
	if err := json.Unmarshal([]byte(a.text), &got); err != nil {
		t.Fatal(err)
	}
	if kept != page || !got.Truncated || len(got.Content) > 10_000 || !strings.HasPrefix(got.Content, "beginx") || !strings.HasSuffix(got.Content, "xend") ||
		!strings.Contains(got.Content, "/workspace/x.txt") {
		t.Errorf("%d bytes were kept, truncated %v, the model reads %d bytes", len(kept), got.Truncated, len(got.Content))
	}
}

// search is a search server of the operator, and the tools that ask it.
func search(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *tool.Registry {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL + "/search?language=de")
	if err != nil {
		t.Fatal(err)
	}
	return tool.NewRegistry(tool.WithSearch(at), tool.WithEgress(egress.New(egress.Options{})))
}

type searched struct {
	Query   string
	Results []struct{ Title, URL, Text, Published string }
}

func TestSearchAsksTheOperatorsServer(t *testing.T) {
	t.Parallel()
	if _, ok := tool.NewRegistry().Builtin("web_search"); ok || slices.Contains(tool.NewRegistry().Toolset(), "web_search") {
		t.Error("a server without a search server has web_search")
	}
	r := search(t, func(w http.ResponseWriter, r *http.Request) {
		if d := cmp.Diff(url.Values{"q": {"go & c?"}, "format": {"json"}, "language": {"de"}}, r.URL.Query()); d != "" || r.URL.Path != "/search" {
			t.Errorf("asked for %s (-want +got):\n%s", r.URL, d)
		}
		_, _ = io.WriteString(w, `{"results":[
			{"url":"https://go.dev/doc","title":"Docs","content":"All of it.","publishedDate":"2026-01-02"},
			{"url":"https://go.dev/doc","title":"again"},
			{"url":"https://go.dev/blog/x","title":"Blog","content":"News"},
			{"url":"https://ads.example.com/","title":"Ad"},
			{"url":"javascript:alert(1)","title":"no"},
			{"url":"http://example.org/","title":"Other"}]}`)
	})
	if !slices.Contains(r.Toolset(), "web_search") {
		t.Fatal("web_search is not in the toolset")
	}
	for _, c := range []struct {
		set  core.WebSettings
		want []string
	}{
		{core.WebSettings{}, []string{"Docs", "Blog", "Ad", "Other"}},
		{core.WebSettings{BlockedDomains: []string{"example.com"}}, []string{"Docs", "Blog", "Other"}},
		{core.WebSettings{AllowedDomains: []string{"go.dev/blog", "example.org"}}, []string{"Blog", "Other"}},
	} {
		var got searched
		a := run(t, r, settings(c.set), "web_search", `{"query":" go & c? "}`)
		if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.bad {
			t.Fatalf("%v: %s", err, a.text)
		}
		var titles []string
		for _, h := range got.Results {
			titles = append(titles, h.Title)
		}
		if d := cmp.Diff(c.want, titles); d != "" || got.Query != "go & c?" {
			t.Errorf("%+v (-want +got):\n%s", c.set, d)
		}
		if titles[0] == "Docs" && (got.Results[0].URL != "https://go.dev/doc" || got.Results[0].Text != "All of it." || got.Results[0].Published != "2026-01-02") {
			t.Errorf("result %+v", got.Results[0])
		}
	}
}

func TestFailedSearchSaysSo(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"html":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		},
		"hang up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		if a := run(t, search(t, answer), core.ToolEnv{}, "web_search", `{"query":"x"}`); !a.bad || !strings.Contains(a.text, `"code":"search_failed"`) || strings.Contains(a.text, "127.0.0.1") {
			t.Errorf("%s: error %v, %s", name, a.bad, a.text)
		}
	}
	r := search(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	for _, in := range []string{`{}`, `{"query":" "}`, `{"query":"` + strings.Repeat("x", 1001) + `"}`, `{"query":"x","page":2}`} {
		if a := run(t, r, core.ToolEnv{}, "web_search", in); !a.bad || !strings.Contains(a.text, `"code":"invalid_input"`) {
			t.Errorf("%.40s: error %v, %s", in, a.bad, a.text)
		}
	}
}

// A search server in the operator's own network opens that network to no page that an agent fetches.
func TestSearchServerOpensNothingElse(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"results":[]}`) }))
	t.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := tool.NewRegistry(tool.WithSearch(at), tool.WithEgress(egress.New(egress.Options{AllowPrivate: []netip.Prefix{}})))
	if a := run(t, r, core.ToolEnv{}, "web_search", `{"query":"x"}`); a.bad {
		t.Errorf("search: %s", a.text)
	}
	if a := run(t, r, core.ToolEnv{}, "web_fetch", `{"url":"`+srv.URL+`"}`); !a.bad || !strings.Contains(a.text, "url_not_allowed") {
		t.Errorf("fetch: %s", a.text)
	}
}
