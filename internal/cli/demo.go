package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/client"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
)

// defaultTask is what the demo's agent does when nobody tells it anything else: it needs all three of
// bash, write and read.
const defaultTask = "Find out what kind of machine you are on, write what you found to report.md, read the file back and tell me what it says."

// demoPrompt is the system prompt of the demo's agent.
const demoPrompt = "You work in a Linux sandbox with the folder /workspace. Use your tools to do what you are asked, check the result, and then answer in a few sentences."

// autoModel is the name under which the server's default model can be asked for, whatever it is.
const autoModel = "auto"

type demoFlags struct {
	keep, plain bool
	model       string
}

func (p *program) demo() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo [task…] [flags]",
		Short: "Watch an agent do a task in a sandbox",
		Long: `Do the main job once, for real: start a server on a temporary data folder and a free port,
register an agent, give it its key, open a session in a sandbox, send a task and show the live
event stream. Everything goes over HTTP, as with any client.

Without a key it uses the built-in demo model: a fixed plan, but the tools and the sandbox are
real. With ANTHROPIC_API_KEY, OPENAI_API_KEY or --model-url it uses that model.`,
		Example: `reeve demo

# A task of your own, on a model of your own
reeve demo --model-url http://127.0.0.1:11434/v1 --model qwen3 count the words in /etc/services

# Look at what is left of it
reeve demo --keep`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runDemo(cmd, args, f) },
	}
	c.Flags().BoolVar(&f.keep, "keep", false, "Leave the data folder behind, for reeve serve --data")
	c.Flags().BoolVar(&f.plain, "plain", false, "No colour and no wrapping, as when the output is piped")
	for _, name := range []string{"keep", "plain"} {
		describe(c.Flags().Lookup(name), "demo", "")
	}
	c.Flags().StringVar(&f.model, "model", "", "The model to use, as its vendor names it")
	configFlags(c, "models.url", "models.demo_delay", "models.anthropic_base_url", "models.openai_base_url", "sandbox.mode")
	return c
}

func (p *program) runDemo(cmd *cobra.Command, args []string, f demoFlags) (err error) {
	ctx := cmd.Context()
	cfg, err := p.configuration(cmd)
	if err != nil {
		return err
	}
	model, about, err := p.demoModel(ctx, &cfg.Models, f.model)
	if err != nil {
		return err
	}
	task := strings.TrimSpace(strings.Join(args, " "))
	if task == "" {
		task = defaultTask
	}
	out := newPen(p.out, p.environ, f.plain)
	began := time.Now()
	log := slog.New(slog.NewTextHandler(p.errOut, &slog.HandlerOptions{Level: slog.LevelError}))
	n, stop, err := temporaryNode(ctx, cfg, app.Options{Log: log}, f.keep)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, stop())
	}()
	d := demo{pen: out, node: n, model: model, about: about, ready: time.Since(began)}
	if err := d.run(ctx, task); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	d.next(f.keep)
	return nil
}

// demo is one showing.
type demo struct {
	*pen
	node  *node
	model string // what the agent asks for
	about string // what stands behind it
	ready time.Duration
}

// run does what a client does, and shows it.
func (d *demo) run(ctx context.Context, task string) error {
	first, ok := d.node.app.FirstStart()
	if !ok {
		return errors.New("the temporary data folder was used before")
	}
	base := d.node.base
	c := client.New(base, first.Token, nil)
	d.line("\n  %s\n", d.strong("Reeve demo"))
	d.row(styleFaint, "model", d.about)
	for _, notice := range d.node.app.Notices() {
		label, text, found := strings.Cut(notice, ": ")
		if found && label == "sandbox" {
			d.row(styleFaint, label, text)
		}
	}
	d.row(styleFaint, "server", fmt.Sprintf("%s · ready in %s", base, duration(d.ready)))

	admin, err := client.Login(ctx, base, first.User.Email, first.Password, nil)
	if err != nil {
		return fmt.Errorf("log in over the OTAS API: %w", err)
	}
	made, err := admin.CreateAgent(ctx, core.FormatUUID(first.Project.ID), "Demo agent", "Shows what Reeve does", "Reeve")
	if err != nil {
		return fmt.Errorf("register the agent over the OTAS API: %w", err)
	}
	d.row(styleFaint, "agent", made.Agent.ID+" · registered over the OTAS API")
	d.row(styleFaint, "key", "agent_"+made.Key.Prefix+"_… · its own, shown once, kept as a hash")

	session, err := d.open(ctx, c, made.Agent.ID)
	if err != nil {
		return err
	}
	return d.watch(ctx, c, session, task)
}

