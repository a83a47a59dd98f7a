package turn

import (
	"context"
	"encoding/json"

	"github.com/reeve-ai/reeve/internal/core"
)

var listAgentsSpec = core.ToolSpec{
	Name: "list_agents",
	Description: "Lists the agents of your team that spawn_agent can start, and the threads of those that were started, " +
		"with the status of each: running, idle (done; send_to_agent gives it more work), waiting (for the user's answer), or rescheduling.",
	InputSchema: json.RawMessage(`{"type":"object","properties":{}}`),
}

type listedAgent struct {
	Agent       string `json:"agent"`
	Description string `json:"description,omitempty"`
}

type listedThread struct {
	Thread string `json:"thread"`
	Agent  string `json:"agent"`
	Status string `json:"status"`
}

// listAgents answers list_agents.
func listAgents(_ context.Context, v *run, _ core.Store, _ json.RawMessage) ([]core.Draft, core.ToolOutput, error) {
	list := struct {
		Agents  []listedAgent  `json:"agents"`
		Threads []listedThread `json:"threads"`
	}{[]listedAgent{}, []listedThread{}}
	mates, _ := matesOf(v.book.Session())
	for _, m := range mates {
		list.Agents = append(list.Agents, listedAgent{m.name, m.spec.Description})
	}
	for _, t := range v.book.Open() {
		if t.Parent == "" || t.Kind == core.RosterAdvisor {
			continue
		}
		status := string(t.Status)
		if t.Waits() {
			status = "waiting"
		}
		list.Threads = append(list.Threads, listedThread{threadPrefix + string(t.ID), t.Name, status})
	}
	text, err := json.Marshal(list)
	return nil, core.ToolOutput{Content: core.Text(string(text))}, err
}
