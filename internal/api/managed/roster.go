package managed

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// roster reads the member multiagent. given is false if it is absent; a nil roster means null.
func (o *object) roster() (r *core.Roster, given bool) {
	if o.raw("multiagent") == nil {
		return nil, false
	}
	m := o.object("multiagent")
	if m == nil {
		return nil, true
	}
	switch kind := m.text("type"); kind {
	case "coordinator":
	case "multiagent_20261001":
		m.fail(unsupported(m.field("type") + ` "` + kind + `"`))
	default:
		m.fail(core.InvalidField(m.field("type"), `must be "coordinator"`))
	}
	r = &core.Roster{Members: []core.RosterMember{}}
	for i, e := range m.items("agents", true) {
		r.Members = append(r.Members, m.member(fmt.Sprintf("%s[%d]", m.field("agents"), i), e))
	}
	m.closed()
	return r, true
}

// member reads one entry: an agent's id, {type:"agent",id,version?}, {type:"self"} or
// {type:"advisor",model}.
func (o *object) member(at string, e item) core.RosterMember {
	if e.object == nil {
		return core.RosterMember{Kind: core.RosterAgent, Agent: o.agentID(at, e.text)}
	}
	m := core.RosterMember{Kind: core.RosterKind(e.object.text("type"))}
	switch m.Kind {
	case core.RosterAgent:
		if id := e.object.text("id"); id != "" {
			m.Agent = o.agentID(e.field("id"), id)
		}
		m.Version = e.version()
	case core.RosterAdvisor:
		if p := e.modelPatch("model"); p.V != "" {
			choice := p.apply(core.ModelChoice{}, Claude)
			m.Model = &choice
		}
	}
	e.closed()
	return m
}

// agentID reads a reference to an agent. One that no agent can have is as wrong as one that no agent
// has, and gets the same answer: 400, because the request is about something else.
func (o *object) agentID(field, spelled string) core.AgentID {
	id, ok := core.ParseID[core.AgentID](spelled)
	if !ok {
		o.fail(core.InvalidField(field, "there is no agent %q", spelled))
	}
	return id
}

// version reads an optional version number; 0 if it is absent or null.
func (o *object) version() int {
	v := read[int](o, "version")
	if v.Set && !v.Null && v.V < 1 {
		o.fail(core.InvalidField(o.field("version"), "must be at least 1"))
	}
	return v.V
}

// rosterWire is a coordinator's team.
type rosterWire struct {
	Type   string `json:"type"`
	Agents []any  `json:"agents"`
}

type agentReference struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Version int    `json:"version"`
}

// rosterWire writes the roster of an agent; nil is null. The Claude wire has no entry for the agent
// itself: it names it by its own id and version.
func (f *Face) rosterWire(fl *Flavour, a core.Agent) any {
	if a.Roster == nil {
		return nil
	}
	w := rosterWire{Type: "coordinator", Agents: []any{}}
	for _, m := range a.Roster.Members {
		switch {
		case m.Kind == core.RosterAdvisor:
			w.Agents = append(w.Agents, advisorWire(m))
		case m.Kind == core.RosterAgent:
			w.Agents = append(w.Agents, agentReference{"agent", agentPrefix + string(m.Agent), m.Version})
		case fl.selfEntry:
			w.Agents = append(w.Agents, map[string]string{"type": "self"})
		default:
			w.Agents = append(w.Agents, agentReference{"agent", agentPrefix + string(a.ID), a.Version})
		}
	}
	return w
}

func advisorWire(m core.RosterMember) any {
	model := ""
	if m.Model != nil {
		model = m.Model.ID
	}
	return map[string]string{"type": "advisor", "model": model}
}

// teams reads the members of rosters for sessions, whose snapshot shows them in full (CMA section 3.4).
// Versions never change, so that reading them late shows what was frozen. It is made for one request.
type teams struct {
	f    *Face
	c    *call
	read map[agentVersion]core.Agent
}

type agentVersion struct {
	id      core.AgentID
	version int
}

func (f *Face) teams(c *call) *teams {
	return &teams{f: f, c: c, read: map[agentVersion]core.Agent{}}
}

func (t *teams) agent(ctx context.Context, id core.AgentID, version int) (core.Agent, error) {
	key := agentVersion{id, version}
	if a, ok := t.read[key]; ok {
		return a, nil
	}
	var a core.Agent
	var err error
	by := t.c.by
	if by.IsWorker() { // it may read the session, and these are part of it
		by = core.Principal{Kind: by.Kind, Project: by.Project, Role: core.RoleViewer}
	}
	if version > 0 {
		a, err = t.f.catalog.AgentVersion(ctx, by, id, version)
	} else {
		a, err = t.f.catalog.Agent(ctx, by, id)
	}
	if err != nil {
		return a, &core.Error{Err: fmt.Errorf("read agent %s of a session: %w", id, err)} // Internal: it was there
	}
	t.read[key] = a
	return a, nil
}
