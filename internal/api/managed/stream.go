package managed

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

// recent is how old the last input may be for a new stream to begin with it (CMA section 4.5): a client
// that sends first and opens the stream then would miss a quick turn, and wait for ever.
const recent = 10 * time.Second

// patience is how long a stream that goes on behind a turn waits for the next one (goOn).
const patience = 2 * time.Second

// maxLate is how many deltas may come behind their finished event: as many as wait for one watcher
// (internal/bus).
const maxLate = 64

// maxDeltaTypes bounds the parameter event_deltas[] (CMA section 4.5).
const maxDeltaTypes = 100

// wantsStream says that Qoder's list of events becomes the stream if the client accepts one.
func wantsStream(c *call) bool {
	return c.fl == Qoder && slices.ContainsFunc(c.Header.Values("Accept"), func(v string) bool {
		return strings.Contains(v, "text/event-stream")
	})
}

// serveStream serves GET /sessions/{session}/events/stream (CMA section 4.5, qoder.md sections 5.7 and
// 5.8). What is wrong with the request is answered as usual; once the stream has begun, an error is its
// last frame.
func (f *Face) serveStream(w http.ResponseWriter, c *call) {
	want, err := f.watch(c)
	if err != nil {
		f.fail(w, c.Request, c.fl, err)
		return
	}
	select {
	case f.streams <- struct{}{}:
		defer func() { <-f.streams }()
	default:
		f.fail(w, c.Request, c.fl, &core.Error{
			Kind: core.RateLimited, Code: "too_many_streams", RetryAfter: 5 * time.Second,
			Message: "this server has as many streams open as it can hold",
		})
		return
	}
	// What this client was told is looked up before it can go on: from the headers on it may send.
	told := int64(0)
	if want.opts.Tail && want.opts.Thread == "" {
		told = f.told.behind(watcherOf(c, want.session.ID), f.now())
	}
	s := &stream{
		translator: translator{f: f, c: c, session: want.session, thread: want.opts.Thread}, w: w, deltas: want.deltas, skip: want.behind,
		begun: map[core.EventID]bool{},
	}
	want.opts.Ready = func() (err error) { // clients take the headers as "subscribed"
		if s.out == nil {
			s.out, err = httpio.StartStream(w)
		}
		return err
	}
	if told > 0 {
		if !s.goOn(c.Context(), want.opts, told) {
			return
		}
		want.opts.Recent += patience // what was recent when the stream began
	}
	s.run(c.Context(), f.sessions.Follow(c.Context(), c.by, want.session.ID, want.opts))
}

// goOn is for a client that was told of the last turn on another stream: it goes on behind that turn,
// because to begin with it would look like the end of the turn that the client is about to begin. But if
// nothing begins for a while, another client, which cannot be told from that one, waits for the turn.
// Then goOn reports true, and the stream has to begin as any other.
func (s *stream) goOn(ctx context.Context, opts session.FollowOptions, told int64) (again bool) {
	quiet, cancel := context.WithCancel(ctx)
	defer cancel()
	s.waiting = time.AfterFunc(patience, cancel)
	defer s.waiting.Stop()
	opts.Tail, opts.After = false, told
	s.run(quiet, s.f.sessions.Follow(quiet, s.c.by, s.session.ID, opts))
	return quiet.Err() != nil && ctx.Err() == nil
}

// watch is what a request for a stream asks for.
type watch struct {
	session core.Session
	opts    session.FollowOptions
	deltas  []string // the types that previews are wanted of
	behind  place    // where a resumed stream goes on; zero: it is not resumed
}

// watch reads the request: everything that can be wrong with it is found here.
func (f *Face) watch(c *call) (watch, error) {
	want := watch{opts: session.FollowOptions{Tail: true, Recent: recent}, deltas: c.query.each("event_deltas")}
	var err error
	if want.session, err = f.session(c); err != nil {
		return want, err
	}
	if c.PathValue("thread") != "" {
		t, err := f.thread(c, want.session)
		if err != nil {
			return want, err
		}
		want.opts.Thread = t.ID
	}
	if len(want.deltas) > maxDeltaTypes {
		return want, core.InvalidField("event_deltas", "at most %d values", maxDeltaTypes)
	}
	for _, d := range want.deltas {
		if d != string(core.EventAgentMessage) && d != string(core.EventAgentThinking) {
			return want, core.InvalidField("event_deltas", "%q is not agent.message or agent.thinking", d)
		}
	}
	want.opts.Deltas = len(want.deltas) > 0
	last := c.Header.Get("Last-Event-ID")
	if !c.fl.frameIDs || last == "" {
		return want, nil
	}
	want.behind, err = f.eventPlace(c, want.session, want.opts.Thread, last)
	if core.KindOf(err) == core.NotFound {
		return want, core.InvalidField("Last-Event-ID", "%q is not an event of this session", last)
	}
	// The event itself is read again, because it may have a second form behind the first.
	want.opts.Tail, want.opts.Recent, want.opts.After = false, 0, want.behind.seq-1
	return want, err
}

// stream is one watcher's connection.
type stream struct {
	translator
	w       http.ResponseWriter
	out     *httpio.Stream        // nil: not begun
	deltas  []string              // the types that previews are wanted of
	skip    place                 // this form, and those of the same event before it, were told before
	begun   map[core.EventID]bool // previews that have begun
	ended   []core.EventID        // the last events that were sent whole, at most maxLate
	waiting *time.Timer           // of goOn; nil: nothing waits for a turn to begin
}

