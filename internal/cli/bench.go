package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/client"
	"github.com/reeve-ai/reeve/internal/config"
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
			[]workload{{noun: "turn", run: (*bench).turns}}),
		p.benchmark("sessions", "Time to open a session",
			`Time the opening of sessions over HTTP: by agents that run elsewhere, with their key (the key is
checked each time), and of managed sessions, with an access token.`,
			[]workload{{noun: "observed session", run: (*bench).observed}, {noun: "managed session", run: (*bench).managed}}),
		p.benchOtas(),
	)
	return c
}

func (p *program) benchmark(use, short, long string, work []workload) *cobra.Command {
	c, f := p.benchCommand(use, short, long+`

Without --url it starts a server of its own on a temporary folder, with a model that answers at
once: what is left is Reeve's own time. Clients and server then share the machine's cores.`, " --model demo",
		func(cmd *cobra.Command, f benchFlags) error { return p.runBench(cmd, f, work) })
	flags := c.Flags()
	flags.StringVar(&f.model, "model", autoModel, "The model of that server's agent")
	describe(flags.Lookup("model"), "a running server", "name")
	if use == "turns" {
		flags.IntVar(&f.perSession, "turns-per-session", 20, "Turns until a client opens a new session")
		describe(flags.Lookup("turns-per-session"), "measurement", "n")
	}
	configFlags(c, "database.durability", "turns.max_running")
	return c
}

// benchCommand makes a command with the flags that all benchmarks have. Their values are in the returned
// struct, and are handed to run.
func (p *program) benchCommand(use, short, long, exampleFlags string, run func(*cobra.Command, benchFlags) error) (*cobra.Command, *benchFlags) {
	f := new(benchFlags)
	var clients string
	c := &cobra.Command{
		Use: use + " [flags]", Short: short, Long: long,
		Example: "reeve bench " + use + "\n\n# A running server\nreeve bench " + use + " --url http://127.0.0.1:8000 --token reeve_…" + exampleFlags,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if f.clients, err = readClients(clients); err != nil {
				return err
			}
			return run(cmd, *f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&clients, "clients", "1,8,64", "How many work at one time; one row of the table for each")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "How long each row is measured")
	flags.StringVar(&f.json, "json", "", "Also write the figures to this file")
	flags.StringVar(&f.url, "url", "", "A running server, instead of one of its own")
	flags.StringVar(&f.token, "token", "", "An access token of that server, with the role admin")
	for name, arg := range map[string]string{"clients": "n,n,…", "duration": "time", "json": "file"} {
		describe(flags.Lookup(name), "measurement", arg)
	}
	for name, arg := range map[string]string{"url": "URL", "token": "token"} {
		describe(flags.Lookup(name), "a running server", arg)
	}
	return c, f
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

func (p *program) runBench(cmd *cobra.Command, f benchFlags, work []workload) (err error) {
	ctx := cmd.Context()
	b, stop, err := p.openBench(cmd, f, unlimited)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	t := &table{out: newPen(p.out, p.environ, false), width: 18}
	t.head(b.base, "model "+b.flags.model)
	for _, w := range work {
		if err := b.measureAll(ctx, t, w); err != nil {
			return err
		}
	}
	return t.save(f.json)
}

// openBench makes a benchmark of the server that the flags name, or of one of its own, whose
// configuration change may alter; nil: it does not. The caller must call stop.
func (p *program) openBench(cmd *cobra.Command, f benchFlags, change func(*config.Config)) (b *bench, stop func() error, err error) {
	b = &bench{flags: f, base: strings.TrimRight(f.url, "/"), stats: func() (int64, bool) { return 0, false }}
	most := slices.Max(f.clients)
	b.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * most, MaxConnsPerHost: 0}}
	stopServer := func() error { return nil }
	if f.url == "" {
		if stopServer, err = p.startBenchServer(cmd, b, change); err != nil {
			return nil, nil, err
		}
	} else if f.token == "" {
		return nil, nil, usagef("--url needs --token: an access token of that server")
	}
	b.client = client.New(b.base, b.flags.token, b.http)
	return b, func() error {
		b.http.CloseIdleConnections()
		return stopServer()
	}, nil
}

// startBenchServer starts a server with the instant model in this process.
func (p *program) startBenchServer(cmd *cobra.Command, b *bench, change func(*config.Config)) (stop func() error, err error) {
	cfg, err := p.configuration(cmd)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&cfg)
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

// measureAll measures a workload with each number of clients, a row of the table for each.
func (b *bench) measureAll(ctx context.Context, t *table, w workload) error {
	for _, clients := range b.flags.clients {
		row, err := b.measure(ctx, w, clients)
		if err != nil {
			return err
		}
		t.add(row)
		// Connections that the next row has no use for would be closed by the server for their silence,
		// perhaps at the very moment when one is taken up again.
		b.http.CloseIdleConnections()
	}
	return nil
}

// measure runs a workload with some clients side by side, and returns its row.
func (b *bench) measure(ctx context.Context, w workload, clients int) (figures, error) {
	before, known := b.stats()
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, began.Add(b.flags.duration))
	defer cancel()
	all, err := crowd(limited, clients, func(ctx context.Context, _ int) ([]time.Duration, error) { return w.run(b, ctx) })
	took := time.Since(began)
	after, _ := b.stats()
	switch {
	case ctx.Err() != nil:
		return figures{}, errors.New("interrupted")
	case err != nil:
		return figures{}, err
	case len(all.values) == 0:
		return figures{}, fmt.Errorf("not one %s was done in %s: give it more with --duration", w.noun, b.flags.duration)
	}
	row := newFigures(w.noun, clients, max(w.each, 1), took, &all)
	if known {
		row.Transactions = float64(after-before) / float64(row.Count)
	}
	return row, nil
}

// crowd runs n clients side by side, numbered from 0, and gathers the times that they measured. The first
// failure ends the context of all.
func crowd(ctx context.Context, n int, run func(ctx context.Context, client int) ([]time.Duration, error)) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var all sample
	var failed error
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			times, err := run(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			all.add(times...)
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		})
	}
	group.Wait()
	return all, failed
}
