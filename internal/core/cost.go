package core

import "strconv"

// NanoDollars is an amount of money: a thousand-millionth of a US dollar. Token prices are whole numbers of
// it, so that costs add up without rounding.
type NanoDollars int64

// Amounts in NanoDollars.
const (
	Dollar NanoDollars = 1_000_000_000
	Cent   NanoDollars = Dollar / 100
)

// List prices beside the tokens (claude-managed-agents.md section 6.7): $10 for 1,000 web searches and $0.08
// for an hour of running.
const (
	PricePerWebSearch   = Dollar / 100
	pricePerRunningHour = 8 * Cent
	hourMS              = 3_600_000
)

// Prices are what a model costs by its vendor's list, in NanoDollars for one token.
type Prices struct {
	Input        NanoDollars
	Output       NanoDollars
	CacheRead    NanoDollars
	CacheWrite5m NanoDollars // into the cache, kept for minutes
	CacheWrite1h NanoDollars // kept for an hour
	// A call whose whole prompt, the cached part included, has more than LongAbove tokens costs LongInput
	// percent of these prices for its input and LongOutput percent for its output. 0: all calls cost the same.
	LongAbove  int64
	LongInput  int64
	LongOutput int64
}

// Cost returns what the tokens of one model call cost.
func (p Prices) Cost(u Usage) NanoDollars {
	short := max(u.CacheCreationTokens-u.CacheCreation1hTokens, 0)
	in := NanoDollars(u.InputTokens)*p.Input + NanoDollars(u.CacheReadTokens)*p.CacheRead +
		NanoDollars(short)*p.CacheWrite5m + NanoDollars(u.CacheCreation1hTokens)*p.CacheWrite1h
	out := NanoDollars(u.OutputTokens) * p.Output
	if p.LongAbove > 0 && u.InputTokens+u.CacheReadTokens+u.CacheCreationTokens > p.LongAbove {
		in, out = in*NanoDollars(p.LongInput)/100, out*NanoDollars(p.LongOutput)/100
	}
	return in + out
}

// ListCost returns what a session's usage costs: its tokens, its web searches and the time that it ran.
func (u Usage) ListCost() NanoDollars {
	return u.TokenCost + NanoDollars(u.WebSearches)*PricePerWebSearch + NanoDollars(u.ActiveMS)*pricePerRunningHour/hourMS
}

// Cents writes an amount in whole cents, rounded down: so a session's cost reaches the number of its budget
// exactly when it reaches the budget.
func (n NanoDollars) Cents() string { return strconv.FormatInt(int64(n/Cent), 10) }

// Amount returns the budget as an amount.
func (b *Budget) Amount() NanoDollars { return NanoDollars(b.Cents) * Cent }

// Reached reports whether a usage has used the budget up. A nil budget never is.
func (b *Budget) Reached(u Usage) bool { return b != nil && u.ListCost() >= b.Amount() }
