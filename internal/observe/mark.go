package observe

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/reeve-ai/reeve/internal/core"
)

// sessionKey names a session, which is one agent's. Ids are unique only within a project.
type sessionKey struct {
	project core.ProjectID
	session core.SessionID
}

// mark is what must be known at the end of a window to go on with the next: where a Timeline begins to read
// instead of at the session's beginning.
type mark struct {
	after core.CaptureKey // the last capture of the window
	done  int             // captures up to there
	first time.Time       // when the session's first call began
	ends  []time.Time     // of each lane, the last end in it; never changed
}

// marks remembers the ends of windows of the sessions whose timelines were read last. A capture that comes
// later with an earlier place, or is deleted, shifts all that follows it: the marks behind it are forgotten.
// That is known because the captures of one store are written through one Service.
type marks struct {
	mu    sync.Mutex // over all, so that who reads does not keep what who writes has just made wrong
	known *otter.Cache[sessionKey, []mark]
	walks map[*walk]struct{} // that are under way
}

// maxMarkBytes bounds all marks together. A window with a dozen lanes makes one of some 400 bytes.
const maxMarkBytes = 16 << 20

func newMarks() *marks {
	return &marks{
		known: otter.Must(&otter.Options[sessionKey, []mark]{
			MaximumWeight: maxMarkBytes,
			Weigher: func(_ sessionKey, list []mark) uint32 {
				size := 0
				for _, m := range list {
					size += 128 + 24*len(m.ends)
				}
				return uint32(min(size, maxMarkBytes+1)) //nolint:gosec // it is bounded in the same line
			},
		}),
		walks: map[*walk]struct{}{},
	}
}

// walk is one reading of a session's windows, in order.
type walk struct {
	marks   *marks
	session sessionKey
	limit   *core.CaptureKey // the first capture that was written or deleted meanwhile; nil: none
}

// begin begins a walk, before anything is read. The caller ends it.
func (m *marks) begin(session sessionKey) *walk {
	w := &walk{marks: m, session: session}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.walks[w] = struct{}{}
	return w
}

func (w *walk) end() {
	w.marks.mu.Lock()
	defer w.marks.mu.Unlock()
	delete(w.marks.walks, w)
}

// from returns the last mark before a place; ok is false if there is none.
func (w *walk) from(place core.CaptureKey) (last mark, ok bool) {
	w.marks.mu.Lock()
	defer w.marks.mu.Unlock()
	list, _ := w.marks.known.GetIfPresent(w.session)
	i := before(list, place)
	if i == 0 {
		return mark{}, false
	}
	return list[i-1], true
}

// keep remembers the end of the next window, unless a capture in it or before it has changed since the walk
// began.
func (w *walk) keep(next mark) {
	w.marks.mu.Lock()
	defer w.marks.mu.Unlock()
	if w.limit != nil && compareKeys(*w.limit, next.after) <= 0 {
		return
	}
	list, _ := w.marks.known.GetIfPresent(w.session)
	if next.done != window*(len(list)+1) { // it is known, or one before it was forgotten
		return
	}
	w.marks.known.Set(w.session, append(slices.Clip(list), next))
}

// changed forgets what captures make wrong that were stored.
func (m *marks) changed(stored []core.Capture) {
	first := map[sessionKey]core.CaptureKey{}
	for _, c := range stored {
		session, key := sessionKey{c.Project, c.Session}, keyOf(c)
		if got, ok := first[session]; !ok || compareKeys(key, got) < 0 {
			first[session] = key
		}
	}
	for session, key := range first {
		m.forget(session, key)
	}
}

// forget forgets a session from a place on; from the zero place on that is all of it.
func (m *marks) forget(session sessionKey, from core.CaptureKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.walks {
		if w.session == session {
			w.lower(from)
		}
	}
	list, _ := m.known.GetIfPresent(session)
	if i := before(list, from); i < len(list) {
		m.known.Set(session, slices.Clip(list[:i]))
	}
}

// forgetAll forgets all: captures of any session have gone.
func (m *marks) forgetAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.walks {
		w.lower(core.CaptureKey{})
	}
	m.known.InvalidateAll()
}

func (w *walk) lower(from core.CaptureKey) {
	if w.limit == nil || compareKeys(from, *w.limit) < 0 {
		w.limit = &from
	}
}

// before is how many marks lie before a place.
func before(list []mark, place core.CaptureKey) int {
	i, _ := slices.BinarySearchFunc(list, place, func(m mark, key core.CaptureKey) int { return compareKeys(m.after, key) })
	return i
}

func compareKeys(a, b core.CaptureKey) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
}
