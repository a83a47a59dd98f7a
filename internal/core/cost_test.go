package core_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestWhatACallCosts(t *testing.T) {
	t.Parallel()
	p := core.Prices{Input: 3000, Output: 15_000, CacheRead: 300, CacheWrite5m: 3750, CacheWrite1h: 6000, LongAbove: 1_000_000, LongInput: 200, LongOutput: 150}
	for _, tc := range []struct {
		name string
		u    core.Usage
		want core.NanoDollars
	}{
		{"input and output", core.Usage{InputTokens: 1000, OutputTokens: 100}, 4_500_000},
		{"cache", core.Usage{CacheReadTokens: 1000, CacheCreationTokens: 100, CacheCreation1hTokens: 40}, 300_000 + 60*3750 + 40*6000},
		{"at the border", core.Usage{InputTokens: 1_000_000, OutputTokens: 1}, 3_000_015_000},
		{"a long prompt", core.Usage{InputTokens: 1, CacheReadTokens: 1_000_000, OutputTokens: 2}, 2*(3000+300_000_000) + 45_000},
	} {
		if got := p.Cost(tc.u); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestListCostOfASession(t *testing.T) {
	t.Parallel()
	u := core.Usage{TokenCost: 5 * core.Cent, WebSearches: 3, WebFetches: 9, ActiveMS: 3_600_000}
	if got, want := u.ListCost(), (5+3+8)*core.Cent; got != want {
		t.Errorf("list cost %d, want %d", got, want)
	}
	if got := u.Add(u).ListCost(); got != 32*core.Cent {
		t.Errorf("twice as much costs %d", got)
	}
	if got := (core.Usage{TokenCost: 5*core.Cent - 1}).ListCost().Cents(); got != "4" {
		t.Errorf("%s cents, want what is full: 4", got)
	}
	budget := &core.Budget{Cents: 16, Currency: "USD"}
	less := u
	less.TokenCost--
	if !budget.Reached(u) || budget.Reached(less) || (*core.Budget)(nil).Reached(u) {
		t.Error("a budget is reached exactly when the cost is as high")
	}
}
