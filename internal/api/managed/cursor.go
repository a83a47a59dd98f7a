package managed

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxPage and defaultPage are the largest and the usual page of a list (CMA section 1.5, qoder.md
// section 2.6).
const (
	maxPage     = 100
	defaultPage = 20
)

// cursor is a place in a list. On the Claude wire it is opaque text; on the Qoder wire it is the id of
// the item at that place.
type cursor struct {
	list string // which list it belongs to
	asc  bool   // the order in which it was made
	back bool   // the page lies before the place, not behind it
	at   int64  // microseconds of creation; version or Seq for the lists that are ordered by that
	id   string // 32 hex digits; empty where at is enough
}

const cursorPrefix = "page_"

func (c cursor) String() string {
	flags := ""
	if c.asc {
		flags += "a"
	}
	if c.back {
		flags += "b"
	}
	text := fmt.Sprintf("%s.%s.%d.%s", c.list, flags, c.at, c.id)
	return cursorPrefix + base64.RawURLEncoding.EncodeToString([]byte(text))
}

var errCursor = core.InvalidField("page", "is not a cursor of this list")

func parseCursor(text, list string) (cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, cursorPrefix))
	parts := strings.Split(string(raw), ".")
	if err != nil || !strings.HasPrefix(text, cursorPrefix) || len(parts) != 4 || parts[0] != list {
		return cursor{}, errCursor
	}
	at, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return cursor{}, errCursor
	}
	if parts[3] != "" {
		if id, ok := core.ParseID[string](parts[3]); !ok || id != parts[3] {
			return cursor{}, errCursor
		}
	}
	c := cursor{list: list, asc: strings.Contains(parts[1], "a"), back: strings.Contains(parts[1], "b"), at: at, id: parts[3]}
	if c.String() != text {
		return cursor{}, errCursor
	}
	return c, nil
}

// key is the cursor's place for lists that are ordered by creation.
func (c cursor) key() *core.PageKey {
	return &core.PageKey{CreatedAt: time.UnixMicro(c.at).UTC(), ID: c.id}
}

// window is the part of a list that a request asks for.
type window struct {
	list  string
	ids   bool // cursors are ids
	asc   bool
	limit int
	from  *cursor // nil: the beginning
}

// window reads limit, order and the cursor. locate finds the place of an id, for the wire whose cursors
// are ids; NotFound from it means that the cursor is wrong.
func (c *call) window(list string, asc bool, fallback, max int, locate func(id string) (cursor, error)) (window, error) {
	return c.windowBy(c.fl.idCursors, list, asc, fallback, max, locate)
}

// windowBy is window for a list whose cursors may be ids on either wire.
func (c *call) windowBy(ids bool, list string, asc bool, fallback, max int, locate func(id string) (cursor, error)) (window, error) {
	w := window{list: list, ids: ids}
	var err error
	if w.limit, err = c.query.number("limit", fallback, max); err != nil {
		return w, err
	}
	if w.asc, err = c.query.ascending(asc); err != nil {
		return w, err
	}
	if ids {
		w.from, err = c.idCursor(locate, c.oldCursors(list)...)
	} else if text := c.query.Get("page"); text != "" {
		var from cursor
		from, err = parseCursor(text, list)
		if err == nil && from.asc != w.asc {
			err = core.InvalidField("page", "was made with another order")
		}
		w.from = &from
	}
	return w, err
}

// oldCursors are the old spellings of cursors, which some lists take too (qoder.md section 2.6).
func (c *call) oldCursors(list string) []string {
	if c.fl == Qoder && (list == vaultList || list == skillList || list == fileList) {
		return []string{"after", "before"}
	}
	return nil
}

// idCursor reads page, after_id, before_id and the old spellings, of which a request may have one (qoder.md
// section 2.6).
func (c *call) idCursor(locate func(id string) (cursor, error), old ...string) (*cursor, error) {
	name := ""
	for _, n := range append([]string{"page", "after_id", "before_id"}, old...) {
		if !c.query.Has(n) || c.query.Get(n) == "" {
			continue
		}
		if name != "" {
			return nil, core.InvalidField(n, "cannot be combined with %s", name)
		}
		name = n
	}
	if name == "" {
		return nil, nil
	}
	from, err := locate(c.query.Get(name))
	if core.KindOf(err) == core.NotFound {
		return nil, core.InvalidField(name, "is not a cursor of this list")
	}
	from.back = strings.HasPrefix(name, "before")
	return &from, err
}

// within refuses a cursor that lies outside of the times that the request asks for: its list was another
// one (CMA section 1.5).
func (w window) within(s span) error {
	if w.from != nil && !s.holds(time.UnixMicro(w.from.at).UTC()) {
		return core.InvalidField("page", "lies outside of the range of created_at")
	}
	return nil
}

// keys are the two sides of the cursor for lists that are ordered by creation.
func (w window) keys() (after, before *core.PageKey) {
	switch {
	case w.from == nil:
		return nil, nil
	case w.from.back:
		return nil, w.from.key()
	}
	return w.from.key(), nil
}

// fetch is how many items to ask for: one more than are shown tells whether there is another page.
func (w window) fetch() int { return w.limit + 1 }

// entry is an item on the wire and its place.
type entry struct {
	at   int64
	id   string // as in cursor
	wire string // the id that clients see
	body any
}

// page is the envelope of Claude lists.
type page struct {
	Data     []any   `json:"data"`
	NextPage *string `json:"next_page"`
}

// sessionPage is page for the one list that can be read backwards, too.
type sessionPage struct {
	page
	PrevPage *string `json:"prev_page"`
}

// idPage is the envelope of Qoder lists.
type idPage struct {
	Data     []any   `json:"data"`
	FirstID  *string `json:"first_id"`
	LastID   *string `json:"last_id"`
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page"`
}

// envelope cuts the extra item off and writes the list with its cursors.
func (w window) envelope(items []entry) any {
	back := w.from != nil && w.from.back
	more := len(items) > w.limit
	if more && back {
		items = items[len(items)-w.limit:] // the extra one is the farthest from the cursor
	} else if more {
		items = items[:w.limit]
	}
	data := make([]any, len(items))
	for i := range items {
		data[i] = items[i].body
	}
	if len(items) == 0 { // an empty page never has a cursor, or clients would ask for ever
		if w.ids {
			return idPage{Data: data}
		}
		return w.claude(page{Data: data}, nil)
	}
	first, last := items[0], items[len(items)-1]
	if w.ids {
		p := idPage{Data: data, FirstID: &first.wire, LastID: &last.wire, HasMore: more}
		if more && !back || back {
			p.NextPage = &last.wire
		}
		return p
	}
	p := page{Data: data}
	if more || back { // behind a page before the cursor lies the cursor
		next := w.cursor(last, false)
		p.NextPage = &next
	}
	if w.from != nil && (more || !back) {
		prev := w.cursor(first, true)
		return w.claude(p, &prev)
	}
	return w.claude(p, nil)
}

func (w window) claude(p page, prev *string) any {
	if w.list == sessionList {
		return sessionPage{page: p, PrevPage: prev}
	}
	return p
}

func (w window) cursor(e entry, back bool) string {
	return cursor{list: w.list, asc: w.asc, back: back, at: e.at, id: e.id}.String()
}

// Names of the lists, as they stand in cursors.
const (
	agentList       = "agent"
	versionList     = "version"
	environmentList = "env"
	sessionList     = "sesn"
	eventList       = "sevt"
	threadList      = "sthr"
	modelList       = "model"
)
