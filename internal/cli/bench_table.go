package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// figures are one row of the table.
type figures struct {
	What         string  `json:"what"`
	Clients      int     `json:"clients"`
	Count        int     `json:"count"`
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	P50MS        float64 `json:"p50_ms"`
	P95MS        float64 `json:"p95_ms"`
	P99MS        float64 `json:"p99_ms"`
	MaxMS        float64 `json:"max_ms"`
	Transactions float64 `json:"transactions_each,omitempty"` // SQL transactions for each one; 0: the server does not tell
	Refused      int     `json:"refused,omitempty"`           // of Count, answered with 429 and Retry-After
}

// newFigures sums up what clients measured in a time. Each request did that many of what is counted; the
// percentiles are those of the requests.
func newFigures(what string, clients, each int, took time.Duration, all *sample) figures {
	n := len(all.values) * each
	return figures{
		What: what, Clients: clients, Count: n, Seconds: took.Seconds(), PerSecond: float64(n) / took.Seconds(),
		P50MS: ms(all.percentile(50)), P95MS: ms(all.percentile(95)), P99MS: ms(all.percentile(99)), MaxMS: ms(all.percentile(100)),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// table prints rows as they are measured, and keeps them.
type table struct {
	out   *pen
	width int // columns of the first column
	rows  []figures
}

// head prints what a reader must know of the machine, and the names of the columns.
func (t *table) head(base, about string) {
	t.out.line("%s", t.out.faint(fmt.Sprintf("%s · %s/%s · %s · %s", base, runtime.GOOS, runtime.GOARCH, count(runtime.NumCPU(), "core"), about)))
	t.out.line("")
	t.out.line("%-*s %8s %9s %10s %9s %9s %9s %9s %8s", t.width, "", "clients", "count", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "tx each")
}

func (t *table) add(r figures) {
	t.rows = append(t.rows, r)
	t.out.line("%-*s %8d %9d %10.1f %9.2f %9.2f %9.2f %9.2f %8s", t.width, r.What, r.Clients, r.Count, r.PerSecond, r.P50MS, r.P95MS, r.P99MS, r.MaxMS, r.transactions())
}

func (r figures) transactions() string {
	switch {
	case r.Transactions == 0:
		return "–"
	case r.Transactions < 0.1: // many of what is counted share one
		return fmt.Sprintf("%.3f", r.Transactions)
	}
	return fmt.Sprintf("%.1f", r.Transactions)
}

// save writes the rows to a file, with what a reader must know of the machine. An empty path is no file.
func (t *table) save(path string) (err error) {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return encodeFigures(f, t.rows)
}

func encodeFigures(w io.Writer, rows []figures) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	err := enc.Encode(map[string]any{
		"version": version(), "at": time.Now().UTC().Truncate(time.Second), "os": runtime.GOOS, "arch": runtime.GOARCH,
		"cores": runtime.NumCPU(), "go": runtime.Version(), "rows": rows,
	})
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
