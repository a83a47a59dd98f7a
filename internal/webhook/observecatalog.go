package webhook

import (
	"context"

	"github.com/reeve-ai/reeve/internal/core"
)

// CreateAgent implements core.Store.
func (w *watch) CreateAgent(ctx context.Context, a core.Agent) error {
	return w.and(ctx, a.Project, func(to core.Store) error { return to.CreateAgent(ctx, a) },
		happening{Type: "agent.created", Object: agentPrefix + string(a.ID)})
}

// UpdateAgent implements core.Store.
func (w *watch) UpdateAgent(ctx context.Context, a core.Agent) error {
	return w.and(ctx, a.Project, func(to core.Store) error { return to.UpdateAgent(ctx, a) },
		happening{Type: "agent.updated", Object: agentPrefix + string(a.ID)})
}

// SetAgentState implements core.Store. Switching an agent off or on is an update.
func (w *watch) SetAgentState(ctx context.Context, a core.Agent) error {
	return compare(ctx, w, a.Project,
		func(from core.Store) (core.Agent, error) { return from.Agent(ctx, a.Project, a.ID) },
		func(to core.Store) error { return to.SetAgentState(ctx, a) },
		func(was core.Agent) []happening {
			return one("agent", archived(was.ArchivedAt, a.ArchivedAt, "updated"), agentPrefix+string(a.ID))
		})
}

// CreateEnvironment implements core.Store.
func (w *watch) CreateEnvironment(ctx context.Context, e core.Environment) error {
	return w.and(ctx, e.Project, func(to core.Store) error { return to.CreateEnvironment(ctx, e) },
		happening{Type: "environment.created", Object: environmentPrefix + string(e.ID)})
}

// UpdateEnvironment implements core.Store.
func (w *watch) UpdateEnvironment(ctx context.Context, e core.Environment) error {
	return compare(ctx, w, e.Project,
		func(from core.Store) (core.Environment, error) { return from.Environment(ctx, e.Project, e.ID) },
		func(to core.Store) error { return to.UpdateEnvironment(ctx, e) },
		func(was core.Environment) []happening {
			return one("environment", archived(was.ArchivedAt, e.ArchivedAt, "updated"), environmentPrefix+string(e.ID))
		})
}

// DeleteEnvironment implements core.Store.
func (w *watch) DeleteEnvironment(ctx context.Context, project core.ProjectID, id core.EnvironmentID) error {
	return w.and(ctx, project, func(to core.Store) error { return to.DeleteEnvironment(ctx, project, id) },
		happening{Type: "environment.deleted", Object: environmentPrefix + string(id)})
}

// CreateMemoryStore implements core.Store.
func (w *watch) CreateMemoryStore(ctx context.Context, m core.MemoryStore) error {
	return w.and(ctx, m.Project, func(to core.Store) error { return to.CreateMemoryStore(ctx, m) },
		happening{Type: "memory_store.created", Object: memoryStorePrefix + string(m.ID)})
}

// UpdateMemoryStore implements core.Store. Only its archive is told.
func (w *watch) UpdateMemoryStore(ctx context.Context, m core.MemoryStore) error {
	change := func(to core.Store) error { return to.UpdateMemoryStore(ctx, m) }
	if m.ArchivedAt.IsZero() {
		return change(w.Store)
	}
	return compare(ctx, w, m.Project,
		func(from core.Store) (core.MemoryStore, error) { return from.MemoryStore(ctx, m.Project, m.ID) }, change,
		func(was core.MemoryStore) []happening {
			return one("memory_store", archived(was.ArchivedAt, m.ArchivedAt, ""), memoryStorePrefix+string(m.ID))
		})
}

// DeleteMemoryStore implements core.Store.
func (w *watch) DeleteMemoryStore(ctx context.Context, project core.ProjectID, id core.MemoryStoreID) error {
	return w.and(ctx, project, func(to core.Store) error { return to.DeleteMemoryStore(ctx, project, id) },
		happening{Type: "memory_store.deleted", Object: memoryStorePrefix + string(id)})
}
