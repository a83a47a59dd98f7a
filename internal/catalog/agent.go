package catalog

import (
	"context"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// CreateOptions are what a face adds to the definition of a new agent.
type CreateOptions struct {
	ID     core.AgentID // supplied by the client; empty: made
	Limits Limits
	// Upsert updates an agent that has the ID already instead of refusing with Conflict.
	Upsert bool
	// Merge is how an Upsert changes a stored definition; nil replaces the whole of it. A dialect
	// that cannot express every part copies only those it can. It may be called more than once.
	Merge func(stored *core.AgentSpec, given core.AgentSpec)
	// InTx runs in the transaction that makes the agent, after it was stored, and undoes it by an
	// error. It is not called when Upsert finds the agent. It may be called more than once.
	InTx func(ctx context.Context, tx core.Store, a core.Agent) error
}

// CreateAgent registers an agent at version 1.
//
// Errors: Forbidden (below admin); Invalid, naming the field; Conflict ("agent_already_exists") for a
// taken ID, but with Upsert: Invalid ("agent_archived").
func (s *Service) CreateAgent(ctx context.Context, by core.Principal, spec core.AgentSpec, opts CreateOptions) (core.Agent, error) {
	a, _, err := s.put(ctx, by, spec, opts)
	return a, err
}

// PutAgent is CreateAgent with Upsert, and reports whether the agent is new.
func (s *Service) PutAgent(ctx context.Context, by core.Principal, spec core.AgentSpec, opts CreateOptions) (a core.Agent, created bool, err error) {
	opts.Upsert = true
	return s.put(ctx, by, spec, opts)
}

func (s *Service) put(ctx context.Context, by core.Principal, spec core.AgentSpec, opts CreateOptions) (a core.Agent, created bool, err error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Agent{}, false, err
	}
	if opts.ID == "" {
		opts.ID, opts.Upsert = core.NewID[core.AgentID](), false
	} else if id, ok := core.ParseID[core.AgentID](string(opts.ID)); !ok || id != opts.ID {
		return core.Agent{}, false, core.InvalidField("id", "must be 32 lower-case hex digits behind its prefix")
	}
	if !opts.Upsert {
		a, err = s.create(ctx, by, spec, opts)
		return a, true, err
	}
	// Two callers may both find nothing and both create; the one that comes second tries again and
	// finds what the first one made.
	for range 2 {
		a, err = s.update(ctx, by, opts.ID, UpdateOptions{Limits: opts.Limits}, func(stored *core.AgentSpec) error {
			if opts.Merge == nil {
				*stored = spec
			} else {
				opts.Merge(stored, spec)
			}
			return nil
		})
		if core.KindOf(err) != core.NotFound {
			return a, false, err
		}
		if a, err = s.create(ctx, by, spec, opts); err == nil || core.CodeOf(err) != "agent_already_exists" {
			return a, true, err
		}
	}
	return core.Agent{}, false, err
}

func (s *Service) create(ctx context.Context, by core.Principal, spec core.AgentSpec, opts CreateOptions) (core.Agent, error) {
	spec.Roster = keptRoster(opts.ID, spec.Roster)
	if err := s.check(&spec, opts.Limits, allParts); err != nil {
		return core.Agent{}, err
	}
	var a core.Agent
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		now := s.clock()
		a = core.Agent{
			Project: by.Project, ID: opts.ID, Version: 1, AgentSpec: spec, Active: true,
			CreatedBy: by.User, CreatedAt: now, UpdatedAt: now, VersionMadeAt: now,
		}
		if a.AgentSpec, err = s.pinRoster(ctx, tx, by.Project, spec); err != nil {
			return err
		}
		if a.Skills, err = s.PinSkills(ctx, tx, by.Project, spec.Skills); err != nil {
			return err
		}
		if err := tx.CreateAgent(ctx, a); err != nil {
			return err
		}
		if opts.InTx == nil {
			return nil
		}
		return opts.InTx(ctx, tx, a)
	})
	if err != nil {
		return core.Agent{}, err
	}
	return a, nil
}

// Agent returns an agent's newest version. Errors: Forbidden; NotFound.
func (s *Service) Agent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Agent{}, err
	}
	return s.store.Agent(ctx, by.Project, id)
}

