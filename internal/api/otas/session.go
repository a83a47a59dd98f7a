package otas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// createSession serves POST /api/agent/v1/session/create/ (seed page 001). The id of the session is only
// inside its token.
func (f *Face) createSession(c *call) (reply, error) {
	body, err := c.objectOrEmpty()
	if err != nil {
		return reply{}, err
	}
	meta, err := body.meta()
	if err != nil {
		return reply{}, err
	}
	sess, err := f.sessions.Observe(c.r.Context(), c.by, meta)
	if err != nil {
		return reply{}, err
	}
	token, err := f.identity.SessionToken(sess, sess.CreatedAt)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "agent_session_created", "response", struct {
		Header string `json:"Header_value"` // spelled so in the seed page
		Token  string `json:"jwt_token"`
	}{headerSessionToken, token}}, nil
}

// maxMeta is the largest meta in bytes: it is shown whole in every list of sessions.
const maxMeta = 256 << 10

// meta reads the free object of a session: absent and null are {}. The original keeps other types
// too; the seed page says object.
func (o object) meta() (json.RawMessage, error) {
	raw, ok := o["meta"]
	if !ok || string(raw) == "null" {
		return json.RawMessage("{}"), nil
	}
	if raw[0] != '{' {
		return nil, core.Errorf(core.Invalid, "invalid_meta", "meta must be a JSON object")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, fmt.Errorf("compact meta: %w", err) // the body was checked: this cannot be
	}
	if b.Len() > maxMeta {
		return nil, core.Errorf(core.TooLarge, "meta_too_large", "meta has more than %d bytes", maxMeta)
	}
	return b.Bytes(), nil
}

var errAgentRequired = core.Errorf(core.Invalid, "agent_id_required", "agent_id is required")

// The original lists all sessions of an agent in one answer (section 8, P6). A list here ends when it
// is this long, and says where to go on.
const (
	sessionsAtOnce = 100      // read from the store
	maxSessions    = 10_000   // in one answer
	maxMetaListed  = 16 << 20 // bytes of meta in one answer
)

// listSessions serves GET /api/agent/v1/sessions/list/?agent_id= (reference 3.18), newest first. Two
// parameters are Reeve's own: limit (1 to 10,000), and after, a next_after of an earlier answer. An
// answer has next_after only if there is more.
func (f *Face) listSessions(c *call) (reply, error) {
	query := c.r.URL.Query()
	given := query.Get("agent_id")
	if given == "" {
		return reply{}, errAgentRequired
	}
	agent, err := f.liveAgent(c, given)
	if err != nil {
		return reply{}, err
	}
	limit := maxSessions
	if given := query.Get("limit"); given != "" {
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > maxSessions {
			return reply{}, core.InvalidField("limit", "must be 1 to %d", maxSessions)
		}
	}
	page := core.SessionPage{Agent: agent.ID, IncludeArchived: true}
	if given := query.Get("after"); given != "" {
		if page.After, err = parseCursor(given); err != nil {
			return reply{}, err
		}
	}
	list, next, err := f.someSessions(c, page, limit)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "agent_sessions_listed", "response", struct {
		AgentID   string        `json:"agent_id"`
		Sessions  []sessionWire `json:"sessions"`
		NextAfter string        `json:"next_after,omitempty"`
	}{core.FormatUUID(agent.ID), list, next}}, nil
}

// someSessions reads at most limit sessions in portions, each with one query for what was captured in
// them. next is empty at the end of the list.
func (f *Face) someSessions(c *call, page core.SessionPage, limit int) (list []sessionWire, next string, err error) {
	list = []sessionWire{}
	for size := 0; ; {
		page.Limit = min(sessionsAtOnce, limit-len(list)+1) // one more tells whether there is more
		found, err := f.sessions.Sessions(c.r.Context(), c.by, page)
		if err != nil {
			return nil, "", err
		}
		counts, err := f.counts(c, found)
		if err != nil {
			return nil, "", err
		}
		for _, s := range found {
			if len(list) == limit || size > maxMetaListed {
				return list, cursor(*page.After), nil
			}
			size += len(s.Meta)
			list = append(list, sessionOf(s, counts[s.ID]))
			page.After = &core.PageKey{CreatedAt: s.CreatedAt, ID: string(s.ID)}
		}
		if len(found) < page.Limit {
			return list, "", nil
		}
	}
}

// counts sums up the captures of the sessions; those without any are not in it.
func (f *Face) counts(c *call, sessions []core.Session) (map[core.SessionID]core.CaptureCounts, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	ids := make([]core.SessionID, 0, len(sessions))
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return f.captures.SessionCaptures(c.r.Context(), c.by, ids)
}

// cursor writes a place in the list: microseconds since 1970, and the id.
func cursor(k core.PageKey) string {
	return strconv.FormatInt(k.CreatedAt.UnixMicro(), 10) + "." + k.ID
}

func parseCursor(s string) (*core.PageKey, error) {
	at, id, _ := strings.Cut(s, ".")
	micros, err := strconv.ParseInt(at, 10, 64)
	sess, ok := core.ParseID[core.SessionID](id)
	if err != nil || !ok {
		return nil, core.InvalidField("after", "must be a next_after of an earlier answer")
	}
	return &core.PageKey{CreatedAt: time.UnixMicro(micros).UTC(), ID: string(sess)}, nil
}

// verifyAgent serves POST /api/agent/v1/auth/verify/ (reference 3.19). The guard did the work.
func (f *Face) verifyAgent(c *call) (reply, error) {
	type agent struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Provider string `json:"provider"`
	}
	return reply{http.StatusOK, "authenticated", "response", struct {
		ProjectID string `json:"project_id"`
		Agent     agent  `json:"agent"`
	}{core.FormatUUID(c.by.Project), agent{core.FormatUUID(c.agent.ID), c.agent.Name, c.agent.Provider}}}, nil
}

// endSession serves POST /api/agent/v1/session/end/. The session's token stops working, what it recorded
// stays. Sessions that this server runs itself end in their own dialects: here they are not found.
func (f *Face) endSession(c *call) (reply, error) {
	given, err := c.givenID("session_id")
	if err != nil {
		return reply{}, err
	}
	id, ok := core.ParseID[core.SessionID](given)
	if !ok {
		return reply{}, core.NotFoundError("session", given)
	}
	s, err := f.sessions.Session(c.r.Context(), c.by, id)
	if err != nil {
		return reply{}, err
	}
	if s.Origin != core.OriginObserved {
		return reply{}, core.NotFoundError("session", given)
	}
	if _, err := f.sessions.Archive(c.r.Context(), c.by, id); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "agent_session_ended", "response", struct {
		ID string `json:"id"`
	}{core.FormatUUID(id)}}, nil
}
