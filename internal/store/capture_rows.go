package store

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
)

// maxStatementPower says how many rows one statement of a rowsInsert takes: 2 to the power of it. SQLite searches a
// parameter's name from the first on, so that many parameters cost more than another statement does (of
// 1, 4, 8, 16 and 32 rows, 4 and 8 took the least time).
const maxStatementPower = 2

// rowsInsert is an INSERT of many rows. Its texts are made for powers of two of them, so that few
// statements have to stay prepared.
type rowsInsert struct {
	into    string // INSERT INTO table (columns)
	columns int
	end     string // what follows the values: ON CONFLICT, RETURNING
	texts   [maxStatementPower + 1]atomic.Pointer[string]
}

// run inserts the rows whose values follow each other in args. scan is that of handle.change.
func (in *rowsInsert) run(ctx context.Context, h handle, args []any, scan func(row) error) error {
	for len(args) > 0 {
		power := min(bits.Len(uint(len(args)/in.columns))-1, maxStatementPower)
		n := in.columns << power
		if _, err := h.change(ctx, in.text(power), args[:n:n], scan); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// text is the statement for 2^power rows.
func (in *rowsInsert) text(power int) string {
	if text := in.texts[power].Load(); text != nil {
		return *text
	}
	var b strings.Builder
	b.WriteString(in.into + " VALUES ")
	for i := range in.columns << power {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%in.columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteString(") " + in.end)
	text := b.String()
	in.texts[power].Store(&text)
	return text
}