// AgentByName returns the agent with exactly this name: names are not unique, so the newest one that
// is not archived, else the newest archived one. Errors: Forbidden; NotFound.
func (s *Service) AgentByName(ctx context.Context, by core.Principal, name string) (core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Agent{}, err
	}
	if checkSearch(name) != nil || name == "" {
		return core.Agent{}, core.NotFoundError("agent", name) // no agent can be called so
	}
	for _, archived := range []bool{false, true} {
		page := core.AgentPage{Limit: maxPage, Search: name, IncludeArchived: archived}
		for {
			found, err := s.store.Agents(ctx, by.Project, page)
			if err != nil {
				return core.Agent{}, err
			}
			for _, a := range found {
				if a.Name == name {
					return a, nil
				}
			}
			if len(found) < page.Limit {
				break
			}
			last := found[len(found)-1]
			page.After = &core.PageKey{CreatedAt: last.CreatedAt, ID: string(last.ID)}
		}
	}
	return core.Agent{}, core.NotFoundError("agent", name)
}

// AgentVersion returns an agent at one version, 1 or higher. Errors: Forbidden; Invalid; NotFound.
func (s *Service) AgentVersion(ctx context.Context, by core.Principal, id core.AgentID, version int) (core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Agent{}, err
	}
	if version < 1 {
		return core.Agent{}, core.InvalidField("version", "must be at least 1")
	}
	if _, err := s.store.Agent(ctx, by.Project, id); err != nil {
		return core.Agent{}, err
	}
	a, err := s.store.AgentVersion(ctx, by.Project, id, version)
	if core.KindOf(err) == core.NotFound {
		return core.Agent{}, core.Errorf(core.NotFound, "agent_version_not_found", "the agent has no version %d", version)
	}
	return a, err
}

// AgentVersions lists versions below before (0: all), newest first. Errors: Forbidden; Invalid
// (limit outside of 1 to 1000); NotFound.
func (s *Service) AgentVersions(ctx context.Context, by core.Principal, id core.AgentID, before, limit int) ([]core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if before < 0 {
		return nil, core.InvalidField("version", "must be at least 1")
	}
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	versions, err := s.store.AgentVersions(ctx, by.Project, id, before, limit)
	if err != nil || len(versions) > 0 {
		return versions, err
	}
	_, err = s.store.Agent(ctx, by.Project, id) // no such agent, or the end of its list
	return versions, err
}

// checkSearch bounds a text to look for: nothing longer than the longest name is found by it.
func checkSearch(text string) error { return checkLength("search", text, EverrunsLimits.Name) }

// Agents lists the project's agents. Errors: Forbidden; Invalid (limit outside of 1 to 1000, negative
// offset, search text over 2048 characters).
func (s *Service) Agents(ctx context.Context, by core.Principal, page core.AgentPage) ([]core.Agent, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	if page.Offset < 0 {
		return nil, core.InvalidField("offset", "must not be negative")
	}
	if err := checkSearch(page.Search); err != nil {
		return nil, err
	}
	return s.store.Agents(ctx, by.Project, page)
}

// CountAgents counts what Agents would list without its limit, offset and keys. Errors: Forbidden;
// Invalid (search text).
func (s *Service) CountAgents(ctx context.Context, by core.Principal, page core.AgentPage) (int, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return 0, err
	}
	if err := checkSearch(page.Search); err != nil {
		return 0, err
	}
	return s.store.CountAgents(ctx, by.Project, page)
}

// UpdateOptions are what a face adds to a change.
type UpdateOptions struct {
	Expect int // the version that the change was made against; 0: the last write wins
	Limits Limits
}

// UpdateAgent changes a definition and makes the next version. change gets a copy of the newest
// definition, may be called more than once, and ends the update by an error. A change without effect
// makes no version and returns the agent as it is.
//
// Errors: Forbidden (below admin); NotFound; Invalid, naming the field, or "agent_archived"; Conflict
// ("version_conflict"), even for a change without effect (claude-managed-agents.md section 3.1).
func (s *Service) UpdateAgent(ctx context.Context, by core.Principal, id core.AgentID, opts UpdateOptions, change func(*core.AgentSpec) error) (core.Agent, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Agent{}, err
	}
	return s.update(ctx, by, id, opts, change)
}

func (s *Service) update(ctx context.Context, by core.Principal, id core.AgentID, opts UpdateOptions, change func(*core.AgentSpec) error) (core.Agent, error) {
	var a core.Agent
	err := s.store.Tx(ctx, func(tx core.Store) error {
		stored, err := tx.Agent(ctx, by.Project, id)
		if err != nil {
			return err
		}
		if !stored.ArchivedAt.IsZero() {
			return core.Errorf(core.Invalid, "agent_archived", "the agent is archived and cannot be changed")
		}
		if opts.Expect != 0 && opts.Expect != stored.Version {
			return core.Errorf(core.Conflict, "version_conflict", "the agent is at version %d, not %d", stored.Version, opts.Expect)
		}
		next, err := s.changed(ctx, tx, stored, opts.Limits, change)
		if err != nil {
			return err
		}
		if a = stored; s.sameEffect(stored.AgentSpec, next) {
			return nil
		}
		now := s.clock()
		a.AgentSpec, a.Version, a.UpdatedAt, a.VersionMadeAt = next, stored.Version+1, now, now
		return tx.UpdateAgent(ctx, a)
	})
	if err != nil {
		return core.Agent{}, err
	}
	return a, nil
}

