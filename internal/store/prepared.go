package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
)

// maxPrepared is how many statements stay prepared on one connection. The methods of the store need
// about sixty texts, lists with filters some more; past that the cache starts anew.
const maxPrepared = 512

// prepared is one connection with the statements that it has prepared. It is used by one goroutine at
// a time. On the connection that writes, statements run to their end even if ctx ends meanwhile: on
// SQLite, interrupting one would undo the whole transaction, and with it the work of others in the same
// group.
type prepared struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	stats      *counters
	// reads says that the connection only reads: its statements stop when ctx ends, since nobody else's
	// work is lost, and the next who reads needs the processor and the connection.
	reads bool
}

func newPrepared(conn *sql.Conn, stats *counters) *prepared {
	return &prepared{conn: conn, statements: make(map[string]*sql.Stmt), stats: stats}
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := p.statements[query]; ok {
		return st, nil
	}
	if len(p.statements) >= maxPrepared {
		p.forget()
	}
	st, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	p.statements[query] = st
	return st, nil
}

// forget closes all prepared statements.
func (p *prepared) forget() {
	for _, st := range p.statements {
		_ = st.Close() // nothing is pending on it
	}
	clear(p.statements)
}

// close closes the statements and gives the connection back to its pool.
func (p *prepared) close() error {
	p.forget()
	return p.conn.Close()
}

// do runs a statement that is not part of a method: BEGIN, COMMIT and the like.
func (p *prepared) do(ctx context.Context, query string) error {
	ctx = context.WithoutCancel(ctx)
	st, err := p.statement(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return err
}

func (p *prepared) rows(ctx context.Context, query string, args []any, scan func(row) error) error {
	p.stats.statement(ctx)
	st, err := p.statement(context.WithoutCancel(ctx), query)
	if err != nil {
		return err
	}
	if !p.reads {
		ctx = context.WithoutCancel(ctx)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			_ = rows.Close() // the scan's error says more
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	return rows.Err()
}

func (p *prepared) change(ctx context.Context, query string, args []any, scan func(row) error) (int64, error) {
	if scan != nil {
		var n int64
		err := p.rows(ctx, query, args, func(r row) error {
			n++
			return scan(r)
		})
		return n, err
	}
	p.stats.statement(ctx)
	ctx = context.WithoutCancel(ctx)
	st, err := p.statement(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// statement counts one, for Stats and for whoever asked with CountStatements.
func (c *counters) statement(ctx context.Context) {
	c.statements.Add(1)
	if n, ok := ctx.Value(tallyKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}

type tallyKey struct{}

// CountStatements returns a context whose statements are counted in n as well, in whichever database they
// run. It tells what one request costs while others run beside it.
func CountStatements(ctx context.Context, n *atomic.Int64) context.Context {
	return context.WithValue(ctx, tallyKey{}, n)
}
