package otas

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

var (
	errMissingUserToken = core.Errorf(core.Unauthenticated, "missing_user_token", "the header %s is missing", headerUserToken)
	errMissingAgentID   = core.Errorf(core.Invalid, "missing_agent_id", "the header %s is missing", headerAgent)
	errMissingProjectID = core.Errorf(core.Invalid, "missing_project_id", "the header %s is missing", headerProject)
)

// What is wrong with the query of a read. The original answers with the sentences, its documentation has
// the codes of the dates (reference 4.2 and 4.3): an answer has the sentence where the original has it, and
// the code beside it.
var (
	errMissingDates   = core.Errorf(core.Invalid, "missing_dates", "start_date and end_date are required")
	errDateFormat     = core.Errorf(core.Invalid, "invalid_date_format", "dates must be in YYYY-MM-DD format")
	errDateRange      = core.Errorf(core.Invalid, "invalid_date_range", "start_date must be before or equal to end_date")
	errDateSpan       = core.Errorf(core.Invalid, "date_range_too_long", "start_date and end_date must span at most %d days", observe.MaxDays)
	errMissingSession = core.Errorf(core.Invalid, "missing_session_id", "session_id is required")
	errInvalidSession = core.Errorf(core.Invalid, "invalid_session_id", "session_id must be a valid UUID")
	errInvalidLimit   = core.Errorf(core.Invalid, "invalid_limit", "limit must be an integer")
)

// asRead calls those errors by their sentences.
var asRead = func() map[string]failure {
	table := map[string]failure{}
	for _, e := range []*core.Error{errMissingDates, errDateFormat, errDateRange, errDateSpan, errMissingSession, errInvalidSession, errInvalidLimit} {
		table[e.Code] = failure{http.StatusBadRequest, e.Message}
	}
	return table
}()

// moreOfRead gives the code of an error that is answered with a sentence.
func moreOfRead(_ string, err *core.Error) any {
	if _, ok := asRead[err.Code]; !ok {
		return nil
	}
	return struct {
		Code string `json:"code"`
	}{err.Code}
}

// checkRead is G-READ (reference 2.3). As with guardProject an access token stands for a person's, and may
// leave out the project. An agent id that is none is an agent that does not exist: the original fails with
// 500 (section 8, C7).
func (f *Face) checkRead(c *call) error {
	h := c.r.Header
	token, agent := h.Get(headerUserToken), h.Get(headerAgent)
	access := identity.IsAccessToken(token)
	switch {
	case token == "":
		return errMissingUserToken
	case agent == "":
		return errMissingAgentID
	case h.Get(headerProject) == "" && !access:
		return errMissingProjectID
	}
	var err error
	if access {
		err = f.checkAccess(c, token)
	} else {
		err = f.checkMember(c, token)
	}
	if err != nil {
		return err
	}
	c.agent, err = f.liveAgent(c, agent)
	return err
}

// days reads start_date and end_date (reference 4.3).
func (c *call) days() (core.Days, error) {
	query := c.r.URL.Query()
	start, end := query.Get("start_date"), query.Get("end_date")
	if start == "" || end == "" {
		return core.Days{}, errMissingDates
	}
	from, errFrom := parseDay(start)
	to, errTo := parseDay(end)
	if errFrom != nil || errTo != nil {
		return core.Days{}, errDateFormat
	}
	if from > to {
		return core.Days{}, errDateRange
	}
	if to-from >= observe.MaxDays {
		return core.Days{}, errDateSpan
	}
	return core.Days{From: from, To: to}, nil
}

// parseDay reads a date of the years 1 to 9999. Month and day may have one digit.
func parseDay(s string) (core.Day, error) {
	t, err := time.Parse("2006-1-2", s)
	if err == nil && t.Year() < 1 {
		err = errDateFormat
	}
	return core.DayOf(t), err
}

// limit reads the limit, moved to 1 … most if it lies outside (reference 4.2).
func limit(query url.Values, normal, most int) (int, error) {
	if !query.Has("limit") {
		return normal, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(query.Get("limit")))
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range, n is the nearest int
		return 0, errInvalidLimit
	}
	return min(max(n, 1), most), nil
}

// sessionID reads the session, in any spelling. given is the client's own.
func sessionID(query url.Values) (id core.SessionID, given string, err error) {
	given = query.Get("session_id")
	if given == "" {
		return "", "", errMissingSession
	}
	id, ok := core.ParseID[core.SessionID](given)
	if !ok {
		return "", "", errInvalidSession
	}
	return id, given, nil
}

// captureCursor writes a place in a session's captures: microseconds since 1970, and the id. Empty: nil.
func captureCursor(k *core.CaptureKey) string {
	if k == nil {
		return ""
	}
	return cursor(core.PageKey{CreatedAt: k.At, ID: string(k.ID)})
}

// captureAfter reads the place behind which a page begins; nil: at the beginning.
func captureAfter(query url.Values) (*core.CaptureKey, error) {
	given := query.Get("after")
	if given == "" {
		return nil, nil
	}
	k, err := parseCursor(given)
	if err != nil {
		return nil, err
	}
	return &core.CaptureKey{At: k.CreatedAt, ID: core.CaptureID(k.ID)}, nil
}