// changed applies a change to a copy of the stored definition, judges it and pins its skills and its roster.
func (s *Service) changed(ctx context.Context, tx core.Store, stored core.Agent, lim Limits, change func(*core.AgentSpec) error) (core.AgentSpec, error) {
	next, err := cloneSpec(stored.AgentSpec)
	if err != nil {
		return next, err
	}
	if err := change(&next); err != nil {
		return next, err
	}
	next.Roster = keptRoster(stored.ID, next.Roster)
	touched := changedParts(stored.AgentSpec, next)
	if err := s.check(&next, lim, touched); err != nil {
		return next, err
	}
	if touched.skills {
		if next.Skills, err = s.PinSkills(ctx, tx, stored.Project, next.Skills); err != nil {
			return next, err
		}
	}
	if touched.roster {
		return s.pinRoster(ctx, tx, stored.Project, next)
	}
	if stored.Model.InferenceGeo != next.Model.InferenceGeo {
		return next, checkGeo(ctx, tx, stored.Project, next)
	}
	return next, nil
}

// CheckVariant judges a session's own variant of an agent, in what it changes, by the rules of the one
// dialect that has such variants (claude-managed-agents.md section 3.4). Invalid names the field.
func (s *Service) CheckVariant(agent, variant core.AgentSpec) error {
	if variant.Roster != nil && agent.Model.InferenceGeo != variant.Model.InferenceGeo {
		return core.InvalidField("model.inference_geo", "differs from that of the agents in multiagent, %q; all must be the same or unset", agent.Model.InferenceGeo)
	}
	return s.check(&variant, ClaudeLimits, changedParts(agent, variant))
}

// NeedsSandbox reports whether the agent has a tool that works inside a sandbox, by a toolset or by a
// capability.
func (s *Service) NeedsSandbox(agent core.AgentSpec) bool {
	for _, set := range agent.Tools {
		for _, name := range s.tools.Toolset() {
			if on, _ := set.Setting(name); on && set.Kind == core.ToolsetBuiltin && core.InSandbox(name) {
				return true
			}
		}
	}
	for _, ref := range agent.Capabilities {
		if c, ok := s.tools.Capability(ref.Ref); ok && slices.ContainsFunc(c.Tools, core.InSandbox) {
			return true
		}
	}
	return false
}

// ArchiveAgent archives an agent for good, and its deployments with it (claude-managed-agents.md section
// 3.11); doing so again changes nothing. Errors: Forbidden (below admin); NotFound.
func (s *Service) ArchiveAgent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Agent{}, err
	}
	var a core.Agent
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if a, err = tx.Agent(ctx, by.Project, id); err != nil || !a.ArchivedAt.IsZero() {
			return err
		}
		a.ArchivedAt = s.clock()
		a.UpdatedAt = a.ArchivedAt
		if _, err := tx.ArchiveDeployments(ctx, by.Project, id, a.ArchivedAt); err != nil {
			return err
		}
		return tx.SetAgentState(ctx, a)
	})
	if err != nil {
		return core.Agent{}, err
	}
	return a, nil
}

// DeactivateAgent switches an agent off: its keys and its sessions' tokens are refused, and it starts no new
// session, until ReactivateAgent. One that is off stays as it is.
//
// Errors: Forbidden (below admin); NotFound; Conflict ("agent_archived").
func (s *Service) DeactivateAgent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error) {
	return s.setActive(ctx, by, id, false)
}

// ReactivateAgent switches an agent on again. One that is on stays as it is.
//
// Errors: Forbidden (below admin); NotFound; Conflict ("agent_archived").
func (s *Service) ReactivateAgent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error) {
	return s.setActive(ctx, by, id, true)
}

func (s *Service) setActive(ctx context.Context, by core.Principal, id core.AgentID, active bool) (core.Agent, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Agent{}, err
	}
	var a core.Agent
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if a, err = tx.Agent(ctx, by.Project, id); err != nil {
			return err
		}
		if !a.ArchivedAt.IsZero() {
			return core.Errorf(core.Conflict, "agent_archived", "the agent is archived: that is for good")
		}
		if a.Active == active {
			return nil
		}
		a.Active, a.UpdatedAt = active, s.clock()
		return tx.SetAgentState(ctx, a)
	})
	if err != nil {
		return core.Agent{}, err
	}
	return a, nil
}
