package managed

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// agentPatch is the body of a create or an update: which members were there, and what they say.
type agentPatch struct {
	name, description, system httpio.Optional[string]
	model                     modelPatch
	tools                     []core.Toolset
	servers                   []core.MCPServer
	skills                    []core.SkillBinding
	roster                    *core.Roster
	metadata                  map[string]*string
	version                   int // update only; 0: absent

	toolsGiven, serversGiven, skillsGiven, rosterGiven bool
}

// agentPatch reads everything that both requests have. The caller must end the object.
func (o *object) agentPatch(fl *Flavour) agentPatch {
	p := agentPatch{
		name: read[string](o, "name"), model: o.modelPatch("model"),
		description: read[string](o, "description"), system: read[string](o, "system"),
	}
	p.tools, p.toolsGiven = o.toolsets(fl)
	p.servers, p.serversGiven = o.servers()
	p.skills, p.skillsGiven = o.skills()
	p.roster, p.rosterGiven = o.roster()
	p.metadata = o.patch("metadata")
	if fl.executionMember {
		o.executionIdentity()
	}
	return p
}

// executionIdentity takes the default, which is what every agent has here (the SDK's
// BetaAgentNewParams: omitted, null or {"type":"service_account"}).
func (o *object) executionIdentity() {
	if id := o.object("execution_identity"); id != nil && id.text("type") != "service_account" {
		o.fail(unsupported(id.field("type")))
	}
}

func (o *object) servers() (servers []core.MCPServer, given bool) {
	if o.raw("mcp_servers") == nil {
		return nil, false
	}
	for _, e := range o.objects("mcp_servers") {
		servers = append(servers, core.MCPServer{Type: e.text("type"), Name: e.text("name"), URL: e.text("url")})
		e.closed()
	}
	return servers, true
}

func (o *object) skills() (skills []core.SkillBinding, given bool) {
	if o.raw("skills") == nil {
		return nil, false
	}
	for _, e := range o.objects("skills") {
		skills = append(skills, core.SkillBinding{Type: e.text("type"), Skill: e.text("skill_id"), Version: e.text("version")})
		e.closed()
	}
	return skills, true
}

// apply changes a stored definition, or makes one from nothing. It may run more than once.
func (p agentPatch) apply(spec *core.AgentSpec, fl *Flavour) error {
	switch {
	case p.name.Null:
		return core.InvalidField("name", "cannot be cleared")
	case p.model.Null:
		return core.InvalidField("model", "cannot be cleared")
	}
	if p.name.Set {
		spec.Name = p.name.V
	}
	if p.model.Set {
		spec.Model = p.model.apply(spec.Model, fl)
	}
	if p.description.Set {
		spec.Description = p.description.V
	}
	if p.system.Set {
		spec.System = p.system.V
	}
	if p.toolsGiven {
		next := slices.Clone(p.tools)
		fl.keepUntold(spec.Tools, next)
		spec.Tools = next
	}
	if p.serversGiven {
		spec.MCPServers = p.servers
	}
	if p.skillsGiven {
		spec.Skills = p.skills
	}
	if p.rosterGiven {
		spec.Roster = p.roster
	}
	spec.Metadata = patched(spec.Metadata, p.metadata)
	return nil
}

// patched applies a patch to a copy of m.
func patched(m map[string]string, patch map[string]*string) map[string]string {
	if len(patch) == 0 {
		return m
	}
	next := make(map[string]string, len(m)+len(patch))
	for k, v := range m {
		next[k] = v
	}
	for k, v := range patch {
		if v == nil {
			delete(next, k)
		} else {
			next[k] = *v
		}
	}
	return next
}