// open gives the agent tools and a model over the managed API, where it is the same agent, and opens
// a session of it.
func (d *demo) open(ctx context.Context, c *client.Client, id string) (client.Session, error) {
	agent, err := c.Agent(ctx, id)
	if err != nil {
		return client.Session{}, fmt.Errorf("find the agent over the Claude Managed Agents API: %w", err)
	}
	agent, err = c.UpdateAgent(ctx, agent.ID, client.AgentParams{
		Version: agent.Version, Model: d.model, System: demoPrompt, Tools: []json.RawMessage{client.Toolset},
	})
	if err != nil {
		return client.Session{}, fmt.Errorf("give the agent its tools: %w", err)
	}
	env, err := c.CreateEnvironment(ctx, "demo")
	if err != nil {
		return client.Session{}, fmt.Errorf("create the environment: %w", err)
	}
	session, err := c.CreateSession(ctx, agent.ID, env.ID, "demo")
	if err != nil {
		return client.Session{}, fmt.Errorf("open the session: %w", err)
	}
	d.row(styleFaint, "session", "of the same "+agent.ID+" · over the Claude Managed Agents API")
	return session, nil
}

// watch sends the task and shows the stream until the session is idle.
func (d *demo) watch(ctx context.Context, c *client.Client, session client.Session, task string) error {
	stream, err := c.Stream(ctx, session.ID, "agent.message", "agent.thinking")
	if err != nil {
		return fmt.Errorf("open the event stream: %w", err)
	}
	defer func() { _ = stream.Close() }()
	d.line("")
	d.row(styleUser, "you", task)
	began := time.Now()
	if err := c.Send(ctx, session.ID, task); err != nil {
		return fmt.Errorf("send the task: %w", err)
	}
	s := newScreen(d.pen)
	last, err := stream.UntilIdle(s.show)
	s.endBlock()
	if err != nil {
		return err
	}
	if err := s.verdict(last); err != nil {
		return err
	}
	log, err := c.Events(ctx, session.ID)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	d.line("")
	d.row(styleGood, "done", fmt.Sprintf("in %s · %s · %s tokens in, %s out · %s in the log",
		duration(time.Since(began)), count(s.steps, "model call"), thousands(s.usage.InputTokens+s.usage.CacheReadTokens), thousands(s.usage.OutputTokens),
		count(len(log), "event")))
	return nil
}

// demoModel says what name the agent asks for, and what answers to it. A name given by the user
// belongs to the server of --model-url, if there is one.
func (p *program) demoModel(ctx context.Context, m *config.Models, wanted string) (name, about string, err error) {
	name = autoModel
	if wanted != "" {
		name = wanted
	}
	switch {
	case m.ModelURL != "":
		if wanted != "" {
			m.ModelName = wanted
		}
		if m.ModelName == "" {
			if m.ModelName, err = firstModel(ctx, *m); err != nil {
				return "", "", err
			}
		}
		return m.ModelName, m.ModelName + " at " + m.ModelURL, nil
	case m.AnthropicKey != "":
		about = "Anthropic, by ANTHROPIC_API_KEY"
	case m.OpenAIKey != "":
		about = "OpenAI, by OPENAI_API_KEY"
	default:
		return name, "the built-in demo model, because no key is set: a fixed plan, real tools", nil
	}
	if wanted != "" {
		about = wanted + " · " + about
	}
	return name, about, nil
}

// firstModel asks an OpenAI-compatible server what it serves, so that --model may be left out.
func firstModel(ctx context.Context, m config.Models) (string, error) {
	url := strings.TrimRight(m.ModelURL, "/") + "/models"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s for its models: %w", url, err)
	}
	if m.ModelKey != "" {
		req.Header.Set("Authorization", "Bearer "+m.ModelKey)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask %s for its models: %w", url, err)
	}
	defer func() { _ = res.Body.Close() }()
	var page struct{ Data []struct{ ID string } }
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 4<<20)).Decode(&page); err != nil || len(page.Data) == 0 {
		return "", usagef("%s does not say which models it has (status %d): name one with --model", url, res.StatusCode)
	}
	return page.Data[0].ID, nil
}

// next says where to go from here.
func (d *demo) next(kept bool) {
	reeve := "reeve"
	if strings.Contains(os.Args[0], "go-build") {
		reeve = "go run ./cmd/reeve"
	}
	d.line("\n  %s\n", d.strong("Where to go next"))
	rows := [][2]string{{reeve + " serve", "a server that keeps its data"}}
	if kept {
		rows = append(rows, [2]string{reeve + " serve --data " + d.node.data, "go on with what this demo made"})
	}
	rows = append(rows,
		[2]string{reeve + " demo 'your own task'", "with ANTHROPIC_API_KEY, OPENAI_API_KEY or --model-url set"},
		[2]string{"README.md", "the tour of every API, with curl"},
	)
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		d.line("    %s  %s", d.style(styleFlag, fmt.Sprintf("%-*s", width, r[0])), r[1])
	}
	d.line("")
}
