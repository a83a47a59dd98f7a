package everruns

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// createAgent serves POST /agents: 201, or 200 when the client's id names an agent that is there
// already and is updated in place (seed page 002, everruns.md section 3.1).
func (f *Face) createAgent(c call) (answer, error) {
	raw, err := httpio.ReadBody(c.w, c.Request, maxBody)
	if err != nil {
		return answer{}, err
	}
	var in agentRequest
	if err := httpio.Decode(raw, &in, httpio.IgnoreUnknown); err != nil {
		return answer{}, err
	}
	spec, err := f.agentSpec(in)
	if err != nil {
		return answer{}, err
	}
	opts := catalog.CreateOptions{Limits: catalog.EverrunsLimits, Merge: mergeInto(in)}
	if in.ID != nil {
		if !agentIDPattern.MatchString(*in.ID) {
			return answer{}, core.InvalidField("id", "must be agent_ and 32 lower-case hex digits")
		}
		opts.ID = core.AgentID(strings.TrimPrefix(*in.ID, "agent_"))
	}
	a, created, err := f.catalog.PutAgent(c.Context(), c.by, spec, opts)
	if err != nil {
		return answer{}, err
	}
	if created {
		return answer{http.StatusCreated, agentOf(a)}, nil
	}
	return answer{http.StatusOK, agentOf(a)}, nil
}

// agentSpec translates a request. Name and system_prompt must be there; an empty prompt is allowed.
func (f *Face) agentSpec(in agentRequest) (core.AgentSpec, error) {
	if in.Name == nil {
		return core.AgentSpec{}, core.InvalidField("name", "is required")
	}
	if in.SystemPrompt == nil {
		return core.AgentSpec{}, core.InvalidField("system_prompt", "is required")
	}
	capabilities, err := readCapabilities(in.Capabilities.V)
	if err != nil {
		return core.AgentSpec{}, err
	}
	return core.AgentSpec{
		Name:         *in.Name,
		DisplayName:  text(in.DisplayName),
		Description:  text(in.Description),
		System:       *in.SystemPrompt,
		Model:        core.ModelChoice{ID: f.modelName(in)},
		Capabilities: capabilities,
		Tags:         in.Tags,
	}, nil
}

// modelName finds the name behind default_model_id, which is a model_ id or a name. An id that is not
// that of a name stays as it is: the catalogue knows the ids of the published examples, and refuses others. Empty: none was given.
func (f *Face) modelName(in agentRequest) string {
	given := text(in.DefaultModelID)
	if in.DefaultModelID == nil {
		var alias string
		if json.Unmarshal(in.Model, &alias) == nil { // anything but a string is an unknown member like others
			given = alias
		}
	}
	if digits, isID := strings.CutPrefix(given, "model_"); isID {
		if m, ok := f.models.ModelByID(digits); ok && core.ModelID(m.Name) == digits {
			return m.Name
		}
	}
	return given
}

// mergeInto says how a request changes an agent that is there already. As upstream does it, the
// request replaces everything that this dialect can say, but capabilities and the model only when it
// names some: another dialect may need the model that it set.
// What other dialects can say stays: tools, MCP servers, skills, metadata, the model's settings.
func mergeInto(in agentRequest) func(stored *core.AgentSpec, given core.AgentSpec) {
	return func(stored *core.AgentSpec, given core.AgentSpec) {
		stored.Name, stored.DisplayName, stored.Description = given.Name, given.DisplayName, given.Description
		stored.System, stored.Tags = given.System, given.Tags
		if in.Capabilities.Set && !in.Capabilities.Null {
			stored.Capabilities = given.Capabilities
		}
		// The id that this face showed for the agent's own model means that model, even if it is one
		// that the catalogue cannot find by id.
		if given.Model.ID != "" && given.Model.ID != stored.Model.ID && given.Model.ID != "model_"+core.ModelID(stored.Model.ID) {
			stored.Model = given.Model
		}
	}
}

// getAgent serves GET /agents/{id or name} (everruns.md section 3.1).
func (f *Face) getAgent(c call) (answer, error) {
	given := c.PathValue("agent")
	a, err := f.agentAt(c, given)
	if core.CodeOf(err) == "agent_not_found" {
		return answer{}, core.NotFoundError("agent", given)
	}
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, agentOf(a)}, nil
}

func (f *Face) agentAt(c call, given string) (core.Agent, error) {
	if id, ok := core.ParseID[core.AgentID](given); ok {
		return f.catalog.Agent(c.Context(), c.by, id)
	}
	a, err := f.catalog.AgentByName(c.Context(), c.by, given)
	if err != nil && core.KindOf(err) == core.NotFound && strings.HasPrefix(given, "agent_") {
		return a, core.InvalidField("agent_id", "must be agent_ and 32 lower-case hex digits, or the name of an agent")
	}
	return a, err
}

// Pages of lists (everruns.md section 3.0).
const (
	defaultLimit = 20
	mostLimit    = 100
)

// listAgents serves GET /agents, newest first.
func (f *Face) listAgents(c call) (answer, error) {
	query := c.URL.Query()
	page := core.AgentPage{Search: query.Get("search"), Limit: defaultLimit}
	var err error
	if s := query.Get("include_archived"); s != "" {
		if page.IncludeArchived, err = strconv.ParseBool(s); err != nil {
			return answer{}, core.InvalidField("include_archived", "must be true or false")
		}
	}
	if s := query.Get("offset"); s != "" {
		if page.Offset, err = strconv.Atoi(s); err != nil || page.Offset < 0 {
			return answer{}, core.InvalidField("offset", "must be a whole number, 0 or more")
		}
	}
	if s := query.Get("limit"); s != "" {
		if page.Limit, err = strconv.Atoi(s); err != nil || page.Limit < 1 {
			return answer{}, core.InvalidField("limit", "must be a whole number from 1 to %d", mostLimit)
		}
		page.Limit = min(page.Limit, mostLimit)
	}
	agents, err := f.catalog.Agents(c.Context(), c.by, page)
	if err != nil {
		return answer{}, err
	}
	total, err := f.catalog.CountAgents(c.Context(), c.by, page)
	if err != nil {
		return answer{}, err
	}
	data := make([]agentBody, len(agents))
	for i, a := range agents {
		data[i] = agentOf(a)
	}
	return answer{http.StatusOK, agentList{Data: data, Agents: data, Total: total, Offset: page.Offset, Limit: page.Limit}}, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
