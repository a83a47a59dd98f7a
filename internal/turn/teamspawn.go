package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/thread"
)

// spawnAgentSpec names the team in the schema, so that a model need not ask for it first.
func spawnAgentSpec(mates []mate) core.ToolSpec {
	text := strings.Builder{}
	text.WriteString("Starts an agent of your team on a task, in a new thread of its own, and returns the thread's id at once. " +
		"The agent sees nothing but your message, so say in it all that it needs. It runs beside you, and its answer comes to you as a message. " +
		"Several agents may run at one time. For more work of an agent that knows the matter already use send_to_agent. The agents:")
	names := make([]string, len(mates))
	for i, m := range mates {
		names[i] = m.name
		text.WriteString("\n- " + m.name)
		switch {
		case m.Kind == core.RosterSelf:
			text.WriteString(": another one like you, without a team")
		case m.spec.Description != "":
			text.WriteString(": " + m.spec.Description)
		}
	}
	schema, err := json.Marshal(map[string]any{
		"type": "object",
		"properties": map[string]any{
			"agent":   map[string]any{"type": "string", "enum": names, "description": "Which agent to start"},
			"message": map[string]any{"type": "string", "description": "The task, with everything that the agent needs to know"},
		},
		"required": []string{"agent", "message"},
	})
	if err != nil {
		panic(fmt.Sprintf("turn: schema of spawn_agent: %v", err)) // texts always marshal
	}
	return core.ToolSpec{Name: "spawn_agent", Description: text.String(), InputSchema: schema}
}

// spawnAgent answers spawn_agent: the thread, its message, its turn and the answer are one transaction.
func spawnAgent(ctx context.Context, v *run, tx core.Store, input json.RawMessage) ([]core.Draft, core.ToolOutput, error) {
	var in struct {
		Agent   string `json:"agent"`
		Message string `json:"message"`
	}
	for _, no := range []*core.ToolOutput{readInput(input, &in), lacks("agent", in.Agent), lacks("message", in.Message)} {
		if no != nil {
			return nil, *no, nil
		}
	}
	mates, _ := matesOf(v.book.Session())
	i := slices.IndexFunc(mates, func(m mate) bool { return strings.EqualFold(m.name, strings.TrimSpace(in.Agent)) })
	if i < 0 {
		return nil, refusal("Not run: your team has no agent named %q. list_agents names them.", in.Agent), nil
	}
	if no := v.full(); no != nil {
		return nil, *no, nil
	}
	if len(v.book.Open()) >= thread.MaxOpen {
		return nil, refusal("Not run: the session has %d threads, which is the most. Give one that is idle more work, with send_to_agent.", thread.MaxOpen), nil
	}
	m := mates[i]
	t := core.Thread{ID: core.NewID[core.ThreadID](), Kind: m.Kind, Agent: m.Agent, AgentVersion: m.Version, Name: m.spec.Name, Spec: &m.spec}
	drafts, err := v.book.Create(ctx, t, v.t.turn)
	if err != nil {
		return nil, core.ToolOutput{}, err
	}
	drafts = append(drafts, v.hand(t, in.Message)...)
	woken, err := v.wake(ctx, tx, t.ID)
	return append(drafts, woken...), core.ToolOutput{Content: core.Text(fmt.Sprintf(
		"Started %s in thread %s%s. Its answer will come to you as a message.", m.name, threadPrefix, t.ID))}, err
}

// full is the refusal of one more running thread, or nil (claude-managed-agents.md section 6.1).
func (v *run) full() *core.ToolOutput {
	if v.book.Busy() < core.MaxThreads {
		return nil
	}
	out := refusal("Not run: %d agents run or wait at this time, which is the most. Wait for one of them to answer.", core.MaxThreads)
	return &out
}
