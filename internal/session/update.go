package session

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// Change is what may be changed in a session. A nil field stays. Metadata is merged: a nil value
// deletes its key.
type Change struct {
	Title    **string // a nil inner pointer clears
	Metadata map[string]*string
	Agent    *AgentChange
	Budget   **core.Budget     // a nil inner pointer removes it
	EnvVars  map[string]string // replaces all; empty: none are left
}

// AgentChange replaces parts of the session's own copy of its agent: a nil field stays, an empty one clears.
type AgentChange struct {
	Tools      *[]core.Toolset
	MCPServers *[]core.MCPServer
}

// UseSandboxes has renew end a session's sandbox, whose next one gets the session's new variables. It is called
// before the service is used.
func (s *Service) UseSandboxes(renew func(core.SessionID) error) { s.renew = renew }

// Update changes a session and appends session.updated, with what did change, if anything did. A change of the
// agent holds from the next turn on. If the session had come to the end of its budget with work left, a higher
// budget, or none, lets it go on: the turn is owed in the same transaction.
//
// Errors: NotFound; Invalid (limits; "session_archived"; "session_running" for a change of the agent or the
// variables; what CheckVariant finds; a budget where there was none, or one that is used up); Forbidden.
func (s *Service) Update(ctx context.Context, by core.Principal, id core.SessionID, c Change) (core.Session, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Session{}, err
	}
	if err := c.check(); err != nil {
		return core.Session{}, err
	}
	var sess core.Session
	var done core.SessionUpdated
	var resumed accepted
	err := s.store.Tx(ctx, func(tx core.Store) error {
		resumed = accepted{}
		var err error
		if sess, err = tx.Session(ctx, by.Project, id); err != nil {
			return err
		}
		if !sess.ArchivedAt.IsZero() {
			return errArchived
		}
		if done, err = s.change(ctx, tx, &sess, c); err != nil || len(done.Changed) == 0 {
			return err
		}
		resumed, err = s.changed(ctx, tx, &sess, done)
		return err
	})
	if err != nil {
		return core.Session{}, err
	}
	if len(done.Changed) > 0 {
		s.announce(id, resumed)
	}
	return sess, s.renewSandbox(id, done)
}

func (c Change) check() error {
	if c.Title != nil {
		if err := checkTitle(*c.Title); err != nil {
			return err
		}
	}
	if c.Budget != nil {
		return checkBudget(*c.Budget)
	}
	return nil
}

// change applies c to a session that tx holds, and says what it changed.
func (s *Service) change(ctx context.Context, tx core.Store, sess *core.Session, c Change) (core.SessionUpdated, error) {
	var done core.SessionUpdated
	note := func(part core.SessionPart) { done.Changed = append(done.Changed, part) }
	if c.Title != nil && !sameString(*c.Title, sess.Title) {
		sess.Title, done.Title = *c.Title, *c.Title
		note(core.PartTitle)
	}
	if merged := mergedMetadata(sess.Metadata, c.Metadata); !maps.Equal(merged, sess.Metadata) {
		if err := CheckMetadata(merged); err != nil {
			return done, err
		}
		sess.Metadata, done.Metadata = merged, merged
		note(core.PartMetadata)
	}
	if c.Agent != nil {
		changed, err := s.changeAgent(ctx, tx, sess, *c.Agent)
		if err != nil {
			return done, err
		}
		if changed {
			done.Agent = sess.Snapshot
			note(core.PartAgent)
		}
	}
	if c.Budget != nil {
		changed, err := s.changeBudget(sess, *c.Budget)
		if err != nil {
			return done, err
		}
		if changed {
			done.Budget = sess.Budget
			note(core.PartBudget)
		}
	}
	if c.EnvVars != nil && !maps.Equal(c.EnvVars, sess.EnvVars) {
		if busy(*sess) {
			return done, errBusy("environment_variables")
		}
		sess.EnvVars = c.EnvVars
		note(core.PartEnvVars)
	}
	return done, nil
}

// changeAgent replaces parts of the session's copy of its agent, by the rules of a new session's overrides.
func (s *Service) changeAgent(ctx context.Context, tx core.Store, sess *core.Session, c AgentChange) (bool, error) {
	switch {
	case sess.Snapshot == nil:
		return false, core.InvalidField("agent", "the agent of this session runs elsewhere")
	case busy(*sess):
		return false, errBusy("agent")
	}
	next := *sess.Snapshot
	(&Overrides{Tools: c.Tools, MCPServers: c.MCPServers}).apply(&next)
	if reflect.DeepEqual(next, *sess.Snapshot) {
		return false, nil
	}
	if err := s.agents.CheckVariant(*sess.Snapshot, next); err != nil {
		return false, within("agent", err)
	}
	if s.walls != nil && s.agents.NeedsSandbox(next) {
		elsewhere, err := selfHosted(ctx, tx, *sess)
		if err != nil {
			return false, err
		}
		if !elsewhere {
			return false, s.walls
		}
	}
	sess.Snapshot = &next
	return true, tx.UpdateSnapshot(ctx, sess.Project, sess.ID, next)
}

func errBusy(field string) error {
	e := core.InvalidField(field, "can be changed only while the session is idle")
	e.Code = "session_running"
	return e
}

// changed stores a session that was changed, tells it in the log, and owes the turns that a change of the budget
// lets go on.
func (s *Service) changed(ctx context.Context, tx core.Store, sess *core.Session, done core.SessionUpdated) (accepted, error) {
	var took accepted
	sess.UpdatedAt = s.now()
	thread := core.PrimaryThread(sess.ID)
	drafts := []core.Draft{core.NewDraft(thread, "", core.EventSessionUpdated, done)}
	resumes := !sess.Coordinates() && halted(*sess) && !sess.Budget.Reached(sess.Usage)
	if resumes {
		drafts = append(drafts, core.NewDraft(thread, core.NewID[core.TurnID](), core.EventStatusRunning, nil))
		sess.Status, sess.StopReason = core.StatusRunning, nil
	}
	err := tx.UpdateSession(ctx, *sess)
	if err == nil && sess.Coordinates() && slices.Contains(done.Changed, core.PartBudget) {
		var told []core.Draft
		told, took.leases, err = s.resumeTeam(ctx, tx, sess, sess.UpdatedAt)
		drafts = append(drafts, told...)
	}
	if err != nil {
		return took, err
	}
	if took.events, err = tx.Append(ctx, sess.Project, sess.ID, sess.UpdatedAt, drafts...); err != nil {
		return took, err
	}
	sess.LastSeq = took.events[len(took.events)-1].Seq
	if resumes {
		took.lease, took.leased, err = tx.OweTurn(ctx, sess.Project, sess.ID, thread, s.dispatch.Node(), sess.UpdatedAt, s.dispatch.LeaseUntil(sess.UpdatedAt))
	}
	return took, err
}

// renewSandbox has the next sandbox of a session made with its new variables.
func (s *Service) renewSandbox(id core.SessionID, done core.SessionUpdated) error {
	if s.renew == nil || !slices.Contains(done.Changed, core.PartEnvVars) {
		return nil
	}
	return s.renew(id)
}

// mergedMetadata is metadata with a change, in which a nil value deletes its key.
func mergedMetadata(old map[string]string, change map[string]*string) map[string]string {
	merged := make(map[string]string, len(old))
	maps.Copy(merged, old)
	for k, v := range change {
		if delete(merged, k); v != nil {
			merged[k] = *v
		}
	}
	return merged
}

func sameString(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}
