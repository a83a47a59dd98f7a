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
// order of their ends, are put in order of start by themselves.
//
// Of q, Limit (1 to MaxPage), After and MaxBytes count; the answer is always Bare. To know the places, the
// session is read from its beginning up to this part, so a late part of a large session costs more.
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
	err = s.places(ctx, by.Project, agent, session, list, func(p place) {
		if p.order == 1 {
			out.Start = p.start
		}
		if c, ok := calls[p.id]; ok {
			out.Calls = append(out.Calls, callAt(c, p, out.Start))
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

// places calls yield with the place of every call of the session, in order, until all calls of the part
// have had theirs: at least with the first window, which has the first start.
func (s *Service) places(ctx context.Context, project core.ProjectID, agent core.AgentID, session core.SessionID, part []core.Capture, yield func(place)) error {
	var lanes lanes
	var after *core.CaptureKey
	for done := 0; ; {
		var all []place
		for len(all) < window {
			limit := min(walkPage, window-len(all))
			list, err := s.store.Captures(ctx, project, agent, session, core.CaptureQuery{Limit: limit, After: after, Bare: true, MaxBytes: walkBytes})
			if err != nil {
				return fmt.Errorf("read captures: %w", err)
			}
			if len(list) == 0 {
				break
			}
			for _, c := range list {
				all = append(all, place{id: c.ID, start: startOf(c), end: c.At})
			}
			after = new(keyOf(list[len(list)-1]))
		}
		slices.SortFunc(all, byStart)
		lanes.restart()
		for i := range all {
			done++
			all[i].order, all[i].lane = done, lanes.put(all[i].start, all[i].end)
			yield(all[i])
		}
		if len(all) < window || len(part) == 0 || !keyLess(*after, keyOf(part[len(part)-1])) {
			return nil
		}
	}
}

// byStart orders calls by start, then by end, then by id: one order for every reader.
func byStart(a, b place) int {
	return cmp.Or(a.start.Compare(b.start), a.end.Compare(b.end), cmp.Compare(a.id, b.id))
}

func keyLess(a, b core.CaptureKey) bool {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) < 0
}
