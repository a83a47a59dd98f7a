package managed

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// createSession serves POST /sessions (CMA section 3.4, qoder.md section 3.3).
func (f *Face) createSession(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	n := session.NewSession{VaultIDs: o.vaultIDs("vault_ids"), Metadata: o.stringMap("metadata")}
	o.sessionAgent(c.fl, &n)
	if id := o.text("environment_id"); id != "" {
		var known bool
		if n.Environment, known = core.ParseID[core.EnvironmentID](id); !known {
			o.fail(core.InvalidField("environment_id", "environment %q was not found", id))
		}
	}
	if title := read[string](o, "title"); title.Set && !title.Null {
		n.Title = &title.V
	}
	if c.fl == Qoder {
		n.EnvVars = o.variables("environment_variables")
	}
	n.Inputs = o.inputs("initial_events", c.fl)
	n.Resources, n.OnceEach = o.resources("resources"), c.fl.onceEach
	n.Budget, _ = o.budget("budget")
	if err := o.end(); err != nil {
		return reply{}, err
	}
	sess, err := f.sessions.Create(c.Context(), c.by, n)
	if err != nil {
		return reply{}, err
	}
	w, err := f.sessionWire(c, f.teams(c), sess)
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, w}, nil
}

// sessionAgent reads the member agent: an id, {type:"agent",id,version?}, or, with Claude, the same with
// overrides.
func (o *object) sessionAgent(fl *Flavour, n *session.NewSession) {
	raw := o.raw("agent")
	if raw == nil || isString(raw) || string(raw) == "null" {
		if id := o.text("agent"); id != "" {
			n.Agent = o.agentID("agent", id)
		}
		return
	}
	a := o.object("agent")
	if a == nil {
		return
	}
	kind := a.text("type")
	switch {
	case kind == "agent", kind == "" && fl == Qoder: // optional in older editions (qoder.md section 3.3)
	case kind == "agent_with_overrides" && fl == Claude:
		n.Overrides = a.overrides(fl)
	default:
		a.fail(core.InvalidField(a.field("type"), "is not a known kind of agent reference"))
	}
	id := a.text("id")
	if id == "" {
		a.fail(core.InvalidField(a.field("id"), "is required"))
	}
	n.Agent, n.Version = a.agentID(a.field("id"), id), a.version()
	a.closed()
}

// overrides reads what replaces parts of the agent: absent inherits, null and [] clear.
func (o *object) overrides(fl *Flavour) *session.Overrides {
	v := &session.Overrides{}
	if m := o.modelPatch("model"); m.Set {
		if m.Null {
			o.fail(&core.Error{
				Kind: core.Invalid, Code: "agent_model_required", Field: o.field("model"),
				Message: "agent_model_required: " + o.field("model") + " must not be null",
			})
		}
		m.effort = nil // ignored: the session runs at the model's default (CMA section 3.4)
		choice := m.apply(core.ModelChoice{}, fl)
		v.Model = &choice
	}
	if s := read[string](o, "system"); s.Set {
		v.System = &s.V
	}
	if sets, given := o.toolsets(fl); given {
		v.Tools = &sets
	}
	if servers, given := o.servers(); given {
		v.MCPServers = &servers
	}
	if skills, given := o.skills(); given {
		v.Skills = &skills
	}
	return v
}

// Names of sandbox variables that are refused (qoder.md section 3.3).
var (
	variableName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	reservedNames    = []string{"SERVER_ENDPOINT", "USER_ID", "WORK_DIR"}
	reservedPrefixes = []string{"CAW_", "QODER_"}
)

// maxVariables bounds the sandbox variables of one session. Reeve's own number.
const maxVariables = 256

// variables reads "K=V;K2=V2", or one on each line.
func (o *object) variables(name string) map[string]string {
	text := o.text(name)
	if strings.TrimSpace(text) == "" {
		return nil
	}
	vars := map[string]string{}
	for _, pair := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' || r == '\r' }) {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		switch {
		case !found || !variableName.MatchString(key):
			o.fail(core.InvalidField(o.field(name), "must be NAME=value pairs, divided by ; or line ends, with names of letters, digits and _"))
		case slices.Contains(reservedNames, key) || slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(key, p) }):
			o.fail(core.InvalidField(o.field(name), "the name %s is reserved", key))
		}
		vars[key] = value
	}
	if len(vars) > maxVariables {
		o.fail(core.InvalidField(o.field(name), "at most %d variables", maxVariables))
	}
	return vars
}

// getSession serves GET /sessions/{session}.
func (f *Face) getSession(c *call) (reply, error) {
	sess, err := f.session(c)
	if err != nil {
		return reply{}, err
	}
	return f.sessionReply(c, sess)
}

// session loads the session that the path names.
func (f *Face) session(c *call) (core.Session, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return core.Session{}, err
	}
	sess, err := f.sessions.Session(c.Context(), c.by, id)
	return sess, named(err, "session", c.PathValue("session"))
}

func (f *Face) sessionReply(c *call, sess core.Session) (reply, error) {
	w, err := f.sessionWire(c, f.teams(c), sess)
	if err != nil {
		return reply{}, err
	}
	return ok(w)
}

