package core

import (
	"context"
	"encoding/json"
	"time"
)

// CaptureID is the id of a Capture.
type CaptureID string

// CaptureVia says who saw a recorded call.
type CaptureVia string

const (
	CaptureByAgent CaptureVia = "agent" // the agent itself, after it had called someone outside
	CaptureBySDK   CaptureVia = "sdk"   // the project's own backend, which an agent had called
)

// Capture is one recorded HTTP call of an agent: what OTAS calls an event.
type Capture struct {
	Project    ProjectID
	ID         CaptureID
	Agent      AgentID
	Session    SessionID
	Via        CaptureVia
	At         time.Time // when the call had ended, by the reporter's clock
	ReceivedAt time.Time // when it reached this server

	Path       string
	Method     string
	StatusCode int     // 0: there was no answer
	LatencyMS  float64 // finite, 0 or more
	// Host names the service that was called, from the host header, if Path is no whole URL: at most 260
	// bytes. Nil: not known. It is there in Bare captures too.
	Host *string

	RequestBytes  int64
	ResponseBytes int64

	// Texts of the call, secrets already taken out; nil: not reported.
	RequestHeaders      *string // JSON text as a rule, name to value
	RequestBody         *string
	QueryParams         *string
	PostData            *string
	ResponseHeaders     *string
	ResponseBody        *string
	RequestContentType  *string
	ResponseContentType *string
	CustomProperties    json.RawMessage // any JSON; nil: not reported
	Metadata            json.RawMessage // the same
	Error               *string         // what went wrong; nil: not reported. "" is no error

	// Named says that the reporter chose the ID, so that it can report again what it is not sure of.
	Named bool
}

// Failed reports whether the call went wrong: its reporter says so, the other side failed (5xx), or
// nobody answered. A 4xx is the other side doing its work: see ClientFailed.
func (c Capture) Failed() bool {
	return c.Error != nil && *c.Error != "" || c.StatusCode == 0 || c.StatusCode >= 500
}

// ClientFailed reports whether the call was answered with 4xx and nothing else went wrong.
func (c Capture) ClientFailed() bool {
	return !c.Failed() && c.StatusCode >= 400
}

// Day is a day in UTC: days since 1970-01-01.
type Day int

// DayOf returns the day of t in UTC.
func DayOf(t time.Time) Day {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return Day(d)
}

// Time returns the first moment of the day, UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// Days is a span of days, both ends included.
type Days struct{ From, To Day }

// CaptureKey is the place of a capture in its session: order by At, then by ID.
type CaptureKey struct {
	At time.Time
	ID CaptureID
}

// CaptureQuery is a query for the captures of one session, oldest first.
type CaptureQuery struct {
	Limit int         // 1 to 10,000
	After *CaptureKey // nil: from the beginning
	// Bare leaves out headers, bodies, parameters, properties and metadata: the pointers are nil. Error
	// and the content types are there.
	Bare bool
	// MaxBytes ends the page early, after the capture with which the texts of the page reach that many
	// bytes; 0: it does not. A page is never empty because of it.
	MaxBytes int
}

// CaptureCounts sum up what was captured in a session.
type CaptureCounts struct {
	Captures     int64
	Errors       int64 // Failed
	ClientErrors int64 // ClientFailed
	FirstAt      time.Time
	LastAt       time.Time
}

// MaxDayPaths is how many paths of one agent are counted apart on one day, those that came first. Further
// ones are counted under OtherPaths, so that an agent that calls a new path each time does not make reading
// the counts slow. The captures themselves keep their paths.
const MaxDayPaths = 2000

// OtherPaths stands, where calls are counted by path, for all paths beyond MaxDayPaths. A call of a path
// that is really called so is counted with them.
const OtherPaths = "…other paths"

// PathDay is how often one path was called on one day.
type PathDay struct {
	Path  string // or OtherPaths
	Day   Day
	Count int64
}

// LatencyDay are the percentiles of one day, in milliseconds: those of all its captures, exact, with
// linear interpolation between the two nearest ranks (PERCENTILE_CONT of SQL).
type LatencyDay struct {
	Day           Day
	Count         int64
	P50, P95, P99 float64
}

// ErrorDay counts the captures of one day.
type ErrorDay struct {
	Day          Day
	Count        int64 // all
	Errors       int64 // Failed
	ClientErrors int64 // ClientFailed
}

