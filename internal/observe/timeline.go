package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Timeline is a part of a session's calls, side by side as they ran.
type Timeline struct {
	Start time.Time        // when the session's first call began; zero if there is none
	End   time.Time        // when its last call ended
	Calls []Call           // by Order; never nil
	Next  *core.CaptureKey // where the next part begins; nil: this is the last
}

// Call is one call of a Timeline.
type Call struct {
	core.Capture           // Bare
	Order        int       // 1, 2, 3 … in the session, by start
	StartedAt    time.Time // At less the latency
	OffsetMS     float64   // from Timeline.Start to StartedAt
	Lane         int       // 0, 1, 2 …: calls in one lane do not overlap
	Target       string    // Node.ID of the endpoint in the session's Graph
}

// window is how many captures are put in order of start together, in the order in which they ended.
const window = 10_000

// walkPage and walkBytes bound what is in memory at once while a session is read.
const (
	walkPage  = 1000
	walkBytes = 8 << 20
)

// Timeline returns a part of a session's calls with their places in the whole session.
//
// Parts are cut in the order in which the calls ended (the store's order: At, then ID), because a call is
// known only then. Within a part calls are in order of start. So at a border, a call that began early and
// ended late comes in a later part with a lower Order than the end of the part before: the numbers of both
// parts together have no gap and no repetition, and a client that sorts by Order has the whole. Order and
// Lane do not depend on where the parts are cut. In a session of more than 10,000 captures each 10,000, in
// order of their ends, are put in order of start by themselves. When captures of earlier calls arrive, or
// old ones are deleted, the Orders of all that follow shift, those in parts already given too.
//
// Of q, Limit (1 to MaxPage), After and MaxBytes count; the answer is always Bare. To know the places, the
// session is read once from its beginning up to this part. Later parts, and the same one again, cost no more
// than the windows of 10,000 they lie in: the ends of those before are remembered (marks).
//
// Errors: Forbidden; NotFound ("agent_not_found", "session_not_found"); Invalid ("limit").
func (s *Service) Timeline(ctx context.Context, by core.Principal, agent core.AgentID, session core.SessionID, q core.CaptureQuery) (Timeline, error) {
	if _, err := s.readable(ctx, by, agent); err != nil {
		return Timeline{}, err
	}
	if err := checkLimit(q.Limit); err != nil {
		return Timeline{}, err
	}
	if err := s.checkSession(ctx, by, agent, session); err != nil {
		return Timeline{}, err
	}
	if q.Bare = true; q.MaxBytes <= 0 || q.MaxBytes > walkBytes {
		q.MaxBytes = walkBytes
	}
	list, next, err := s.page(ctx, by.Project, agent, session, q)
	if err != nil {
		return Timeline{}, err
	}
	out := Timeline{Calls: make([]Call, 0, len(list)), Next: next}
	counts, err := s.store.SessionCaptures(ctx, by.Project, []core.SessionID{session})
	if err != nil {
		return Timeline{}, fmt.Errorf("count captures of a session: %w", err)
	}
	if counts[session].Captures == 0 {
		return out, nil
	}
	out.End = counts[session].LastAt
	calls := make(map[core.CaptureID]core.Capture, len(list))
	for _, c := range list {
		calls[c.ID] = c
	}
	out.Start, err = s.places(ctx, agent, sessionKey{by.Project, session}, list, func(p place, start time.Time) {
		if c, ok := calls[p.id]; ok {
			out.Calls = append(out.Calls, callAt(c, p, start))
		}
	})
	return out, err
}

func callAt(c core.Capture, p place, start time.Time) Call {
	return Call{
		Capture: c, Order: p.order, StartedAt: p.start, Lane: p.lane, Target: targetOf(c).id(),
		OffsetMS: milliseconds(p.start.Sub(start)),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// checkSession returns NotFound unless the session is one of the agent.
func (s *Service) checkSession(ctx context.Context, by core.Principal, agent core.AgentID, id core.SessionID) error {
	sess, err := s.sessions.Session(ctx, by, id)
	switch {
	case core.KindOf(err) == core.NotFound || err == nil && sess.Agent != agent:
		return core.NotFoundError("session", core.FormatUUID(id))
	case err != nil:
		return fmt.Errorf("read session: %w", err)
	}
	return nil
}

// place is where one call stands in its session.
type place struct {
	id         core.CaptureID
	start, end time.Time
	order      int
	lane       int
}

// startOf is when a call began, as far as its report tells: whole microseconds.
func startOf(c core.Capture) time.Time {
	return c.At.Add(-time.Duration(c.LatencyMS * float64(time.Millisecond))).Truncate(time.Microsecond)
}

// places calls yield with the places of calls of the session, in order, until all calls of the part have had
// theirs, and returns when the session's first call began, as yield is told too. Of an empty part it only
// returns that.
func (s *Service) places(ctx context.Context, agent core.AgentID, session sessionKey, part []core.Capture, yield func(p place, start time.Time)) (time.Time, error) {
	w := s.marks.begin(session)
	defer w.end()
	at := core.CaptureKey{At: time.Unix(1<<40, 0)} // beyond all
	if len(part) > 0 {
		at = keyOf(part[0])
	}
	last, known := w.from(at)
	if known && len(part) == 0 {
		return last.first, nil
	}
	lanes := lanes{ends: slices.Clone(last.ends)}
	for {
		var after *core.CaptureKey
		if last.done > 0 {
			after = &last.after
		}
		all, end, err := s.window(ctx, agent, session, after)
		if err != nil {
			return time.Time{}, err
		}
		if last.done == 0 && len(all) > 0 {
			last.first = all[0].start
		}
		lanes.restart()
		for i := range all {
			all[i].order, all[i].lane = last.done+i+1, lanes.put(all[i].start, all[i].end)
			yield(all[i], last.first)
		}
		if len(all) < window {
			return last.first, nil
		}
		last = mark{after: end, done: last.done + window, first: last.first, ends: slices.Clone(lanes.ends)}
		w.keep(last)
		if len(part) == 0 || compareKeys(end, keyOf(part[len(part)-1])) >= 0 {
			return last.first, nil
		}
	}
}

// window reads the next captures of a session that are put in order of start together, and the key of the
// last of them in order of ends.
func (s *Service) window(ctx context.Context, agent core.AgentID, session sessionKey, after *core.CaptureKey) (all []place, end core.CaptureKey, err error) {
	for len(all) < window {
		q := core.CaptureQuery{Limit: min(walkPage, window-len(all)), After: after, Bare: true, MaxBytes: walkBytes}
		list, err := s.store.Captures(ctx, session.project, agent, session.session, q)
		if err != nil {
			return nil, end, fmt.Errorf("read captures: %w", err)
		}
		if len(list) == 0 {
			break
		}
		for _, c := range list {
			all = append(all, place{id: c.ID, start: startOf(c), end: c.At})
		}
		end = keyOf(list[len(list)-1])
		after = &end
	}
	slices.SortFunc(all, byStart)
	return all, end, nil
}

// byStart orders calls by start, then by end, then by id: one order for every reader.
func byStart(a, b place) int {
	return cmp.Or(a.start.Compare(b.start), a.end.Compare(b.end), cmp.Compare(a.id, b.id))
}
