package managed

import (
	"encoding/json"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// agentChange reads the member agent of an update: what of the session's own copy of its agent is replaced. Nil:
// nothing.
func (o *object) agentChange(fl *Flavour) *session.AgentChange {
	a := o.object("agent")
	if a == nil {
		return nil
	}
	c := &session.AgentChange{}
	if sets, given := a.toolsets(fl); given {
		c.Tools = &sets
	}
	if servers, given := a.servers(); given {
		c.MCPServers = &servers
	}
	for _, name := range []string{"model", "system", "skills", "multiagent"} {
		if a.raw(name) != nil {
			a.fail(core.InvalidField(a.field(name), "cannot be changed in a session"))
		}
	}
	a.closed()
	return c
}

// updatedWire has what an update changed, and nothing else (CMA section 4.2).
type updatedWire struct {
	Agent    any               `json:"agent,omitempty"`
	Title    json.RawMessage   `json:"title,omitempty"`
	Metadata map[string]string `json:"metadata,omitzero"`
	Budget   json.RawMessage   `json:"budget,omitempty"`
	// EnvironmentVariables is only Qoder's. The log does not hold their values: these are the session's of now.
	EnvironmentVariables map[string]string `json:"environment_variables,omitzero"`
}

func writeUpdated(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.SessionUpdated](e)
	if err != nil {
		return nil, err
	}
	changed := func(part core.SessionPart) bool { return slices.Contains(m.Changed, part) }
	old := m.Changed == nil // written before entries said what changed
	var w updatedWire
	if old || changed(core.PartTitle) {
		w.Title = encode(m.Title)
	}
	if old || changed(core.PartMetadata) && len(m.Metadata) > 0 { // absent when it was cleared
		w.Metadata = metadata(m.Metadata)
	}
	if changed(core.PartBudget) {
		w.Budget = budgetOf(m.Budget)
	}
	if changed(core.PartEnvVars) && t.c.fl == Qoder {
		w.EnvironmentVariables = metadata(t.session.EnvVars)
	}
	if changed(core.PartAgent) && m.Agent != nil {
		s := t.session
		s.Snapshot = m.Agent
		if w.Agent, err = t.f.snapshotOf(t.c, t.f.teams(t.c), s); err != nil {
			return nil, err
		}
	}
	return w, nil
}
