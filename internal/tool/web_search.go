package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

// webSearch is web_search of the built-in toolset. It asks a search server of the operator, which speaks the
// JSON form of SearXNG's search API: GET <url>?q=…&format=json.
type webSearch struct {
	egress *egress.Client
	url    url.URL
}

// Numbers of web_search. Reeve's own.
const (
	mostHits      = 10
	maxQuery      = 1000 // characters
	maxHitText    = 1000 // characters of one result's text
	maxHitTitle   = 300  // characters
	searchTimeout = 20 * time.Second
	maxSearchBody = 4 << 20
)

// hit is one result as the model sees it.
type hit struct {
	Title     string `json:"title"`
	URL       string `json:"url"`
	Text      string `json:"text"`
	Published string `json:"published,omitempty"`
}

// newWebSearch makes the tool. The client reaches the operator's own server wherever it is, and nothing else: it
// follows no redirects, and no part of the address comes from an agent.
func newWebSearch(server url.URL) webSearch {
	return webSearch{url: server, egress: egress.New(egress.Options{
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		MaxRedirects: -1, MaxBody: maxSearchBody, Timeout: searchTimeout,
	})}
}

func (webSearch) Spec() core.ToolSpec { return spec("web_search") }

func (webSearch) Repeatable() bool { return true }

func (w webSearch) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("web_search", raw)
	query := strings.TrimSpace(in.filled("query"))
	if len([]rune(query)) > maxQuery {
		in.fault("query must have at most %d characters", maxQuery)
	}
	if says, bad := in.problem(); bad {
		return objectError("invalid_input", says), nil
	}
	set, err := core.ReadWebSettings(env.Settings)
	if err != nil {
		return core.ToolOutput{}, err
	}
	u := w.url
	values := u.Query()
	values.Set("q", query)
	values.Set("format", "json")
	u.RawQuery = values.Encode()
	res, err := w.egress.Get(ctx, u.String())
	if ctx.Err() != nil {
		return core.ToolOutput{}, ctx.Err()
	}
	var failed *core.Error
	if errors.As(err, &failed) && failed.Kind == core.Invalid {
		return objectError("search_failed", "The search server of this installation cannot be used now."), nil
	}
	if err != nil {
		return core.ToolOutput{}, err
	}
	hits, err := readHits(res, set)
	if err != nil {
		return objectError("search_failed", "The search server of this installation sent no proper answer: "+err.Error()+"."), nil
	}
	return object(struct {
		Query   string `json:"query"`
		Results []hit  `json:"results"`
	}{clean(query), hits}), nil
}

// readHits takes the answer's results that the agent may see, in their order, each address once.
func readHits(res *egress.Response, set core.WebSettings) ([]hit, error) {
	if res.Status != 200 {
		return nil, fmt.Errorf("its status is %d", res.Status)
	}
	var body struct {
		Results []struct {
			Title     string `json:"title"`
			URL       string `json:"url"`
			Content   string `json:"content"`
			Published string `json:"publishedDate"`
		} `json:"results"`
	}
	if err := json.NewDecoder(bytes.NewReader(res.Body)).Decode(&body); err != nil {
		return nil, errors.New("it is not JSON")
	}
	hits, seen := []hit{}, map[string]bool{}
	for _, r := range body.Results {
		u, err := url.Parse(r.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || seen[r.URL] || !set.Allows(u.Hostname(), u.Path) {
			continue
		}
		seen[r.URL] = true
		hits = append(hits, hit{
			Title: clean(clip(r.Title, maxHitTitle)), URL: clean(r.URL), Text: clean(clip(r.Content, maxHitText)), Published: clean(clip(r.Published, 40)),
		})
		if len(hits) == mostHits {
			break
		}
	}
	return hits, nil
}
