package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/client"
	"github.com/reeve-ai/reeve/internal/config"
)

type otasFlags struct {
	only, profile    string
	agents, captures int
}

// otasBench is the benchmark of the otas face.
type otasBench struct {
	*bench
	otasFlags
	table    *table
	progress *pen   // for a line that is written over; nil: nobody watches
	project  string // a UUID
	sdkKey   string
	made     []reporter // the agents of all ingest workloads; use reporters
}

// flood is measured on a server of its own: with the limits that operators get, which the others would run into.
const flood = "flood"

// otasGroups are the workloads that --only chooses from, in the order in which they run.
var otasGroups = []struct {
	name string
	run  func(o *otasBench, ctx context.Context) error
}{
	{"sessions", (*otasBench).openSessions},
	{"single", (*otasBench).single},
	{"batch", (*otasBench).batch},
	{"agents", (*otasBench).agentList},
	{"reads", (*otasBench).reads},
	{flood, (*otasBench).flood},
}

func (p *program) benchOtas() *cobra.Command {
	var f otasFlags
	c, _ := p.benchCommand("otas", "Time captures, the reads over them, and sessions of observed agents",
		`Time the OTAS API over HTTP, as agents and backends elsewhere use it:

  sessions  open a session with an agent's key
  single    report one captured call of about 1 KB, over the agent's and over the backend's path
  batch     report 500 of them in one request; counted are the calls, timed the requests
  agents    list 500 agents with their keys
  reads     fill in --captures over 30 days and --agents agents, then time every read of the agent with
            the largest part of them
  flood     one agent reports as fast as it can, --agents others ten times a second each: what the others
            notice of it, and how often it is refused

Without --url it starts a server of its own on a temporary folder. Clients and server then share the
machine's cores: the figures are what the whole costs. An agent's allowance is lifted there, but not
for flood, which has a second server. On a server of --url the allowance holds, and flood runs only
when --only names it.`, "",
		func(cmd *cobra.Command, b benchFlags) error { return p.runOtas(cmd, b, f) })
	flags := c.Flags()
	flags.StringVar(&f.only, "only", "", "Workloads to run, such as single,batch; all if not given")
	flags.IntVar(&f.agents, "agents", 20, "Agents that report")
	flags.IntVar(&f.captures, "captures", 1_000_000, "Captures to read over")
	flags.StringVar(&f.profile, "cpu-profile", "", "Write a CPU profile of clients and server to this file")
	for name, arg := range map[string]string{"only": "name,…", "agents": "n", "captures": "n"} {
		describe(flags.Lookup(name), "measurement", arg)
	}
	flags.Lookup("cpu-profile").Hidden = true // for those who work on the server
	configFlags(c, "database.durability", "limits.agent_rate", "limits.agent_burst")
	return c
}

// unlimited lifts what an agent may report, so that the server's own speed is measured.
func unlimited(c *config.Config) {
	c.Limits.AgentRate, c.Limits.AgentBurst = 10_000_000, 10_000_000
	c.Limits.AgentKB, c.Limits.AgentBurstKB = 1<<30, 1<<30
}

func (p *program) runOtas(cmd *cobra.Command, b benchFlags, f otasFlags) (err error) {
	names, err := f.groups(b.url != "")
	if err != nil {
		return err
	}
	if f.profile != "" {
		stop, err := startProfile(f.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	t := &table{out: newPen(p.out, p.environ, false), width: 30}
	calm, floods := names, slices.Contains(names, flood)
	if floods && b.url == "" {
		calm = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == flood })
	}
	if len(calm) > 0 {
		if err := p.otasRows(cmd, b, f, t, calm, unlimited); err != nil {
			return err
		}
	}
	if floods && b.url == "" {
		if err := p.otasRows(cmd, b, f, t, []string{flood}, nil); err != nil {
			return err
		}
	}
	return t.save(b.json)
}

// groups reads --only.
func (f otasFlags) groups(foreign bool) ([]string, error) {
	var known, names []string
	for _, g := range otasGroups {
		known = append(known, g.name)
		if g.name != flood || !foreign {
			names = append(names, g.name)
		}
	}
	if f.only != "" {
		names = nil
		for _, name := range strings.Split(f.only, ",") {
			name = strings.TrimSpace(name)
			if !slices.Contains(known, name) {
				return nil, usagef("--only: %q is not one of %s", name, strings.Join(known, ", "))
			}
			names = append(names, name)
		}
	}
	switch {
	case f.agents < 1 || f.agents > 400:
		return nil, usagef("--agents: must be 1 to 400")
	case f.captures < 1 || f.captures > 100_000_000:
		return nil, usagef("--captures: must be 1 to 100000000")
	}
	return names, nil
}

func startProfile(path string) (stop func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start the profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// otasRows runs some of the groups on one server.
func (p *program) otasRows(cmd *cobra.Command, b benchFlags, f otasFlags, t *table, names []string, change func(*config.Config)) (err error) {
	server, stop, err := p.openBench(cmd, b, change)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := &otasBench{bench: server, otasFlags: f, table: t}
	if progress := newPen(p.errOut, p.environ, false); progress.width > 0 {
		o.progress = progress
	}
	if len(t.rows) == 0 {
		t.head(o.base, "clients and server share them")
	}
	for _, g := range otasGroups {
		if !slices.Contains(names, g.name) {
			continue
		}
		if err := g.run(o, cmd.Context()); cmd.Context().Err() != nil {
			return errors.New("interrupted")
		} else if err != nil {
			return err
		}
	}
	return nil
}

// row measures shots with each number of clients.
func (o *otasBench) row(ctx context.Context, what string, each int, shots []shot) error {
	var clients atomic.Int64
	return o.measureAll(ctx, o.table, workload{noun: what, each: each, run: func(_ *bench, limited context.Context) ([]time.Duration, error) {
		return fire(ctx, limited, o.base, shots, int(clients.Add(1)))
	}})
}

// reporter is an agent with its key and an open session.
type reporter struct {
	id, key, token, session string
}

// newReporter registers an agent and opens a session of it.
func (o *otasBench) newReporter(ctx context.Context, name string) (reporter, error) {
	made, err := o.people().CreateAgent(ctx, o.project, name, "Made by reeve bench", "Reeve")
	if err != nil {
		return reporter{}, fmt.Errorf("register an agent: %w", err)
	}
	o.project = made.Agent.ProjectID
	r := reporter{id: made.Agent.ID, key: made.Key.APIKey}
	return r, o.openSession(ctx, &r)
}

// openSession gives a reporter a new session.
func (o *otasBench) openSession(ctx context.Context, r *reporter) (err error) {
	if r.token, err = client.OpenSession(ctx, o.base, r.key, map[string]any{"task": "bench"}, o.http); err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	r.session, err = client.SessionOf(r.token)
	return err
}

// reporters returns the agents of the workloads that write.
func (o *otasBench) reporters(ctx context.Context) ([]reporter, error) {
	for len(o.made) < o.agents {
		r, err := o.newReporter(ctx, fmt.Sprintf("Reporter %d", len(o.made)+1))
		if err != nil {
			return nil, err
		}
		o.made = append(o.made, r)
	}
	return o.made, nil
}

// people calls as somebody of the project does.
func (o *otasBench) people() *client.Otas { return client.NewOtas(o.base, o.flags.token, o.http) }

// header are the credentials of a reporter on the agent's path, with what its body is.
func (r reporter) header(contentType string) http.Header {
	return http.Header{"X-Otas-Agent-Key": {r.key}, "X-Otas-Agent-Session-Token": {r.token}, "Content-Type": {contentType}}
}
