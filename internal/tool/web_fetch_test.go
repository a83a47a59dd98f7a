package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/tool"
)

// web is a server that answers each path with what it was given, and the tools that may reach it.
func web(t *testing.T, pages map[string]func(http.ResponseWriter)) (*httptest.Server, *tool.Registry) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		serve(w)
	}))
	t.Cleanup(srv.Close)
	return srv, tool.NewRegistry(tool.WithEgress(egress.New(egress.Options{
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, MaxBody: 1 << 20,
	})))
}

// sends answers with a body of a type. An empty type sends none.
func sends(contentType, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = io.WriteString(w, body)
	}
}

type fetched struct {
	URL         string `json:"url"`
	StatusCode  int    `json:"status_code"`
	ContentType string `json:"content_type"`
	Size        int    `json:"size"`
	Format      string `json:"format"`
	Content     string `json:"content"`
	Truncated   bool   `json:"truncated"`
}

func fetch(t *testing.T, r *tool.Registry, url string) (fetched, answer) {
	t.Helper()
	a := run(t, r, core.ToolEnv{}, "web_fetch", fmt.Sprintf(`{"url":%q}`, url))
	var f fetched
	dec := json.NewDecoder(strings.NewReader(a.text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		t.Fatalf("%s: %v: %q", url, err, a.text)
	}
	return f, a
}

func TestFetchedContent(t *testing.T) {
	t.Parallel()
	const html = "<!doctype html><title>T</title><h1>Hej</h1><script>x()</script><p>På <a href='/b?c=d'>länk</a> &lt;3"
	srv, r := web(t, map[string]func(http.ResponseWriter){
		"/html":     sends("text/html; charset=utf-8", html),
		"/untyped":  sends("", html),
		"/octets":   sends("application/octet-stream", "just text"),
		"/text":     sends("text/plain", "<b>as it is</b> & so on\n"),
		"/json":     sends("application/problem+json", `{"a":"<b>"}`),
		"/png":      sends("image/png", "\x89PNG\r\n\x1a\n\x00\x00"),
		"/unknown":  sends("", "\x89PNG\r\n\x1a\n\x00\x00"),
		"/empty":    sends("text/plain", ""),
		"/latin1":   sends("text/plain; charset=iso-8859-1", "Gr\xfc\xdfe"),
		"/liar":     sends("text/plain; charset=iso-8859-1", "Grüße"),
		"/bare":     sends("text/plain", strings.Repeat("a", 2000)+"ü"),
		"/gbk":      sends("text/html", "<meta charset=gbk><p>\xc4\xe3\xba\xc3"),
		"/sjis":     sends("text/html; charset=Shift_JIS", "<p>\x93\xfa\x96\x7b"),
		"/utf16":    sends("text/plain", "\xff\xfeh\x00i\x00"),
		"/bom":      sends("text/plain", "\xef\xbb\xbfhi"),
		"/nul":      sends("text/plain", "a\x00b"),
		"/moved":    func(w http.ResponseWriter) { w.Header().Set("Location", "/text"); w.WriteHeader(http.StatusFound) },
		"/badparam": sends("text/plain; x", "fine"),
	})
	for path, want := range map[string]fetched{
		"/html":     {ContentType: "text/html; charset=utf-8", Size: len(html), Format: "markdown", Content: "# Hej\n\nPå [länk](" + srv.URL + "/b?c=d) <3"},
		"/untyped":  {Size: len(html), Format: "markdown", Content: "# Hej\n\nPå [länk](" + srv.URL + "/b?c=d) <3"},
		"/octets":   {ContentType: "application/octet-stream", Size: 9, Format: "text", Content: "just text"},
		"/text":     {ContentType: "text/plain", Size: 24, Format: "text", Content: "<b>as it is</b> & so on\n"},
		"/json":     {ContentType: "application/problem+json", Size: 11, Format: "text", Content: `{"a":"<b>"}`},
		"/png":      {ContentType: "image/png", Size: 10, Format: "binary"},
		"/unknown":  {Size: 10, Format: "binary"},
		"/empty":    {ContentType: "text/plain", Format: "text"},
		"/latin1":   {ContentType: "text/plain; charset=iso-8859-1", Size: 5, Format: "text", Content: "Grüße"},
		"/liar":     {ContentType: "text/plain; charset=iso-8859-1", Size: 7, Format: "text", Content: "Grüße"},
		"/bare":     {ContentType: "text/plain", Size: 2002, Format: "text", Content: strings.Repeat("a", 2000) + "ü"},
		"/gbk":      {ContentType: "text/html", Size: 25, Format: "markdown", Content: "你好"},
		"/sjis":     {ContentType: "text/html; charset=Shift_JIS", Size: 7, Format: "markdown", Content: "日本"},
		"/utf16":    {ContentType: "text/plain", Size: 6, Format: "text", Content: "hi"},
		"/bom":      {ContentType: "text/plain", Size: 5, Format: "text", Content: "hi"},
		"/nul":      {ContentType: "text/plain", Size: 3, Format: "text", Content: "a\uFFFDb"},
		"/moved":    {URL: srv.URL + "/text", ContentType: "text/plain", Size: 24, Format: "text", Content: "<b>as it is</b> & so on\n"},
		"/badparam": {ContentType: "text/plain; x", Size: 4, Format: "text", Content: "fine"},
	} {
		want.StatusCode = http.StatusOK
		if want.URL == "" {
			want.URL = srv.URL + path
		}
		got, a := fetch(t, r, srv.URL+path)
		if d := cmp.Diff(want, got); d != "" || a.bad {
			t.Errorf("%s: error %v, -want +got\n%s", path, a.bad, d)
		}
		if strings.Contains(a.text, `\u003c`) {
			t.Errorf("%s: %q", path, a.text)
		}
	}
}

func TestFetchedContentIsCut(t *testing.T) {
	t.Parallel()
	srv, r := web(t, map[string]func(http.ResponseWriter){
		"/fits":  sends("text/plain", strings.Repeat("é", 99_700)),
		"/over":  sends("text/plain", strings.Repeat("é", 100_001)),
		"/lines": sends("text/plain", strings.Repeat("\n", 90_000)), // twice as long in JSON
		"/html":  sends("text/html", "<p>"+strings.Repeat("é ", 70_000)),
		"/cap":   sends("application/zip", strings.Repeat("x", 1<<20+1)),
	})
	for path, cut := range map[string]bool{"/fits": false, "/over": true, "/lines": true, "/html": true, "/cap": true} {
		got, a := fetch(t, r, srv.URL+path)
		if n := len([]rune(a.text)); got.Truncated != cut || n > core.MaxToolText || n < 99_000 && path != "/cap" || strings.Contains(got.Content, "\uFFFD") {
			t.Errorf("%s: truncated %v, %d characters", path, got.Truncated, n)
		}
	}
}

func TestFailedFetches(t *testing.T) {
	t.Parallel()
	srv, r := web(t, map[string]func(http.ResponseWriter){
		"/gone": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, "<h1>Gone</h1>")
		},
		"/inside": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusFound)
		},
	})
	if got, a := fetch(t, r, srv.URL+"/gone"); !a.bad || got.StatusCode != http.StatusGone || got.Content != "# Gone" {
		t.Errorf("%v %+v", a.bad, got)
	}
	call := func(url string) answer { return run(t, r, core.ToolEnv{}, "web_fetch", fmt.Sprintf(`{"url":%q}`, url)) }
	call(srv.URL+"/inside").refuses(`"code":"url_not_allowed"`, "169.254.169.254 is not on the public internet")
	call("ftp://example.com/").refuses(`"code":"url_not_allowed"`, "only http and https")
	call("http://localhost:1/").refuses(`"code":`)
	call("http://no-such-host.invalid/").refuses(`"code":"fetch_failed"`)

	public := tool.NewRegistry() // without the exception for the test's server
	run(t, public, core.ToolEnv{}, "web_fetch", fmt.Sprintf(`{"url":%q}`, srv.URL+"/gone")).refuses(`"code":"url_not_allowed"`)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	one, _ := r.Builtin("web_fetch")
	if out, err := one.Run(ctx, core.ToolEnv{}, json.RawMessage(fmt.Sprintf(`{"url":%q}`, srv.URL))); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", out, err)
	}
}
