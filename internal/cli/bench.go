package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/client"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// instantModel is the name of the model that answers at once, on a server that bench itself started.
const instantModel = "instant"

type benchFlags struct {
	url, token, model, json string
	clients                 []int
	duration                time.Duration
	perSession              int
}

func (p *program) bench() *cobra.Command {
	c := &cobra.Command{
		Use: "bench", Short: "Measure a server", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(
		p.benchmark("turns", "Time from a message to the idle session",
			`Time turns over HTTP: each client opens a session and its event stream, and then sends one message
after the other. A turn is timed from the begin of the POST to session.status_idle on the stream.`,
			[]workload{{"turn", (*bench).turns}}),
		p.benchmark("sessions", "Time to open a session",
			`Time the opening of sessions over HTTP: by agents that run elsewhere, with their key (the key is
checked each time), and of managed sessions, with an access token.`,
			[]workload{{"observed session", (*bench).observed}, {"managed session", (*bench).managed}}),
	)
	return c
}

func (p *program) benchmark(use, short, long string, work []workload) *cobra.Command {
	var f benchFlags
	var clients string
	c := &cobra.Command{
		Use: use + " [flags]", Short: short,
		Long: long + `

Without --url it starts a server of its own on a temporary folder, with a model that answers at
once: what is left is Reeve's own time. Clients and server then share the machine's cores.`,
		Example: "reeve bench " + use + "\n\n# A running server\nreeve bench " + use + " --url http://127.0.0.1:8000 --token reeve_… --model demo",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if f.clients, err = readClients(clients); err != nil {
				return err
			}
			return p.runBench(cmd, f, work)
		},
	}
	flags := c.Flags()
	flags.StringVar(&clients, "clients", "1,8,64", "How many work at one time; one row of the table for each")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "How long each row is measured")
	flags.StringVar(&f.json, "json", "", "Also write the figures to this file")
	flags.StringVar(&f.url, "url", "", "A running server, instead of one of its own")
	flags.StringVar(&f.token, "token", "", "An access token of that server, with the role admin")
	flags.StringVar(&f.model, "model", autoModel, "The model of that server's agent")
	if use == "turns" {
		flags.IntVar(&f.perSession, "turns-per-session", 20, "Turns until a client opens a new session")
		describe(flags.Lookup("turns-per-session"), "measurement", "n")
	}
	for name, arg := range map[string]string{"clients": "n,n,…", "duration": "time", "json": "file"} {
		describe(flags.Lookup(name), "measurement", arg)
	}
	for name, arg := range map[string]string{"url": "URL", "token": "token", "model": "name"} {
		describe(flags.Lookup(name), "a running server", arg)
	}
	configFlags(c, "database.durability", "turns.max_running")
	return c
}

func readClients(s string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 10_000 {
			return nil, usagef("--clients: %q is not a list of numbers from 1 to 10000, such as 1,8,64", s)
		}
		out = append(out, n)
	}
	return out, nil
}

// bench is one benchmark against one server.
type bench struct {
	flags       benchFlags
	base        string
	http        *http.Client
	client      *client.Client
	agent       string
	agentKey    string
	environment string
	stats       func() (transactions int64, known bool)
}

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
}

func (p *program) runBench(cmd *cobra.Command, f benchFlags, work []workload) (err error) {
	ctx := cmd.Context()
	b := &bench{flags: f, base: strings.TrimRight(f.url, "/"), stats: func() (int64, bool) { return 0, false }}
	most := slices.Max(f.clients)
	b.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * most, MaxConnsPerHost: 0}}
	defer b.http.CloseIdleConnections()
	if f.url == "" {
		stop, err := p.startBenchServer(cmd, b)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	} else if f.token == "" {
		return usagef("--url needs --token: an access token of that server")
	}
	b.client = client.New(b.base, b.flags.token, b.http)
	if err := b.prepare(ctx); err != nil {
		return err
	}
	out := newPen(p.out, p.environ, false)
	out.line("%s", out.faint(fmt.Sprintf("%s · %s/%s · %s · model %s", b.base, runtime.GOOS, runtime.GOARCH, count(runtime.NumCPU(), "core"), b.flags.model)))
	out.line("")
	out.line("%-18s %8s %9s %10s %9s %9s %9s %9s %8s", "", "clients", "count", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "tx each")
	var rows []figures
	for _, w := range work {
		for _, clients := range f.clients {
			row, err := b.measure(ctx, w, clients)
			if err != nil {
				return err
			}
			rows = append(rows, row)
			out.line("%s", row)
			// Connections that the next row has no use for would be closed by the server for their silence,
			// perhaps at the very moment when one is taken up again.
			b.http.CloseIdleConnections()
		}
	}
	if f.json != "" {
		return writeFigures(f.json, rows)
	}
	return nil
}

func (r figures) String() string {
	transactions := "–"
	if r.Transactions > 0 {
		transactions = fmt.Sprintf("%.1f", r.Transactions)
	}
	return fmt.Sprintf("%-18s %8d %9d %10.1f %9.2f %9.2f %9.2f %9.2f %8s", r.What, r.Clients, r.Count, r.PerSecond, r.P50MS, r.P95MS, r.P99MS, r.MaxMS, transactions)
}

// startBenchServer starts a server with the instant model in this process.
func (p *program) startBenchServer(cmd *cobra.Command, b *bench) (stop func() error, err error) {
	cfg, err := p.configuration(cmd)
	if err != nil {
		return nil, err
	}
	n, stop, err := temporaryNode(cmd.Context(), cfg, app.Options{
		Log:       slog.New(slog.NewTextHandler(p.errOut, &slog.HandlerOptions{Level: slog.LevelError})),
		Providers: map[string]core.Provider{instantModel: fake.Instant("Done.")},
	}, false)
	if err != nil {
		return nil, err
	}
	first, ok := n.app.FirstStart()
	if !ok {
		return nil, errors.Join(errors.New("the temporary data folder was used before"), stop())
	}
	b.base, b.flags.token, b.flags.model = n.base, first.Token, instantModel
	b.stats = func() (int64, bool) { return n.app.Stats().Transactions, true }
	return stop, nil
}

// measure runs a workload with some clients side by side, and returns its row.
func (b *bench) measure(ctx context.Context, w workload, clients int) (figures, error) {
	before, known := b.stats()
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, began.Add(b.flags.duration))
	defer cancel()
	var mu sync.Mutex
	var all sample
	var failed error
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			times, err := w.run(b, limited)
			mu.Lock()
			defer mu.Unlock()
			all.add(times...)
			if err != nil && limited.Err() == nil && failed == nil {
				failed = err
				cancel()
			}
		})
	}
	group.Wait()
	seconds := time.Since(began).Seconds()
	after, _ := b.stats()
	switch {
	case failed != nil:
		return figures{}, failed
	case ctx.Err() != nil:
		return figures{}, errors.New("interrupted")
	case len(all.values) == 0:
		return figures{}, fmt.Errorf("not one %s was done in %s: give it more with --duration", w.noun, b.flags.duration)
	}
	n := len(all.values)
	row := figures{
		What: w.noun, Clients: clients, Count: n, Seconds: seconds, PerSecond: float64(n) / seconds,
		P50MS: ms(all.percentile(50)), P95MS: ms(all.percentile(95)), P99MS: ms(all.percentile(99)), MaxMS: ms(all.percentile(100)),
	}
	if known {
		row.Transactions = float64(after-before) / float64(n)
	}
	return row, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// writeFigures writes the rows with what a reader must know of the machine.
func writeFigures(path string, rows []figures) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return encodeFigures(f, rows)
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
