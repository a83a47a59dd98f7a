package catalog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// configured is an agent with one tool that has settings.
func configured(name, settings string) core.AgentSpec {
	return tools(core.Toolset{Kind: core.ToolsetBuiltin, Configs: []core.ToolConfig{{Name: name, Extra: json.RawMessage(settings)}}})
}

func TestSettingsOfWebToolsAreChecked(t *testing.T) {
	t.Parallel()
	const at = "tools[0].configs[0]."
	var cases []invalid
	refused := func(tool, settings, field string, long bool) {
		cases = append(cases, invalid{tool + " " + settings[:min(len(settings), 60)], configured(tool, settings), at + field, long})
	}
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("s%d.example.com", i)
	}
	tooMany, _ := json.Marshal(many)
	for _, list := range []string{"allowed_domains", "blocked_domains"} {
		for _, tool := range []string{"web_fetch", "web_search"} {
			refused(tool, `{"`+list+`":[]}`, list, false)
			refused(tool, `{"`+list+`":"example.com"}`, list, false)
			refused(tool, `{"`+list+`":[1]}`, list, false)
			refused(tool, `{"`+list+`":`+string(tooMany)+`}`, list, true)
			for _, domain := range []string{
				"", " ", "com", "localhost", "a.localhost", "printer.local", "db.internal", "router.lan", "x.home.arpa", "127.0.0.1", "1.2.3", "0x7f.1",
				"[::1]", "::1", "2001:db8::1", "https://example.com", "example.com:443", "user@example.com", "*.example.com", "example..com", ".example.com",
				"example.com.", "-a.example.com", "a b.com", "bücher.example", "exam\u00adple.com", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 130) + "com",
				"example.com/a?b", "example.com/#x", "example.com/*",
			} {
				raw, _ := json.Marshal([]string{"docs.example.com", domain})
				refused(tool, `{"`+list+`":`+string(raw)+`}`, list+"[1]", false)
			}
			refused(tool, `{"`+list+`":["example.com","Example.COM"]}`, list+"[1]", false)
		}
	}
	refused("web_fetch", `{"allowed_domains":["example.com/docs"]}`, "allowed_domains[0]", false)
	refused("web_fetch", `{"allowed_domains":["example.com/"]}`, "allowed_domains[0]", false)
	refused("web_fetch", `{"allowed_domains":["a.com"],"blocked_domains":["b.com"]}`, "blocked_domains", false)
	for _, n := range []string{"0", "-1", "1.5", `"9"`, "1e30"} {
		refused("web_fetch", `{"max_content_tokens":`+n+`}`, "max_content_tokens", false)
	}
	refused("web_fetch", `{"user_location":{"type":"approximate"}}`, "user_location", false)
	refused("web_fetch", `{"url_sources":{"user_input":"none"}}`, "url_sources.user_input", false)
	refused("web_fetch", `{"url_sources":{"client_tool_results":{"type":"only","tools":[]}}}`, "url_sources.client_tool_results", false)
	refused("web_fetch", `{"url_sources":{"everything":"all"}}`, "url_sources.everything", false)
	refused("web_fetch", `{"url_sources":"all"}`, "url_sources", false)
	refused("web_search", `{"url_sources":null}`, "url_sources", false)
	refused("web_search", `{"max_content_tokens":5}`, "max_content_tokens", false)
	refused("bash", `{"allowed_domains":["a.com"]}`, "allowed_domains", false)
	refused("web_fetch", `{"citations":null}`, "citations", false)
	for settings, field := range map[string]string{
		`"here"`:                                        "",
		`{}`:                                            ".type",
		`{"type":"exact"}`:                              ".type",
		`{"type":"approximate","street":"x"}`:           "",
		`{"type":"approximate","city":7}`:               ".city",
		`{"type":"approximate","city":" "}`:             ".city",
		`{"type":"approximate","country":"de"}`:         ".country",
		`{"type":"approximate","country":"DEU"}`:        ".country",
		`{"type":"approximate","timezone":"Mars/Base"}`: ".timezone",
		`{"type":"approximate","timezone":"Local"}`:     ".timezone",
	} {
		refused("web_search", `{"user_location":`+settings+`}`, "user_location"+field, false)
	}
	refused("web_search", `{"user_location":{"type":"approximate","region":"`+strings.Repeat("x", 257)+`"}}`, "user_location.region", true)
	refuse(t, catalog.ClaudeLimits, cases)
}

func TestSettingsAreKeptAndNullSetsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	many := make([]string, 64)
	for i := range many {
		many[i] = fmt.Sprintf("s%d.example.com", i)
	}
	full, _ := json.Marshal(core.WebSettings{AllowedDomains: many, MaxContentTokens: 1})
	for _, c := range []struct{ tool, given, want string }{
		{"web_fetch", string(full), string(full)},
		{"web_fetch", `{"blocked_domains":["ads.example.org","xn--bcher-kva.example","a_b.example.com"],"max_content_tokens":20000}`, ""},
		{"web_fetch", `{"allowed_domains":null,"max_content_tokens":null}`, "null"},
		{"web_fetch", `{"url_sources":{"user_input":"all","server_tool_results":{"type":"all"},"client_tool_results":null}}`, "null"},
		{
			"web_search", `{"allowed_domains":["example.com/docs"],"blocked_domains":null,"user_location":{"type":"approximate","city":"Köln","region":null,"country":"DE","timezone":"Europe/Berlin"}}`,
			`{"allowed_domains":["example.com/docs"],"user_location":{"type":"approximate","city":"Köln","region":null,"country":"DE","timezone":"Europe/Berlin"}}`,
		},
	} {
		if c.want == "" {
			c.want = c.given
		}
		a := f.create(t, configured(c.tool, c.given))
		got, _ := json.Marshal(a.Tools[0].Configs[0].Extra)
		var x, y any
		if json.Unmarshal(got, &x) != nil || json.Unmarshal([]byte(c.want), &y) != nil {
			t.Fatalf("%s, %s", got, c.want)
		}
		if d := cmp.Diff(y, x); d != "" {
			t.Errorf("%s was kept as (-want +got):\n%s", c.given, d)
		}
		again, err := f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
			s.Tools = configured(c.tool, c.given).Tools
			return nil
		})
		if err != nil || again.Version != 1 {
			t.Errorf("the same settings made version %d, %v", again.Version, err)
		}
	}
}

// The rules hold wherever a definition is judged: at an update, for a session's own variant, in the other dialect.
func TestSettingsAreCheckedEverywhere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	bad := configured("web_fetch", `{"allowed_domains":["localhost"]}`)
	a := f.create(t, tools(builtin))
	_, err := f.UpdateAgent(t.Context(), f.admin, a.ID, catalog.UpdateOptions{Limits: catalog.ClaudeLimits}, func(s *core.AgentSpec) error {
		s.Tools = bad.Tools
		return nil
	})
	const field = "tools[0].configs[0].allowed_domains[0]"
	wantError(t, err, core.Invalid, "invalid_field", field)
	variant := a.AgentSpec
	variant.Tools = bad.Tools
	wantError(t, f.CheckVariant(a.AgentSpec, variant), core.Invalid, "invalid_field", field)
	_, err = f.CreateAgent(t.Context(), f.admin, bad, catalog.CreateOptions{Limits: catalog.QoderLimits})
	wantError(t, err, core.Invalid, "invalid_field", field)
	kept, err := f.CreateAgent(t.Context(), f.admin, configured("web_fetch", `{"zz":1}`), catalog.CreateOptions{Limits: catalog.QoderLimits})
	if err != nil || string(kept.Tools[0].Configs[0].Extra) != `{"zz":1}` {
		t.Errorf("what the other dialect does not know: %s, %v", kept.Tools[0].Configs[0].Extra, err)
	}
}
