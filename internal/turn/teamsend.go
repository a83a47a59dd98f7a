package turn

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

var sendToAgentSpec = core.ToolSpec{
	Name: "send_to_agent",
	Description: "Sends a message to an agent that was started before. It still knows its conversation with you. If it runs, it reads the message " +
		"with its next step; if it is idle, it starts to work again. Its answer comes to you as a message.",
	InputSchema: json.RawMessage(`{"type":"object","properties":{` +
		`"thread":{"type":"string","description":"The agent's thread, as spawn_agent returned it or list_agents shows it"},` +
		`"message":{"type":"string","description":"What to tell it"}},"required":["thread","message"]}`),
}

// sendToAgent answers send_to_agent.
func sendToAgent(ctx context.Context, v *run, tx core.Store, input json.RawMessage) ([]core.Draft, core.ToolOutput, error) {
	var in struct {
		Thread  string `json:"thread"`
		Message string `json:"message"`
	}
	for _, no := range []*core.ToolOutput{readInput(input, &in), lacks("thread", in.Thread), lacks("message", in.Message)} {
		if no != nil {
			return nil, *no, nil
		}
	}
	id, _ := core.ParseID[core.ThreadID](in.Thread)
	t, open := v.book.Thread(id)
	if !open || t.Parent == "" || t.Kind == core.RosterAdvisor {
		return nil, refusal("Not run: there is no thread %q that takes messages. list_agents shows them.", in.Thread), nil
	}
	if !t.Live() && !t.Waits() {
		if no := v.full(); no != nil {
			return nil, *no, nil
		}
	}
	drafts := v.hand(t, in.Message)
	woken, err := v.wake(ctx, tx, t.ID)
	return append(drafts, woken...), core.ToolOutput{Content: core.Text(fmt.Sprintf("Sent to %s in thread %s%s.", t.Name, threadPrefix, t.ID))}, err
}
