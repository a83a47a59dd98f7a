package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// listQuery builds the text of a list with optional conditions. The same options give the same text,
// so that statements stay prepared: values are always arguments, and a list of values is one.
type listQuery struct {
	engine engine
	where  []string
	args   []any
}

// arg adds an argument and returns its placeholder.
func (q *listQuery) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// and adds a condition. It names its arguments by %s, in order.
func (q *listQuery) and(condition string, values ...any) {
	marks := make([]any, len(values))
	for i, v := range values {
		marks[i] = q.arg(v)
	}
	q.where = append(q.where, fmt.Sprintf(condition, marks...))
}

// andIn adds the condition that column is one of the values. No values: no condition.
func andIn[T ~string](q *listQuery, column string, values []T) {
	if len(values) == 0 {
		return
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	q.where = append(q.where, q.engine.in(column, q.arg(q.engine.list(list))))
}

// conditions joins the conditions for WHERE.
func (q *listQuery) conditions() string { return strings.Join(q.where, " AND ") }

// keyset is a place in a list that is ordered by creation, and the direction.
type keyset struct {
	after, before *core.PageKey
	ascending     bool
}

// order adds the conditions of the keyset and returns the ORDER BY clause for the table. Backwards
// means that the rows come in reverse, because those nearest to the before key are wanted.
func (q *listQuery) order(table string, k keyset) (clause string, backwards bool) {
	place := "(" + table + ".created_at, " + table + ".id)"
	backwards = k.before != nil && k.after == nil
	for _, edge := range []struct {
		key  *core.PageKey
		less bool // rows smaller than the key
	}{{k.after, !k.ascending}, {k.before, k.ascending}} {
		if edge.key == nil {
			continue
		}
		sign := ">"
		if edge.less {
			sign = "<"
		}
		q.and(place+" "+sign+" (%s, %s)", micros(edge.key.CreatedAt), edge.key.ID)
	}
	direction := "DESC"
	if k.ascending != backwards {
		direction = "ASC"
	}
	return fmt.Sprintf(" ORDER BY %s.created_at %s, %s.id %s", table, direction, table, direction), backwards
}

// limit adds LIMIT, and OFFSET if there is one. A negative limit would be none to SQLite. "+ 0" is for SQLite: it looks into a bare placeholder
// there when it plans, and then plans anew with every call, which is a fifth of the time of a read.
func (q *listQuery) limit(limit, offset int) string {
	text := " LIMIT " + q.arg(max(limit, 0)) + " + 0"
	if offset > 0 {
		text += " OFFSET " + q.arg(offset)
	}
	return text
}

// inOrder turns rows that came backwards around.
func inOrder[T any](list []T, backwards bool) []T {
	if backwards {
		slices.Reverse(list)
	}
	return list
}
