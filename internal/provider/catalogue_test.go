package provider_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func openCatalogue(t *testing.T, o provider.Options) *provider.Catalogue {
	t.Helper()
	c, err := provider.Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return c
}

// place writes a models.yaml and returns its folder.
func place(t *testing.T, yaml string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, provider.FileName), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// route is where a name goes: "provider target", with " (demo)" behind it, or an error's code.
func route(c *provider.Catalogue, name string) string {
	m, err := c.Model(name)
	switch {
	case err != nil:
		return core.CodeOf(err)
	case m.Demo:
		return m.Provider + " " + m.Target + " (demo)"
	}
	return m.Provider + " " + m.Target
}

const (
	key     = "sk-test-key"
	localAI = "http://127.0.0.1:11434"
	missing = "model_not_available"
)

func TestNamesResolve(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options provider.Options
		want    map[string]string
	}{
		"nothing is configured": {provider.Options{}, map[string]string{
			"": "demo demo (demo)", "default": "demo demo (demo)", "claude-sonnet-5": "demo demo (demo)", "claude-next": "demo demo (demo)",
			"gpt-6-sol": "demo demo (demo)", "o3-pro": "demo demo (demo)", "ultimate": "demo demo (demo)", "auto": "demo demo (demo)",
			"demo": "demo demo (demo)", "llmsim-default": "demo demo (demo)", "llmsim-latency": "demo demo (demo)",
			"nonsense": missing, "Claude-sonnet-5": missing,
		}},
		"Anthropic": {provider.Options{AnthropicKey: key}, map[string]string{
			"": "anthropic claude-sonnet-5", "claude-sonnet-5": "anthropic claude-sonnet-5", "claude-haiku-4-5": "anthropic claude-haiku-4-5",
			"claude-sonnet-4-5-20250929": "anthropic claude-sonnet-4-5", "claude-next": "anthropic claude-next",
			"ultimate": "anthropic claude-sonnet-5", "lite": "anthropic claude-sonnet-5",
			"gpt-6-sol": missing, "o3": missing, "demo": "demo demo (demo)", "nonsense": missing,
		}},
		"OpenAI": {provider.Options{OpenAIKey: key}, map[string]string{
			"": "openai gpt-5.6-terra", "performance": "openai gpt-5.6-terra", "gpt-6-sol": "openai gpt-6-sol", "gpt-5.6": "openai gpt-5.6-sol",
			"gpt-7": "openai gpt-7", "o3-pro": "openai o3-pro", "claude-sonnet-5": missing, "nonsense": missing,
		}},
		"both": {provider.Options{AnthropicKey: key, OpenAIKey: key}, map[string]string{
			"": "anthropic claude-sonnet-5", "efficient": "anthropic claude-sonnet-5", "gpt-6-sol": "openai gpt-6-sol",
		}},
		"model URL": {provider.Options{ModelURL: localAI}, map[string]string{
			"": "model-url default", "default": "model-url default", "ultimate": "model-url default", "claude-sonnet-5": "model-url claude-sonnet-5",
			"gpt-7": "model-url gpt-7", "qwen3:8b": "model-url qwen3:8b", "org/model": "model-url org/model", "demo": "demo demo (demo)",
			"two words": missing, "line\nbreak": missing, strings.Repeat("x", 300): missing,
		}},
		"model URL with a name": {provider.Options{ModelURL: localAI, ModelName: "qwen3"}, map[string]string{
			"": "model-url qwen3", "auto": "model-url qwen3", "claude-sonnet-5": "model-url qwen3", "qwen3": "model-url qwen3", "llama": "model-url llama",
		}},
		"model URL beside Anthropic": {provider.Options{ModelURL: localAI, ModelName: "qwen3", AnthropicKey: key}, map[string]string{
			"": "model-url qwen3", "claude-sonnet-5": "anthropic claude-sonnet-5", "gpt-6-sol": "model-url qwen3",
		}},
		"an extra provider": {provider.Options{Extra: map[string]core.Provider{"fake": fake.Instant("ok")}}, map[string]string{
			"": "fake claude-sonnet-5", "claude-sonnet-5": "fake claude-sonnet-5", "ultimate": "fake claude-sonnet-5", "gpt-7": "fake gpt-7",
			"fake": "fake fake", "fake-slow": "fake fake-slow", "demo": "demo demo (demo)", "nonsense": missing,
		}},
		"an extra provider in a vendor's place": {provider.Options{AnthropicKey: key, Extra: map[string]core.Provider{"openai": fake.Instant("ok")}}, map[string]string{
			"gpt-6-sol": "openai gpt-6-sol", "claude-sonnet-5": "anthropic claude-sonnet-5",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCatalogue(t, tc.options)
			got := map[string]string{}
			for name := range tc.want {
				got[name] = route(c, name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("routes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolvedModelIsComplete(t *testing.T) {
	t.Parallel()
	c := openCatalogue(t, provider.Options{AnthropicKey: key})
	for name, check := range map[string]func(core.Model) bool{
		"claude-opus-5-5": func(m core.Model) bool {
			return m.DisplayName == "Claude Opus 5.5" && m.MaxInputTokens == 1000000 && m.MaxOutputTokens == 128000 &&
				m.DefaultEffort == "medium" && len(m.Efforts) == 5 && m.Name == "claude-opus-5-5"
		},
		"claude-haiku-4-5": func(m core.Model) bool {
			return m.Efforts == nil && m.DefaultEffort == "" && m.CreatedAt.Year() == 2025
		},
		"claude-next": func(m core.Model) bool { return m.DisplayName == "claude-next" && m.MaxOutputTokens == 32000 },
		"ultimate": func(m core.Model) bool {
			return m.Name == "ultimate" && m.DisplayName == "Ultimate" && m.DefaultEffort == "high" && m.MaxInputTokens == 1000000
		},
		"auto": func(m core.Model) bool {
			return m.Name == "auto" && len(m.Efforts) == 0 && m.DefaultEffort == "" && m.MaxOutputTokens == 128000
		},
		"": func(m core.Model) bool { return m.Name == "claude-sonnet-5" },
	} {
		if m, err := c.Model(name); err != nil || !check(m) {
			t.Errorf("Model(%q) = %+v, %v", name, m, err)
		}
	}
}

func TestUnavailableModelsSayWhatToDo(t *testing.T) {
	t.Parallel()
	c := openCatalogue(t, provider.Options{AnthropicKey: key})
	for name, says := range map[string][]string{
		"gpt-6-sol":                          {"model: ", "OPENAI_API_KEY", "--model-url", "OpenAI"},
		"nonsense":                           {"model: ", `"nonsense"`, "GET /v1/models"},
		"bad\x00" + strings.Repeat("é", 200): {"model: ", `\x00`, "…"},
	} {
		_, err := c.Model(name)
		var e *core.Error
		if !errors.As(err, &e) || e.Kind != core.Invalid || e.Code != missing || e.Field != "model" {
			t.Errorf("Model(%q): error %#v", name, err)
			continue
		}
		for _, s := range says {
			if !strings.Contains(e.Message, s) {
				t.Errorf("Model(%q): message %q lacks %q", name, e.Message, s)
			}
		}
	}
}

func TestListHoldsWhatCanBeAskedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options     provider.Options
		has, hasNot []string
		first       string
	}{
		"nothing":   {provider.Options{}, []string{"claude-sonnet-5", "gpt-6-sol", "ultimate", "demo", "llmsim-default"}, []string{"claude-*", "gpt-5.6", "llmsim-latency"}, "claude-fable-5-1"},
		"Anthropic": {provider.Options{AnthropicKey: key}, []string{"claude-sonnet-5", "auto", "demo"}, []string{"gpt-6-sol", "o3"}, "claude-fable-5-1"},
		"model URL": {provider.Options{ModelURL: localAI, ModelName: "qwen3"}, []string{"claude-sonnet-5", "gpt-6-sol"}, nil, "qwen3"},
		"extra":     {provider.Options{Extra: map[string]core.Provider{"fake": fake.New()}}, []string{"fake", "gpt-6-sol"}, nil, "claude-fable-5-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCatalogue(t, tc.options)
			names := map[string]bool{}
			for _, m := range c.Models() {
				if names[m.Name] {
					t.Errorf("%s is listed twice", m.Name)
				}
				names[m.Name] = true
				if again, err := c.Model(m.Name); err != nil || cmp.Diff(m, again) != "" {
					t.Errorf("listed model %s does not resolve to itself: %v\n%s", m.Name, err, cmp.Diff(m, again))
				}
				if _, err := c.Provider(m); err != nil || m.MaxOutputTokens <= 0 || m.Target == "" || m.DisplayName == "" {
					t.Errorf("model %+v: %v", m, err)
				}
			}
			for _, n := range tc.has {
				if !names[n] {
					t.Errorf("%s is not listed", n)
				}
			}
			for _, n := range tc.hasNot {
				if names[n] {
					t.Errorf("%s is listed", n)
				}
			}
			if got := c.Models()[0].Name; got != tc.first {
				t.Errorf("first is %s, want %s", got, tc.first)
			}
		})
	}
}

func TestModelIDs(t *testing.T) {
	t.Parallel()
	// First 16 bytes of the SHA-256 of the name: clients keep these.
	if got := core.ModelID("claude-sonnet-5"); got != "4b07d9a517e35f5852d8385b4a192070" {
		t.Errorf("ModelID = %s", got)
	}
	c := openCatalogue(t, provider.Options{AnthropicKey: key})
	if _, err := c.Model("claude-next"); err != nil {
		t.Fatal(err)
	}
	for hex, want := range map[string]string{
		core.ModelID("claude-sonnet-5"):                  "claude-sonnet-5",
		strings.ToUpper(core.ModelID("claude-sonnet-5")): "claude-sonnet-5",
		core.ModelID("claude-haiku-4-5-20251001"):        "claude-haiku-4-5-20251001",
		core.ModelID("claude-next"):                      "claude-next", // resolved before
		"01933b5a000070008000000000000401":               "llmsim-default",
		"01933b5a00007000800000000000001":                "claude-sonnet-5",
		"01933b5a000070008000000000000001":               "claude-sonnet-5",
		core.ModelID("gpt-6-sol"):                        "",
		core.ModelID("claude-never-asked-for"):           "",
		"":                                               "",
	} {
		m, ok := c.ModelByID(hex)
		if ok != (want != "") || m.Name != want {
			t.Errorf("ModelByID(%s) = %q, %t; want %q", hex, m.Name, ok, want)
		}
	}
}

func TestOwnFileIsLaidOverTheBuiltIn(t *testing.T) {
	t.Parallel()
	folder := place(t, `
default: house
providers:
  anthropic:
    base_url: https://gateway.example.com   # the rest stays
  local:
    kind: openai-chat
    base_url: http://127.0.0.1:8080/v1
  closed:
    kind: openai-chat
    base_url: http://127.0.0.1:8081/v1
    api_key_env: CLOSED_KEY
    headers: {X-Team: reeve}
models:
  - name: house
    display_name: The house model
    provider: local
    target: qwen3-30b
    aliases: [gpt-4o, claude-sonnet-4-5]
    max_input_tokens: 32768
    max_output_tokens: 4096
  - {name: claude-sonnet-5, provider: anthropic, target: sonnet-by-gateway, efforts: [low, high], default_effort: low}
  - {name: vault, provider: closed}
patterns:
  - {match: "gpt-*-turbo", provider: local, target: "openai/$0"}
`)
	env := map[string]string{"ANTHROPIC_API_KEY": key}
	c := openCatalogue(t, provider.Options{Data: folder, Getenv: func(k string) string { return env[k] }})
	want := map[string]string{
		"": "local qwen3-30b", "house": "local qwen3-30b", "gpt-4o": "local qwen3-30b", "claude-sonnet-4-5": "local qwen3-30b",
		"claude-sonnet-5": "anthropic sonnet-by-gateway", "claude-opus-5": "anthropic claude-opus-5",
		"gpt-4-turbo": "local openai/gpt-4-turbo", "gpt-4.1": missing, "vault": missing, "ultimate": "local qwen3-30b",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = route(c, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes differ (-want +got):\n%s", diff)
	}
	if c.Models()[0].Name != "house" {
		t.Errorf("own models are not listed first: %s", c.Models()[0].Name)
	}
	if _, err := c.Model("vault"); err == nil || !strings.Contains(err.Error(), "CLOSED_KEY") {
		t.Errorf("error %v does not say which variable to set", err)
	}
}

func TestMistakesAreReportedAtOnceWithTheirPlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		yaml string
		want []string
	}{
		"unknown keys, wrong types, wrong values": {`default: claude-sonnet-5
provders: {}
providers:
  mine:
    kind: opnai
    base_url: ftp://x
    api_key: abc
    api_key_env: ABC
    colour: red
  default:
    kind: demo
models:
  - name: 5
    provider: mine
  - {provider: mine, max_output_tokens: -3, efforts: [mighty], default_effort: low, created_at: soon}
  - name: twice
    name: again
    provider: mine
patterns: yes
`, []string{
			`models.yaml:2:1: unknown key "provders" (known: default, models, patterns, providers)`,
			"models.yaml:5:11: kind must be one of anthropic, openai, openai-chat, demo",
			"models.yaml:6:15: base_url must begin with http:// or https://",
			`models.yaml:9:5: unknown key "colour"`,
			`models.yaml:4:3: provider "mine" has both api_key and api_key_env`,
			`models.yaml:10:3: the provider name "default" is reserved`,
			"models.yaml:13:11: must be text",
			"a model needs name",
			"must be a whole number above zero",
			`effort "mighty" must be one of`,
			`default_effort "low" is not one of efforts`,
			"created_at must be a date",
			`models.yaml:17:5: key "name" is there twice`,
			"models.yaml:19:11: must be a list",
		}},
		"not YAML": {"models: [\n  - }{", []string{"models.yaml:"}},
		"a list":   {"- a\n- b\n", []string{"models.yaml:1:1: must be a mapping"}},
		"things that do not fit together": {`default: nobody
models:
  - {name: a, provider: nowhere}
  - {name: b, provider: demo, aliases: [a]}
providers:
  half: {default_model: x}
  chat: {kind: openai-chat}
`, []string{
			`models.yaml:1:10: the default "nobody" is not the name of a model`,
			`there is no provider "nowhere"`,
			`the model name "a" is there twice`,
			`models.yaml:6:3: provider "half" needs kind`,
			`models.yaml:7:3: provider "chat" of kind openai-chat needs base_url`,
		}},
		"a floating default": {"default: ultimate\n", []string{`the default "ultimate" is not the name of a model`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := provider.Open(provider.Options{Data: place(t, tc.yaml)})
			if err == nil {
				t.Fatal("Open: no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q", want)
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		_, err := provider.Open(provider.Options{ModelURL: "localhost:11434", AnthropicBaseURL: "https://u:hunter2@example.com", OpenAIKey: "two words"})
		for _, want := range []string{"--model-url must begin with", "the Anthropic base URL must not hold a user", "OPENAI_API_KEY must not hold white space"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v lacks %q", err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "two words") {
			t.Errorf("error shows a secret: %v", err)
		}
	})
	t.Run("an empty file is fine", func(t *testing.T) {
		t.Parallel()
		openCatalogue(t, provider.Options{Data: place(t, "# nothing yet\n")})
		openCatalogue(t, provider.Options{Data: t.TempDir()})
	})
}

func TestCallsReachTheConfiguredServers(t *testing.T) {
	t.Parallel()
	chat := providertest.Answer{Body: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"}
	claude := providertest.Answer{Body: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{}}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"}
	server := providertest.Serve(t, chat, claude)
	c := openCatalogue(t, provider.Options{
		ModelURL: server.URL, ModelName: "qwen3", ModelKey: "local-key", AnthropicKey: key, AnthropicBaseURL: server.URL, HTTP: server.Client,
	})
	for _, name := range []string{"", "claude-sonnet-5"} {
		m, err := c.Model(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Provider(m)
		if err != nil {
			t.Fatal(err)
		}
		req := providertest.Hi
		req.Model = m.Target
		providertest.Answered(t, p, req)
	}
	sent := server.Requests()
	if sent[0].Path != "/v1/chat/completions" || !strings.Contains(sent[0].Body, `"model":"qwen3"`) || sent[0].Header.Get("Authorization") != "Bearer local-key" {
		t.Errorf("first call %v", sent[0])
	}
	if sent[1].Path != "/v1/messages" || sent[1].Header.Get("X-Api-Key") != key {
		t.Errorf("second call %v", sent[1])
	}
}

func TestDemoServesWhenNothingIsConfigured(t *testing.T) {
	t.Parallel()
	c := openCatalogue(t, provider.Options{})
	m, err := c.Model("claude-sonnet-5")
	if err != nil || !m.Demo {
		t.Fatalf("Model = %+v, %v", m, err)
	}
	p, err := c.Provider(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := providertest.Words(providertest.Answered(t, p, providertest.Hi)); !strings.Contains(got, "demo model") {
		t.Errorf("answer %q", got)
	}
}