// createAgent serves POST /agents (seed page 003; CMA section 3.1). With an Idempotency-Key the agent
// and the answer to its key are stored in one transaction.
func (f *Face) createAgent(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	p := o.agentPatch(c.fl)
	if p.name.Null || p.model.Null { // null is as good as absent here: it is what the catalogue calls missing
		p.name.Null, p.model.Null = false, false
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	var spec core.AgentSpec
	if err := p.apply(&spec, c.fl); err != nil {
		return reply{}, err
	}
	opts := catalog.CreateOptions{Limits: c.fl.limits}
	if c.once != nil {
		opts.ID = core.AgentID(c.once.record.Object)
		opts.InTx = func(ctx context.Context, tx core.Store, a core.Agent) error {
			return c.once.finish(ctx, tx, answer{status: c.fl.created, body: encode(f.agentWire(c.fl, a))})
		}
	}
	a, err := f.catalog.CreateAgent(c.Context(), c.by, spec, opts)
	if c.once != nil && core.CodeOf(err) == "agent_already_exists" { // an earlier try made it
		a, err = f.catalog.AgentVersion(c.Context(), c.by, opts.ID, 1)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, f.agentWire(c.fl, a)}, nil
}

// getAgent serves GET /agents/{agent}, with ?version= at that version.
func (f *Face) getAgent(c *call) (reply, error) {
	id, err := pathID[core.AgentID](c, "agent")
	if err != nil {
		return reply{}, err
	}
	var a core.Agent
	if c.query.Get("version") == "" {
		a, err = f.catalog.Agent(c.Context(), c.by, id)
	} else {
		version, bad := strconv.Atoi(c.query.Get("version"))
		if bad != nil || version < 1 {
			return reply{}, core.InvalidField("version", "must be an integer of at least 1")
		}
		a, err = f.catalog.AgentVersion(c.Context(), c.by, id, version)
	}
	if err != nil {
		return reply{}, named(err, "agent", c.PathValue("agent"))
	}
	return ok(f.agentWire(c.fl, a))
}

// updateAgent serves POST (and Qoder's PUT) /agents/{agent}.
func (f *Face) updateAgent(c *call) (reply, error) {
	id, err := pathID[core.AgentID](c, "agent")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	p := o.agentPatch(c.fl)
	if p.version = o.version(); p.version == 0 && c.fl.needsVersion {
		o.fail(core.InvalidField("version", "is required: the version that this update changes"))
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	a, err := f.catalog.UpdateAgent(c.Context(), c.by, id, catalog.UpdateOptions{Expect: p.version, Limits: c.fl.limits},
		func(spec *core.AgentSpec) error { return p.apply(spec, c.fl) })
	if err != nil {
		return reply{}, named(err, "agent", c.PathValue("agent"))
	}
	return ok(f.agentWire(c.fl, a))
}

// archiveAgent serves POST /agents/{agent}/archive.
func (f *Face) archiveAgent(c *call) (reply, error) {
	id, err := pathID[core.AgentID](c, "agent")
	if err != nil {
		return reply{}, err
	}
	a, err := f.catalog.ArchiveAgent(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "agent", c.PathValue("agent"))
	}
	return ok(f.agentWire(c.fl, a))
}

// listAgents serves GET /agents.
func (f *Face) listAgents(c *call) (reply, error) {
	w, err := c.window(agentList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.AgentID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("agent", spelled)
		}
		a, err := f.catalog.Agent(c.Context(), c.by, id)
		return cursor{at: a.CreatedAt.UnixMicro(), id: string(a.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	created, err := c.query.span("created_at")
	if err != nil {
		return reply{}, err
	}
	archived, err := c.query.flag("include_archived")
	if err := errors.Join(err, w.within(created)); err != nil {
		return reply{}, err
	}
	q := core.AgentPage{Limit: w.fetch(), Ascending: w.asc, IncludeArchived: archived}
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	agents, err := f.catalog.Agents(c.Context(), c.by, q)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(agents, func(a core.Agent) entry {
		return entry{at: a.CreatedAt.UnixMicro(), id: string(a.ID), wire: agentPrefix + string(a.ID), body: f.agentWire(c.fl, a)}
	})))
}

// listVersions serves GET /agents/{agent}/versions. Versions are numbered without gaps, so a page is a
// range of numbers.
func (f *Face) listVersions(c *call) (reply, error) {
	id, err := pathID[core.AgentID](c, "agent")
	if err != nil {
		return reply{}, err
	}
	newest, err := f.catalog.Agent(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "agent", c.PathValue("agent"))
	}
	w, err := c.window(versionList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		v, err := strconv.Atoi(spelled) // the cursor of this list is a version number (qoder.md section 2.6)
		if err != nil || v < 1 || v > newest.Version {
			return cursor{}, core.NotFoundError("version", spelled)
		}
		return cursor{at: int64(v)}, nil
	})
	if err != nil {
		return reply{}, err
	}
	first, last := w.versions(newest.Version)
	var versions []core.Agent
	if first <= last {
		if versions, err = f.catalog.AgentVersions(c.Context(), c.by, id, last+1, last-first+1); err != nil {
			return reply{}, named(err, "agent", c.PathValue("agent"))
		}
	}
	if w.asc {
		slices.Reverse(versions)
	}
	return ok(w.envelope(each(versions, func(a core.Agent) entry {
		return entry{at: int64(a.Version), wire: strconv.Itoa(a.Version), body: f.agentWire(c.fl, a)}
	})))
}