// updateSession serves POST /sessions/{session}.
func (f *Face) updateSession(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	change := session.Change{Metadata: o.patch("metadata")}
	if title := read[string](o, "title"); title.Set {
		var next *string
		if !title.Null {
			next = &title.V
		}
		change.Title = &next
	}
	change.Agent = o.agentChange(c.fl)
	if b, given := o.budget("budget"); given {
		change.Budget = &b
	}
	if c.fl == Qoder && o.raw("environment_variables") != nil {
		if change.EnvVars = o.variables("environment_variables"); change.EnvVars == nil {
			change.EnvVars = map[string]string{}
		}
	}
	if raw := o.raw("vault_ids"); raw != nil && string(raw) != "null" { // also the same ones, and none (CMA section 3.4)
		o.fail(&core.Error{Kind: core.Invalid, Code: "not_supported", Field: o.field("vault_ids"), Message: "vault_ids: not yet supported"})
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	sess, err := f.sessions.Update(c.Context(), c.by, id, change)
	if err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	return f.sessionReply(c, sess)
}

// archiveSession serves POST /sessions/{session}/archive.
func (f *Face) archiveSession(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	sess, err := f.sessions.Archive(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	return f.sessionReply(c, sess)
}

// deleteSession serves DELETE /sessions/{session}.
func (f *Face) deleteSession(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	if err := f.sessions.Delete(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	return ok(deleted{ID: c.fl.sessionPrefix + string(id), Type: "session_deleted"})
}

// cancelSession serves Qoder's POST /sessions/{session}/cancel. Without a turn to cancel it does
// nothing, and says how the session is.
func (f *Face) cancelSession(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	canceled, err := f.sessions.Cancel(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	w := map[string]string{"id": c.fl.sessionPrefix + string(id), "type": "session", "status": "canceling"}
	if !canceled {
		sess, err := f.session(c)
		if err != nil {
			return reply{}, err
		}
		w["status"] = c.fl.status(sess)
	}
	return reply{http.StatusOK, w}, nil
}

// listSessions serves GET /sessions.
func (f *Face) listSessions(c *call) (reply, error) {
	w, err := c.window(sessionList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.SessionID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("session", spelled)
		}
		s, err := f.sessions.Session(c.Context(), c.by, id)
		return cursor{at: s.CreatedAt.UnixMicro(), id: string(s.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	q, none, err := c.sessionFilter(w)
	if err != nil {
		return reply{}, err
	}
	var sessions []core.Session
	if !none {
		if sessions, err = f.sessions.Sessions(c.Context(), c.by, q); err != nil {
			return reply{}, err
		}
	}
	teams := f.teams(c)
	entries := make([]entry, len(sessions))
	for i, s := range sessions {
		body, err := f.sessionWire(c, teams, s)
		if err != nil {
			return reply{}, err
		}
		entries[i] = entry{at: s.CreatedAt.UnixMicro(), id: string(s.ID), wire: c.fl.sessionPrefix + string(s.ID), body: body}
	}
	return ok(w.envelope(entries))
}

// sessionFilter reads the filters of the list. none means that nothing can match: what is no id names
// no deployment and no memory store.
func (c *call) sessionFilter(w window) (q core.SessionPage, none bool, err error) {
	created, err := c.query.span("created_at")
	if err != nil {
		return q, false, err
	}
	q.Limit, q.Ascending = w.fetch(), w.asc
	q.After, q.Before = w.keys()
	q.CreatedFrom, q.CreatedTo = created.closed()
	q.IncludeArchived, err = c.query.flag("include_archived")
	if err := errors.Join(err, w.within(created)); err != nil {
		return q, false, err
	}
	if spelled := c.query.Get("agent_id"); spelled != "" {
		id, known := core.ParseID[core.AgentID](spelled)
		if !known {
			return q, false, core.InvalidField("agent_id", "is not the id of an agent")
		}
		q.Agent = id
	}
	if spelled := c.query.Get("agent_version"); spelled != "" {
		if q.AgentVersion, err = strconv.Atoi(spelled); err != nil || q.AgentVersion < 1 {
			return q, false, core.InvalidField("agent_version", "must be an integer of at least 1")
		}
		if q.Agent == "" {
			return q, false, core.InvalidField("agent_version", "needs agent_id")
		}
	}
	wanted := c.query.each("statuses")
	for i, status := range wanted {
		switch s := core.SessionStatus(status); s {
		case core.StatusIdle, core.StatusRunning, core.StatusRescheduling, core.StatusTerminated:
			q.Statuses = append(q.Statuses, s)
		case "canceling": // a Qoder status that no session keeps
		default:
			return q, false, core.InvalidField(fmt.Sprintf("statuses[%d]", i), "is not a status of sessions")
		}
	}
	if c.fl.keepsStatus && q.IncludeArchived && slices.Contains(q.Statuses, core.StatusIdle) {
		q.Statuses = append(q.Statuses, core.StatusTerminated) // archived sessions are shown as idle
	}
	none = len(wanted) > 0 && len(q.Statuses) == 0
	if spelled := c.query.Get("memory_store_id"); spelled != "" {
		id, known := core.ParseID[core.MemoryStoreID](spelled)
		q.MemoryStore, none = id, none || !known
	}
	if spelled := c.query.Get("deployment_id"); spelled != "" {
		id, known := core.ParseID[core.DeploymentID](spelled)
		q.Deployment, none = id, none || !known
	}
	return q, none, nil
}
