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
// their keys that are neither revoked nor expired. With include_inactive, which is Reeve's own, also agents that are
// deactivated; archived ones never.
func (f *Face) listAgents(c *call) (reply, error) {
	ctx := c.r.Context()
	inactive, err := flag(c.r.URL.Query(), "include_inactive")
	if err != nil {
		return reply{}, err
	}
	list := []listedAgent{}
	page := core.AgentPage{Limit: agentsAtOnce, ActiveOnly: !inactive}
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

// liveAgent finds an agent that is active and not archived. Unknown, foreign, malformed and switched off
// are all NotFound.
func (f *Face) liveAgent(c *call, given string) (core.Agent, error) {
	id, ok := core.ParseID[core.AgentID](given)
	if !ok {
		return core.Agent{}, core.NotFoundError("agent", given)
	}
	a, err := f.agents.Agent(c.r.Context(), c.by, id)
	if err != nil {
		return core.Agent{}, err
	}
	if !a.Active || !a.ArchivedAt.IsZero() {
		return core.Agent{}, core.NotFoundError("agent", given)
	}
	return a, nil
}

// mayReadAgent serves POST /api/agent/v1/user/authenticate/ (reference 3.20). The body is not read. A
// malformed id, at which the original fails with 500, is not found (section 8, C7).
func (f *Face) mayReadAgent(c *call) (reply, error) {
	given := c.r.Header.Get(headerAgent)
	if given == "" {
		return reply{}, errMissingAgentID
	}
	a, err := f.liveAgent(c, given)
	if err != nil {
		return reply{}, err
	}
	type agent struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		ProjectID string `json:"project_id"`
	}
	return reply{http.StatusOK, "authenticated", "", struct {
		Agent agent `json:"agent"`
	}{agent{core.FormatUUID(a.ID), a.Name, core.FormatUUID(a.Project)}}}, nil
}

// deactivateAgent serves POST /api/agent/v1/deactivate/. The agent's keys and the tokens of its sessions are
// refused until it is reactivated.
func (f *Face) deactivateAgent(c *call) (reply, error) {
	return f.switchAgent(c, "agent_deactivated", f.agents.DeactivateAgent)
}

// reactivateAgent serves POST /api/agent/v1/reactivate/.
func (f *Face) reactivateAgent(c *call) (reply, error) {
	return f.switchAgent(c, "agent_reactivated", f.agents.ReactivateAgent)
}

func (f *Face) switchAgent(c *call, done string, set func(context.Context, core.Principal, core.AgentID) (core.Agent, error)) (reply, error) {
	given, err := c.givenID("agent_id")
	if err != nil {
		return reply{}, err
	}
	id, ok := core.ParseID[core.AgentID](given)
	if !ok {
		return reply{}, core.NotFoundError("agent", given)
	}
	a, err := set(c.r.Context(), c.by, id)
	if err != nil {
		return reply{}, err
	}
	type agent struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		IsActive bool   `json:"is_active"`
	}
	return reply{http.StatusOK, done, "response", struct {
		Agent agent `json:"agent"`
	}{agent{core.FormatUUID(a.ID), a.Name, a.Active}}}, nil
}
