package provider_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// What an agent may ask for beyond a model's name follows from who serves it here, not from the name.
func TestSpeedAndPlaceFollowTheProvider(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		opts  provider.Options
		model string
		takes bool
	}{
		{"Anthropic", provider.Options{AnthropicKey: "k"}, "claude-opus-5", true},
		{"Anthropic by a pattern", provider.Options{AnthropicKey: "k"}, "claude-new-9", true},
		{"a tier that Anthropic serves", provider.Options{AnthropicKey: "k"}, "ultimate", true},
		{"OpenAI", provider.Options{OpenAIKey: "k"}, "gpt-5", false},
		{"a tier that OpenAI serves", provider.Options{OpenAIKey: "k"}, "ultimate", false},
		{"any name at a compatible server", provider.Options{ModelURL: "http://127.0.0.1:1/v1"}, "house", false},
		{"Anthropic's name at a compatible server", provider.Options{ModelURL: "http://127.0.0.1:1/v1"}, "claude-opus-5", false},
		{"the demo model", provider.Options{}, "claude-opus-5", true},
		{"a provider of the program", provider.Options{Extra: map[string]core.Provider{"own": fake.New()}}, "own-model", true},
	} {
		models, err := provider.Open(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		m, err := models.Model(c.model)
		if err != nil || m.Fast != c.takes || m.Geo != c.takes {
			t.Errorf("%s: fast %v, geo %v, %v; want %v", c.name, m.Fast, m.Geo, err, c.takes)
		}
	}
}
