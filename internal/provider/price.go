package provider

import (
	"math/big"

	"github.com/goccy/go-yaml/ast"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxPrice bounds a price: dollars for a million tokens.
const maxPrice = 100_000

// prices reads the list prices of a model, in dollars for a million tokens. What is left out of the cache's
// prices follows from the input's as most vendors have it: a read a tenth, a write 1.25 times, one for an hour
// twice as much.
func (f *yamlFile) prices(to **core.Prices) func(ast.Node) {
	return func(n ast.Node) {
		var in, out, read, short, hour *core.NanoDollars
		p := &core.Prices{}
		known := fields{
			"input": f.price(&in), "output": f.price(&out), "cache_read": f.price(&read),
			"cache_write_5m": f.price(&short), "cache_write_1h": f.price(&hour),
			"long_above":  f.count(&p.LongAbove),
			"long_input":  f.count(&p.LongInput),
			"long_output": f.count(&p.LongOutput),
		}
		f.mapping(n, known)
		if in == nil || out == nil {
			f.problem(n, "prices needs input and output")
			return
		}
		if long := p.LongAbove > 0; long != (p.LongInput > 0) || long != (p.LongOutput > 0) {
			f.problem(n, "prices needs all of long_above, long_input and long_output, or none")
		}
		or := func(given *core.NanoDollars, usual core.NanoDollars) core.NanoDollars {
			if given != nil {
				return *given
			}
			return usual
		}
		p.Input, p.Output = *in, *out
		p.CacheRead, p.CacheWrite5m, p.CacheWrite1h = or(read, *in/10), or(short, *in*5/4), or(hour, *in*2)
		*to = p
	}
}

// price reads dollars for a million tokens as NanoDollars for one: both are thousandths of each other, so three
// digits behind the point are all that fit.
func (f *yamlFile) price(to **core.NanoDollars) func(ast.Node) {
	return func(n ast.Node) {
		var text string
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			text = n.GetToken().Value
		}
		amount, ok := new(big.Rat).SetString(text)
		if !ok || amount.Sign() < 0 || amount.Cmp(big.NewRat(maxPrice, 1)) > 0 {
			f.problem(n, "a price must be a number of dollars from 0 to %d", maxPrice)
			return
		}
		if amount.Mul(amount, big.NewRat(1000, 1)); !amount.IsInt() {
			f.problem(n, "a price has at most three digits behind the point")
			return
		}
		nano := core.NanoDollars(amount.Num().Int64())
		*to = &nano
	}
}
