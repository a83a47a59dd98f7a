package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
)

func openWith(t *testing.T, models string, o provider.Options) (*provider.Catalogue, error) {
	t.Helper()
	o.Data = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Data, provider.FileName), []byte(models), 0o600); err != nil {
		t.Fatal(err)
	}
	return provider.Open(o)
}

func TestPricesOfAModel(t *testing.T) {
	t.Parallel()
	c, err := openWith(t, `
models:
  - {name: mine, provider: anthropic, prices: {input: 3, output: 15.5}}
  - {name: odd, provider: anthropic, prices: {input: 1, output: 2, cache_read: 0.025, cache_write_5m: 0, cache_write_1h: 7, long_above: 10, long_input: 200, long_output: 150}}
  - {name: bare, provider: anthropic}
`, provider.Options{AnthropicKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*core.Prices{
		"mine": {Input: 3000, Output: 15_500, CacheRead: 300, CacheWrite5m: 3750, CacheWrite1h: 6000},
		"odd":  {Input: 1000, Output: 2000, CacheRead: 25, CacheWrite1h: 7000, LongAbove: 10, LongInput: 200, LongOutput: 150},
		"bare": nil,
		"claude-opus-5": {
			Input: 5000, Output: 25_000, CacheRead: 500, CacheWrite5m: 6250, CacheWrite1h: 10_000,
		},
	} {
		m, err := c.Model(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.Prices); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAModelThatTheDemoStandsInForIsFree(t *testing.T) {
	t.Parallel()
	c, err := provider.Open(provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Model("claude-opus-5")
	if err != nil || m.Prices == nil || *m.Prices != (core.Prices{}) {
		t.Errorf("prices %+v, err %v", m.Prices, err)
	}
}

func TestAnotherServersPricesAreUnknown(t *testing.T) {
	t.Parallel()
	c, err := provider.Open(provider.Options{ModelURL: "http://127.0.0.1:1/v1"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.Model("claude-opus-5"); err != nil || m.Prices != nil {
		t.Errorf("prices %+v, err %v", m.Prices, err)
	}
}

func TestEveryVendorsModelHasPrices(t *testing.T) {
	t.Parallel()
	c, err := provider.Open(provider.Options{AnthropicKey: "k", OpenAIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Models() {
		if m.Prices == nil || !m.Demo && m.Prices.Output <= m.Prices.Input {
			t.Errorf("%s: %+v", m.Name, m.Prices)
		}
	}
}

func TestMistakesInPrices(t *testing.T) {
	t.Parallel()
	for prices, want := range map[string]string{
		"{input: 3}":                                 "prices needs input and output",
		"{input: 3, output: -1}":                     "must be a number of dollars",
		"{input: 3, output: cheap}":                  "must be a number of dollars",
		"{input: 0.0001, output: 1}":                 "at most three digits",
		"{input: 1, output: 1, long_above: 5}":       "all of long_above",
		"{input: 1, output: 1, discount: 5}":         `unknown key "discount"`,
		"{input: 1000000, output: 1}":                "from 0 to 100000",
		"[1, 2]":                                     "must be a mapping",
		"{input: 1, output: 1, cache_write_1h: 1e9}": "must be a number",
	} {
		_, err := openWith(t, "models:\n  - {name: m, provider: anthropic, prices: "+prices+"}\n", provider.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", prices, err, want)
		}
	}
}
