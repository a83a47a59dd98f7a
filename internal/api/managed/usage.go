package managed

import "github.com/reeve-ai/reeve/internal/core"

// claudeUsage is what Claude counts. Tokens of the cache are not among InputTokens.
type claudeUsage struct {
	InputTokens   int64         `json:"input_tokens"`
	OutputTokens  int64         `json:"output_tokens"`
	CacheRead     int64         `json:"cache_read_input_tokens"`
	CacheCreation cacheCreation `json:"cache_creation"`
	ActiveSeconds float64       `json:"active_seconds"`
	ListCost      *moneyWire    `json:"list_cost"` // null: some model has no list price
	ServerToolUse serverToolUse `json:"server_tool_use"`
}

type cacheCreation struct {
	FiveMinutes int64 `json:"ephemeral_5m_input_tokens"`
	OneHour     int64 `json:"ephemeral_1h_input_tokens"`
}

type serverToolUse struct {
	WebSearches int64 `json:"web_search_requests"`
	WebFetches  int64 `json:"web_fetch_requests"`
}

// qoderUsage counts credits, which Reeve does not have, and says the tokens beside them.
type qoderUsage struct {
	TotalCredits float64 `json:"total_credits"`
	InputTokens  int64   `json:"input_tokens"`
	OutputTokens int64   `json:"output_tokens"`
}

func (fl *Flavour) usageWire(u core.Usage) any {
	if fl.credits {
		return qoderUsage{InputTokens: u.InputTokens, OutputTokens: u.OutputTokens}
	}
	w := claudeUsage{
		InputTokens: u.InputTokens, OutputTokens: u.OutputTokens, CacheRead: u.CacheReadTokens,
		CacheCreation: cacheCreation{FiveMinutes: max(u.CacheCreationTokens-u.CacheCreation1hTokens, 0), OneHour: u.CacheCreation1hTokens},
		ActiveSeconds: seconds(u.ActiveMS), ServerToolUse: serverToolUse{u.WebSearches, u.WebFetches},
	}
	if u.UnpricedCalls == 0 {
		w.ListCost = &moneyWire{u.ListCost().Cents(), "USD"}
	}
	return w
}

type claudeModelUsage struct {
	InputTokens   int64   `json:"input_tokens"`
	OutputTokens  int64   `json:"output_tokens"`
	CacheCreation int64   `json:"cache_creation_input_tokens"`
	CacheRead     int64   `json:"cache_read_input_tokens"`
	Speed         *string `json:"speed"`
}

type qoderModelUsage struct {
	Credits      float64 `json:"credits"`
	InputTokens  int64   `json:"input_tokens"`
	OutputTokens int64   `json:"output_tokens"`
}

// modelUsage writes what one call used, or a few of them together.
func (fl *Flavour) modelUsage(u core.Usage) any {
	if fl.credits {
		return qoderModelUsage{InputTokens: u.InputTokens, OutputTokens: u.OutputTokens}
	}
	return claudeModelUsage{u.InputTokens, u.OutputTokens, u.CacheCreationTokens, u.CacheReadTokens, nil}
}
