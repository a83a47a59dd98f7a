package managed

import (
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/reeve-ai/reeve/internal/core"
)

// moneyWire is an amount in whole cents (CMA section 3.4).
type moneyWire struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// budgetWire is a budget on the wire (CMA section 3.4).
type budgetWire struct {
	Type        string    `json:"type"`
	MaxListCost moneyWire `json:"max_list_cost"`
}

// budgetOf writes a budget; null: none.
func budgetOf(b *core.Budget) json.RawMessage {
	if b == nil {
		return null
	}
	return encode(budgetWire{"limit", moneyWire{strconv.FormatInt(b.Cents, 10), b.Currency}})
}

// wholeCents is how an amount is spelled: no sign, no leading zero, more than nothing.
var wholeCents = regexp.MustCompile(`^[1-9][0-9]*$`)

// budget reads a budget. given is false if it is absent; a nil budget means null.
func (o *object) budget(name string) (b *core.Budget, given bool) {
	if o.raw(name) == nil {
		return nil, false
	}
	m := o.object(name)
	if m == nil {
		return nil, true
	}
	if kind := m.text("type"); kind != "limit" {
		m.fail(core.InvalidField(m.field("type"), `must be "limit"`))
	}
	b = &core.Budget{}
	if cost := m.object("max_list_cost"); cost != nil {
		amount := cost.required("amount")
		cents, err := strconv.ParseInt(amount, 10, 64)
		if err != nil || !wholeCents.MatchString(amount) {
			cost.fail(core.InvalidField(cost.field("amount"), `must be whole cents as a string, like "2500": more than 0, without a leading zero`))
		}
		b.Cents, b.Currency = cents, cost.required("currency")
		cost.closed()
	} else {
		m.fail(core.InvalidField(m.field("max_list_cost"), "is required"))
	}
	m.closed()
	return b, true
}