// run writes what the session has to tell until the client leaves, the session is deleted, or something
// fails.
func (s *stream) run(ctx context.Context, feeds func(func(session.Feed, error) bool)) {
	for feed, err := range feeds {
		over := false
		switch {
		case core.KindOf(err) == core.NotFound && s.out != nil: // deleted while it was watched
			over, err = s.feed(session.Feed{Deleted: true})
		case err == nil:
			over, err = s.feed(feed)
		}
		if err != nil {
			s.fail(err)
			return
		}
		if s.out.Flush() != nil || over || ctx.Err() != nil {
			return
		}
	}
}

// fail ends the stream with an error frame.
func (s *stream) fail(err error) {
	if s.c.Context().Err() != nil {
		return
	}
	if s.out == nil { // not begun: it is an answer as any other
		s.f.fail(s.w, s.c.Request, s.c.fl, err)
		return
	}
	a := s.f.failed(s.c, err)
	s.out.Event("", "error", a.body)
	_ = s.out.Flush() // it was the last word anyway
}

// feed writes one thing. It reports whether it was the last one.
func (s *stream) feed(feed session.Feed) (over bool, err error) {
	switch {
	case feed.Event != nil:
		return s.event(*feed.Event)
	case feed.Delta != nil:
		s.delta(*feed.Delta)
	case feed.Beat && s.c.fl.frameIDs:
		s.out.Comment("heartbeat")
	case feed.Beat:
		s.out.Event("", "ping", []byte(`{"type":"ping"}`))
	case feed.Deleted:
		id := s.eventID(core.NewID[core.EventID]())
		s.frame(form{kind: "session.deleted", id: id, body: head{id, "session.deleted", timestamp(s.f.now())}})
		return true, nil
	}
	return false, nil
}

// event writes an event of the log in all its forms.
func (s *stream) event(e core.Event) (over bool, err error) {
	if s.waiting != nil && (e.Type == core.EventStatusRunning || !e.ProcessedAt.Equal(e.At)) {
		s.waiting.Stop() // a turn begins
	}
	if e.Type == core.EventInputProcessed {
		return false, s.processed(e)
	}
	if !e.ProcessedAt.Equal(e.At) {
		// Input that waited in the queue when it was appended. Whether it was taken up by now is told by
		// the event for that, so that every watcher sees the same.
		e.ProcessedAt = time.Time{}
	}
	forms, err := s.forms(e)
	if err != nil {
		return true, err
	}
	if e.Seq == s.skip.seq {
		forms = forms[min(s.skip.form+1, len(forms)):]
	}
	for _, form := range forms {
		s.frame(form)
	}
	if e.Type == core.EventAgentMessage || e.Type == core.EventAgentThinking {
		s.end(e.ID)
	}
	if e.Type == core.EventStatusIdle && s.thread == "" {
		s.f.told.note(watcherOf(s.c, s.session.ID), mark{seq: e.Seq, at: s.f.now()})
	}
	last := e.Type == core.EventStatusTerminated || e.Type == core.EventThreadTerminated && e.Thread == s.thread
	return last && s.c.fl.endsStream, nil
}

// processed sends input once more, now with the time at which it was taken up (CMA section 4.3).
func (s *stream) processed(e core.Event) error {
	done, err := core.Payload[core.InputProcessed](e)
	if err != nil {
		return &core.Error{Err: err}
	}
	for _, id := range done.Events {
		input, err := s.f.sessions.Event(s.c.Context(), s.c.by, s.session.ID, id)
		if err != nil {
			return err
		}
		if stampedAtOnce(input.Type) { // its time was that of its receipt
			continue
		}
		forms, err := s.forms(input)
		if err != nil {
			return err
		}
		for _, form := range forms {
			s.frame(form)
		}
	}
	return nil
}

// end remembers that an event was sent whole: no preview of it may follow (CMA section 4.5).
func (s *stream) end(id core.EventID) {
	delete(s.begun, id)
	if len(s.ended) == maxLate {
		s.ended = s.ended[1:]
	}
	s.ended = append(s.ended, id)
}

// delta writes a piece of an event that is still being made. Of thinking only the beginning is shown.
func (s *stream) delta(d core.Delta) {
	if !slices.Contains(s.deltas, string(d.Type)) || slices.Contains(s.ended, d.Event) {
		return
	}
	switch {
	case d.Start && !s.begun[d.Event]: // one event_start for each event and connection
		s.begun[d.Event] = true
		s.frame(form{kind: "event_start", body: startWire{"event_start", previewWire{s.eventID(d.Event), string(d.Type)}}})
	case !d.Start && s.begun[d.Event] && d.Type == core.EventAgentMessage:
		s.frame(form{kind: "event_delta", body: deltaWire{
			"event_delta", s.eventID(d.Event),
			pieceWire{"content_delta", d.Index, textWire{"text", d.Text}},
		}})
	}
}

type startWire struct {
	Type  string      `json:"type"`
	Event previewWire `json:"event"`
}

type previewWire struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type deltaWire struct {
	Type    string    `json:"type"`
	EventID string    `json:"event_id"`
	Delta   pieceWire `json:"delta"`
}

type pieceWire struct {
	Type    string   `json:"type"`
	Index   int      `json:"index"`
	Content textWire `json:"content"`
}

type textWire struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// unframed are types that clients drop when a frame has their name, because their decoders have a fixed
// list of names without it. As "message" they arrive: decoding goes by the type inside (CMA section
// 4.5, rules 3 and 4).
var unframed = []string{string(core.EventSessionUsage)}

func (s *stream) frame(f form) {
	id, name := "", f.kind
	if s.c.fl.frameIDs {
		id = f.id
	}
	if !s.c.fl.frameNames && slices.Contains(unframed, name) {
		name = "message"
	}
	body, isRaw := f.body.(json.RawMessage)
	if !isRaw {
		body = encode(f.body)
	}
	s.out.Event(id, name, body)
}
