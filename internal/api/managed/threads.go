package managed

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxThreadPage is the default and the largest page of threads (CMA section 3.5, qoder.md section 2.6).
const maxThreadPage = 1000

// threadRoutes are those of a session's threads (CMA section 3.5, qoder.md section 3.4).
func (f *Face) threadRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/sessions/{session}/threads", serve: f.listThreads},
		{method: http.MethodGet, path: "/sessions/{session}/threads/{thread}", serve: f.getThread},
		{method: http.MethodPost, path: "/sessions/{session}/threads/{thread}/archive", serve: f.archiveThread},
		{method: http.MethodGet, path: "/sessions/{session}/threads/{thread}/events", serve: f.listThreadEvents},
		{method: http.MethodGet, path: "/sessions/{session}/threads/{thread}/stream", stream: func(*call) bool { return true }},
	}
}

// threadWire is a thread on the wire.
type threadWire struct {
	Type           string          `json:"type"`
	ID             string          `json:"id"`
	SessionID      string          `json:"session_id"`
	ParentThreadID any             `json:"parent_thread_id"` // null: the primary thread
	Agent          any             `json:"agent"`
	Status         string          `json:"status"`
	Stats          any             `json:"stats"` // null: it never ran, as usage
	Usage          any             `json:"usage"`
	WorkflowRunID  json.RawMessage `json:"workflow_run_id,omitempty"` // Claude only: there are no workflows
	ArchivedAt     any             `json:"archived_at"`
	CreatedAt      string          `json:"created_at"`
	UpdatedAt      string          `json:"updated_at"`
}

type threadStatsWire struct {
	ActiveSeconds   float64 `json:"active_seconds"`
	DurationSeconds float64 `json:"duration_seconds"`
	StartupSeconds  float64 `json:"startup_seconds"`
}

func (f *Face) threadWire(fl *Flavour, t core.Thread) threadWire {
	w := threadWire{
		Type: "session_thread", ID: threadPrefix + string(t.ID), SessionID: fl.sessionPrefix + string(t.Session),
		Agent: f.threadAgentWire(fl, t), Status: string(t.Status), ArchivedAt: maybeTime(t.ArchivedAt),
		CreatedAt: timestamp(t.CreatedAt), UpdatedAt: timestamp(t.UpdatedAt),
	}
	if t.Parent != "" {
		w.ParentThreadID = threadPrefix + string(t.Parent)
	}
	if t.Status != core.StatusIdle || t.StopReason != nil {
		end := f.now()
		if t.Status == core.StatusTerminated {
			end = t.UpdatedAt
		}
		w.Stats = threadStatsWire{
			ActiveSeconds: seconds(t.Usage.ActiveMS), DurationSeconds: max(0, end.Sub(t.CreatedAt).Truncate(time.Millisecond).Seconds()),
		}
		w.Usage = fl.usageWire(t.Usage)
	}
	if fl == Claude {
		w.WorkflowRunID = null
	}
	return w
}

// threadAgentWire is the agent of a thread as it was frozen, without a roster, or {type:"advisor",model}.
func (f *Face) threadAgentWire(fl *Flavour, t core.Thread) any {
	switch {
	case t.Kind == core.RosterAdvisor:
		return advisorWire(core.RosterMember{Model: t.Model})
	case t.Spec == nil: // of a session that froze none
		return agentReference{Type: "agent", ID: agentPrefix + string(t.Agent), Version: t.AgentVersion}
	}
	return f.snapshotWire(fl, t.Agent, t.AgentVersion, *t.Spec)
}

// listThreads serves GET /sessions/{session}/threads. The list has one order, and no way back.
func (f *Face) listThreads(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	w, err := c.window(threadList, true, maxThreadPage, maxThreadPage, func(spelled string) (cursor, error) {
		tid, known := core.ParseID[core.ThreadID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("thread", spelled)
		}
		t, err := f.sessions.Thread(c.Context(), c.by, id, tid)
		return cursor{at: t.CreatedAt.UnixMicro(), id: string(t.ID)}, err
	})
	switch {
	case err != nil:
		return reply{}, err
	case !w.asc:
		return reply{}, core.InvalidField("order", "threads are listed oldest first")
	case w.from != nil && w.from.back:
		return reply{}, core.InvalidField("before_id", "threads are listed forward only")
	}
	q := core.ThreadPage{Limit: w.fetch()}
	q.After, _ = w.keys()
	threads, err := f.sessions.Threads(c.Context(), c.by, id, q)
	if err != nil {
		return reply{}, named(err, "session", c.PathValue("session"))
	}
	entries := make([]entry, len(threads))
	for i, t := range threads {
		entries[i] = entry{at: t.CreatedAt.UnixMicro(), id: string(t.ID), wire: threadPrefix + string(t.ID), body: f.threadWire(c.fl, t)}
	}
	return ok(w.envelope(entries))
}

// getThread serves GET /sessions/{session}/threads/{thread}.
func (f *Face) getThread(c *call) (reply, error) {
	sess, err := f.session(c)
	if err != nil {
		return reply{}, err
	}
	t, err := f.thread(c, sess)
	if err != nil {
		return reply{}, err
	}
	return ok(f.threadWire(c.fl, t))
}

// thread loads the thread that the path names.
func (f *Face) thread(c *call, sess core.Session) (core.Thread, error) {
	id, err := pathID[core.ThreadID](c, "thread")
	if err != nil {
		return core.Thread{}, err
	}
	t, err := f.sessions.Thread(c.Context(), c.by, sess.ID, id)
	return t, named(err, "thread", c.PathValue("thread"))
}

// archiveThread serves POST /sessions/{session}/threads/{thread}/archive.
func (f *Face) archiveThread(c *call) (reply, error) {
	sess, err := f.session(c)
	if err != nil {
		return reply{}, err
	}
	id, err := pathID[core.ThreadID](c, "thread")
	if err != nil {
		return reply{}, err
	}
	t, err := f.sessions.ArchiveThread(c.Context(), c.by, sess.ID, id)
	if err != nil {
		return reply{}, named(err, "thread", c.PathValue("thread"))
	}
	return ok(f.threadWire(c.fl, t))
}

// listThreadEvents serves GET /sessions/{session}/threads/{thread}/events.
func (f *Face) listThreadEvents(c *call) (reply, error) {
	sess, err := f.session(c)
	if err != nil {
		return reply{}, err
	}
	t, err := f.thread(c, sess)
	if err != nil {
		return reply{}, err
	}
	return f.eventsOf(c, sess, t.ID)
}
