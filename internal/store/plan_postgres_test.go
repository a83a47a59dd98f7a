package store

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

// PostgresForTests gives an internal test the URL of an empty database. TestMain sets it.
var PostgresForTests func(t testing.TB) string

// seen are statements with one set of their arguments.
type seen struct {
	mu   sync.Mutex
	args map[string][]any
}

func (s *seen) note(query string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.args[query] = args
}

// TestEveryStatementUsesAnIndexOnPostgres runs the methods with all their options, and asks PostgreSQL how it
// would carry each statement out if it goes by an index wherever it can, as it does with large tables.
func TestEveryStatementUsesAnIndexOnPostgres(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := Open(ctx, Options{URL: PostgresForTests(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	all := &seen{args: map[string][]any{}}
	e := db.base.(*postgresEngine)
	e.watch = all.note
	callEverything(ctx, db)
	e.watch = nil

	conn, err := e.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, way := range []string{"seqscan", "bitmapscan", "sort"} {
		if _, err := conn.ExecContext(ctx, "SET enable_"+way+" = off"); err != nil {
			t.Fatal(err)
		}
	}
	for query, args := range all.args {
		plan := ""
		rows, err := conn.QueryContext(ctx, "EXPLAIN "+query, args...)
		if err != nil {
			t.Errorf("explain: %v\n  %s", err, query)
			continue
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(plan, "\n") {
			if strings.Contains(line, "Seq Scan") || strings.Contains(line, "Sort  (") {
				t.Errorf("%s\n  in %s", strings.TrimSpace(line), query)
			}
		}
	}
	if len(all.args) < 80 {
		t.Errorf("only %d statements were checked", len(all.args))
	}
}
