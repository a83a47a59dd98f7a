package otas

import (
	"context"
	"net/http"

	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// createAgent serves POST /api/agent/v1/create/ (seed page 000). The agent and its first key are made
// in one transaction.
func (f *Face) createAgent(c *call) (reply, error) {
	spec, err := c.newAgent()
	if err != nil {
		return reply{}, err
	}
	var plain string
	var key core.Credential
	a, err := f.agents.CreateAgent(c.r.Context(), c.by, spec, catalog.CreateOptions{
		Limits: catalog.OtasLimits,
		InTx: func(ctx context.Context, tx core.Store, a core.Agent) error {
			plain, key = f.identity.NewAgentKey(a, c.by)
			return tx.CreateCredential(ctx, key)
		},
	})
	if err != nil {
		return reply{}, err
	}
	first := newKeyOf(plain, key)
	first.AgentID = core.FormatUUID(a.ID)
	return reply{http.StatusCreated, "agent_created", "response", struct {
		Agent createdAgent `json:"agent"`
		Key   newKey       `json:"agent_key"`
	}{createdAgentOf(a), first}}, nil
}

// newAgent reads the body. What is missing or blank, the catalog refuses. A description of null
// counts as none: the original stumbles over it.
func (c *call) newAgent() (core.AgentSpec, error) {
	body, err := c.object()
	if err != nil {
		return core.AgentSpec{}, err
	}
	var spec core.AgentSpec
	if err := body.texts(map[string]*string{"agent_name": &spec.Name, "agent_provider": &spec.Provider}); err != nil {
		return core.AgentSpec{}, err
	}
	description, err := body.text("agent_description")
	spec.Description = description.V
	return spec, err
}

// agentsAtOnce is how many agents are read and matched with their keys at a time: definitions may be
// large, and all but their names is dropped at once.
const agentsAtOnce = 200

// listAgents serves GET /api/agent/v1/list/ (seed page 004): active agents, newest first, with those of
// their keys that work.
func (f *Face) listAgents(c *call) (reply, error) {
	ctx := c.r.Context()
	list := []listedAgent{}
	page := core.AgentPage{Limit: agentsAtOnce, ActiveOnly: true}
	for {
		agents, err := f.agents.Agents(ctx, c.by, page)
		if err != nil {
			return reply{}, err
		}
		ids := make([]core.AgentID, 0, len(agents))
		for _, a := range agents {
			ids = append(ids, a.ID)
		}
		keys, err := f.identity.AgentKeys(ctx, c.by, ids)
		if err != nil {
			return reply{}, err
		}
		for _, a := range agents {
			list = append(list, listedAgentOf(a, keys[a.ID]))
		}
		if len(agents) < page.Limit {
			break
		}
		last := agents[len(agents)-1]
		page.After = &core.PageKey{CreatedAt: last.CreatedAt, ID: string(last.ID)}
	}
	return reply{http.StatusOK, "agents_listed", "response", struct {
		ProjectID string        `json:"project_id"`
		Agents    []listedAgent `json:"agents"`
	}{core.FormatUUID(c.by.Project), list}}, nil
}