// PathErrors is what went wrong on one path.
type PathErrors struct {
	Path         string // or OtherPaths
	Count        int64  // all calls of the path
	Errors       int64  // Failed
	ClientErrors int64  // ClientFailed
	// Statuses counts calls by method and status code: the MaxStatuses most frequent ones, those first.
	Statuses []MethodStatus
	// MoreStatuses says that there were more of them.
	MoreStatuses bool
	// Last is the newest capture that Failed, Bare; nil if none did. It has its own path, even in
	// OtherPaths.
	Last *Capture
}

// MaxStatuses is how many Statuses PathErrors has at most.
const MaxStatuses = 50

// MethodStatus is how often a method got a status code.
type MethodStatus struct {
	Method     string
	StatusCode int
	Count      int64
	Errors     int64 // Failed
}

// MaxSummedBytes is where sums of RequestBytes and of ResponseBytes end: what is more counts as this.
const MaxSummedBytes = 1<<62 - 1

// AgentUsage is what one agent did, in whole or on one day.
type AgentUsage struct {
	Agent         AgentID
	Day           Day // 0 in sums over days
	Captures      int64
	Errors        int64
	ClientErrors  int64
	Sessions      int64   // sessions that have captures in the span; 0 in rows of single days
	RequestBytes  int64   // at most MaxSummedBytes
	ResponseBytes int64   // the same
	LatencyMS     float64 // the sum of all latencies
	MaxLatencyMS  float64
}

// CaptureStore keeps captures and what is counted of them. Its promises, which store/storetest proves on
// every engine:
//
//   - Every method takes the project and never sees another's. What it has never heard of is empty, not
//     NotFound: whether an agent or a session exists is known elsewhere.
//   - What is counted agrees with the captures that are kept, in the same transaction.
//   - Times come back as they went in: UTC, cut to whole microseconds.
type CaptureStore interface {
	// AppendCaptures stores captures of any projects, all or none, and reports for each whether it is
	// new: one that is Named and whose ID the same agent has reported before is not stored again. When it
	// returns nil, everything is committed.
	AppendCaptures(ctx context.Context, captures []Capture) (fresh []bool, err error)
	// Captures lists a session's captures, oldest first; empty if there are none.
	Captures(ctx context.Context, project ProjectID, agent AgentID, session SessionID, q CaptureQuery) ([]Capture, error)
	// SessionCaptures counts by session. Sessions without captures are not in the map.
	SessionCaptures(ctx context.Context, project ProjectID, sessions []SessionID) (map[SessionID]CaptureCounts, error)

	// PathDays lists what an agent called, by path in order of its bytes, then by day. Of more than limit
	// paths it returns those that were called most, and reports that there are more. MaxDayPaths says which
	// paths are counted under OtherPaths, which is one of the paths here and in PathErrors.
	PathDays(ctx context.Context, project ProjectID, agent AgentID, days Days, limit int) (list []PathDay, more bool, err error)
	// LatencyDays lists the percentiles of days that have captures, in order.
	LatencyDays(ctx context.Context, project ProjectID, agent AgentID, days Days) ([]LatencyDay, error)
	// ErrorDays counts the days that have captures, in order.
	ErrorDays(ctx context.Context, project ProjectID, agent AgentID, days Days) ([]ErrorDay, error)
	// PathErrors lists the limit paths with the most errors, then client errors, then calls. Paths where
	// neither sort happened are left out.
	PathErrors(ctx context.Context, project ProjectID, agent AgentID, days Days, limit int) ([]PathErrors, error)
	// Usage sums up each agent that has captures in the span, most captures first; agents empty: all of
	// the project.
	Usage(ctx context.Context, project ProjectID, agents []AgentID, days Days) ([]AgentUsage, error)
	// UsageDays is the usage of one agent by day, in order.
	UsageDays(ctx context.Context, project ProjectID, agent AgentID, days Days) ([]AgentUsage, error)

	// ForgetSession deletes a session's captures and takes them out of all counts; only MaxLatencyMS may
	// stay too high. It works in small transactions and rests between them as long as they took, so that
	// nobody waits for it long: a long session takes seconds. A ctx that ends leaves the rest of them.
	ForgetSession(ctx context.Context, project ProjectID, session SessionID) error
	// ExpireCaptures deletes at most limit captures of days before the given one, of any project, and
	// takes them out of all counts. It works as ForgetSession does, and rests once more if it deleted limit.
	// It returns how many it deleted, also with an error; fewer than limit and no error: there are no more.
	ExpireCaptures(ctx context.Context, before Day, limit int) (int, error)
}
