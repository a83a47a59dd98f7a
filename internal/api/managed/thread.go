package managed

import (
	"encoding/json"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// threadKinds are the events by which a Qoder session says the status of its primary thread, which is
// the session's own (qoder.md section 5.2). They are not in the log: each goes with a status event
// there, inside of it as the contract has them, and its id follows from that event's.
var threadKinds = map[core.EventType]string{
	core.EventStatusRunning:      "session.thread_status_running",
	core.EventStatusIdle:         "session.thread_status_idle",
	core.EventStatusRescheduling: "session.thread_status_rescheduled",
	core.EventStatusTerminated:   "session.thread_status_terminated",
}

func (fl *Flavour) threadKinds(t core.EventType) []string {
	if kind := threadKinds[t]; kind != "" && fl.threadStatus {
		return []string{kind}
	}
	return nil
}

type threadStatusWire struct {
	Thread     string    `json:"session_thread_id"`
	AgentName  string    `json:"agent_name"`
	StopReason *stopWire `json:"stop_reason,omitempty"`

	StopDetails json.RawMessage `json:"stop_details,omitempty"` // as of idleWire
}

// withThread adds the thread's event to a status event.
func (t *translator) withThread(e core.Event, own form) []form {
	kinds := t.c.fl.threadKinds(e.Type)
	if len(kinds) == 0 || t.session.Coordinates() { // whose primary thread has events of its own in the log
		return []form{own}
	}
	w := threadStatusWire{Thread: threadPrefix + string(e.Thread)}
	if t.session.Snapshot != nil {
		w.AgentName = t.session.Snapshot.Name
	}
	if e.Type == core.EventStatusIdle {
		if m, err := core.Payload[core.StopReason](e); err == nil {
			stop := t.stop(m)
			w.StopReason = &stop
		}
	}
	derived := form{kind: kinds[0], id: t.eventID(twin(e.ID))}
	derived.body = join(head{derived.id, derived.kind, maybeTime(e.ProcessedAt)}, w)
	if e.Type == core.EventStatusRunning {
		return []form{own, derived} // the session runs before its thread does, and stops behind it
	}
	return []form{derived, own}
}

// twin is the id of the thread's event that goes with a status event, and the other way round: the
// last digit with its highest bit turned.
func twin(id core.EventID) core.EventID {
	const digits = "0123456789abcdef"
	last := strings.IndexByte(digits, id[len(id)-1])
	return id[:len(id)-1] + core.EventID(digits[last^8])
}