// versions works out the range of version numbers of a page; first > last: none.
func (w window) versions(newest int) (first, last int) {
	switch {
	case w.from == nil && w.asc:
		return 1, min(newest, w.fetch())
	case w.from == nil:
		return max(1, newest-w.fetch()+1), newest
	}
	at := int(w.from.at)
	if w.asc != w.from.back { // upwards from the cursor
		return at + 1, min(newest, at+w.fetch())
	}
	return max(1, at-w.fetch()), min(newest, at-1)
}

// agentWire is an agent on the wire.
type agentWire struct {
	Type              string             `json:"type"`
	ID                string             `json:"id"`
	Name              string             `json:"name"`
	Description       any                `json:"description"`
	Model             any                `json:"model"`
	System            any                `json:"system"`
	Tools             []any              `json:"tools"`
	MCPServers        []core.MCPServer   `json:"mcp_servers"`
	Skills            []skillBindingWire `json:"skills"`
	Metadata          map[string]string  `json:"metadata"`
	Multiagent        any                `json:"multiagent"`
	ExecutionIdentity json.RawMessage    `json:"execution_identity,omitempty"`
	Version           int                `json:"version"`
	Archived          *bool              `json:"archived,omitempty"`
	ArchivedAt        any                `json:"archived_at"`
	CreatedAt         string             `json:"created_at"`
	UpdatedAt         string             `json:"updated_at"`
}

// skillBindingWire is a skill that an agent uses, at the version that was fixed when the agent was saved.
type skillBindingWire struct {
	Type    string `json:"type"`
	SkillID string `json:"skill_id"`
	Version string `json:"version,omitempty"`
}

func (f *Face) agentWire(fl *Flavour, a core.Agent) agentWire {
	return agentWire{
		Type: "agent", ID: agentPrefix + string(a.ID), Name: a.Name, Description: fl.text(a.Description),
		Model: f.modelWire(fl, a.Model), System: fl.text(a.System), Tools: fl.toolsetsWire(a.Tools),
		MCPServers: list(a.MCPServers), Skills: fl.skillsWire(a.Skills), Metadata: metadata(a.Metadata),
		Multiagent: f.rosterWire(fl, a), ExecutionIdentity: fl.executionIdentity(), Version: a.Version,
		Archived: fl.archived(a.ArchivedAt), ArchivedAt: maybeTime(a.ArchivedAt),
		CreatedAt: timestamp(a.CreatedAt), UpdatedAt: timestamp(a.UpdatedAt),
	}
}

func (fl *Flavour) skillsWire(skills []core.SkillBinding) []skillBindingWire {
	return each(skills, func(b core.SkillBinding) skillBindingWire {
		w := skillBindingWire{Type: b.Type, SkillID: b.Skill, Version: b.Version}
		if b.Type == core.SkillCustom {
			w.SkillID = skillPrefix + b.Skill
		}
		return w
	})
}

// executionIdentity is as whom an agent runs. Clients that know the member want it always there, and no
// agent has one that a customer named.
func (fl *Flavour) executionIdentity() json.RawMessage {
	if fl.executionMember {
		return json.RawMessage(`{"type":"service_account"}`)
	}
	return nil
}

func (fl *Flavour) archived(at time.Time) *bool {
	if !fl.archivedFlag {
		return nil
	}
	archived := !at.IsZero()
	return &archived
}
