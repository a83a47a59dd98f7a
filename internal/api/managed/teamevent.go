package managed

import (
	"encoding/json"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// hides reports whether a flavour leaves an event out. Where the primary thread has no status events of its own,
// the session's status stands for them.
func (t *translator) hides(e core.Event) bool {
	switch e.Type {
	case core.EventThreadRunning, core.EventThreadIdle, core.EventThreadRescheduling, core.EventThreadTerminated:
		return !t.c.fl.threadStatus && e.Thread == core.PrimaryThread(t.session.ID)
	}
	return false
}

// elsewhere is the thread that an event of the session's view comes from, if it is not the primary one. In the
// thread's own view it is empty (CMA section 6.1).
func (t *translator) elsewhere(e core.Event) string {
	if t.thread != "" || e.Thread == "" || e.Thread == core.PrimaryThread(t.session.ID) {
		return ""
	}
	return threadPrefix + string(e.Thread)
}

// threadMember is elsewhere for events that always have the member; null: nowhere else.
func (t *translator) threadMember(e core.Event) json.RawMessage {
	if thread := t.elsewhere(e); thread != "" {
		return encode(thread)
	}
	return null
}

// reachesMCP reports whether an agent of the session has MCP servers.
func reachesMCP(s core.Session) bool {
	has := func(spec *core.AgentSpec) bool { return spec != nil && len(spec.MCPServers) > 0 }
	return has(s.Snapshot) || slices.ContainsFunc(s.Team, func(m core.Teammate) bool { return has(m.Spec) })
}

// writeThread writes what became of a thread.
func writeThread(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.ThreadEvent](e)
	w := threadStatusWire{Thread: threadPrefix + string(m.Thread), AgentName: m.Name}
	if m.Stop != nil {
		stop := t.stop(*m.Stop)
		w.StopReason = &stop
		if t.c.fl == Claude {
			w.StopDetails = null
		}
	}
	return w, err
}

type messageSentWire struct {
	Content []any  `json:"content"`
	Thread  string `json:"to_session_thread_id"`
	Name    string `json:"to_agent_name,omitempty"` // absent: the primary thread
}

func writeMessageSent(_ *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.ThreadMessage](e)
	return messageSentWire{blocksWire(m.Content), threadPrefix + string(m.Thread), m.Name}, err
}

type messageReceivedWire struct {
	Content []any  `json:"content"`
	Thread  string `json:"from_session_thread_id"`
	Name    string `json:"from_agent_name,omitempty"` // absent: the primary thread
}

func writeMessageReceived(_ *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.ThreadMessage](e)
	return messageReceivedWire{blocksWire(m.Content), threadPrefix + string(m.Thread), m.Name}, err
}
