package observe

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Source is who reports, and the session that the report belongs to. Who builds it has checked that the
// session is open and that the agent is the session's.
type Source struct {
	By      core.Principal // PrincipalAgent or PrincipalSDK
	Agent   core.AgentID
	Session core.SessionID
	Secrets []string // the key and the token that were presented: never to be stored
}

// Report is one call as it was reported, before any rule. Nil pointers and nil JSON: not reported.
type Report struct {
	Project      core.ProjectID // only looked at if ProjectGiven: it must be the source's own
	ProjectGiven bool
	ID           core.CaptureID // chosen by the reporter, 32 lower-case hex digits; empty: made here
	// At is when the call had ended; zero: now. Clocks differ, so up to 5 minutes ahead counts as now. It is
	// at most as old as captures are kept, or 366 days if they are kept for ever.
	At            time.Time
	Path          string  // 1 to 8192 characters
	Method        string  // 1 to 20 characters, kept as sent
	StatusCode    int64   // 0 to 999; 0: there was no answer
	LatencyMS     float64 // 0 to 86,400,000, a day
	RequestBytes  int64   // 0 to 1<<40, a tebibyte
	ResponseBytes int64   // the same

	RequestHeaders      *string
	RequestBody         *string
	QueryParams         *string
	PostData            *string
	ResponseHeaders     *string
	ResponseBody        *string
	RequestContentType  *string         // up to 255 characters
	ResponseContentType *string         // up to 255 characters
	CustomProperties    json.RawMessage // any JSON, nested up to 64 deep
	Metadata            json.RawMessage // the same
	Error               *string
}

// Limits of a report. The path and the sizes are Reeve's own; the method and the content types are those of
// reference otas.md, section 1.10.
const (
	MaxPath        = 8192       // characters
	MaxMethod      = 20         // characters
	MaxContentType = 255        // characters
	MaxLatencyMS   = 86_400_000 // a day
	MaxCallBytes   = 1 << 40    // in RequestBytes and ResponseBytes: sums over 8 million such calls still fit in 63 bits
	MaxReportBytes = 4 << 20    // of all texts and JSON of one report
	maxStatusCode  = 999
	maxDepth       = 64 // of custom properties and metadata
	maxAhead       = 5 * time.Minute
	maxAge         = 366 * 24 * time.Hour // when captures are kept for ever
)

// texts lists the optional texts of a report. The two of headers come first.
func (r *Report) texts() [9]**string {
	return [9]**string{
		&r.RequestHeaders, &r.ResponseHeaders, &r.RequestBody, &r.QueryParams, &r.PostData, &r.ResponseBody,
		&r.RequestContentType, &r.ResponseContentType, &r.Error,
	}
}

// size is what the report holds in memory, more or less.
func (r *Report) size() int64 {
	n := len(r.Path) + len(r.Method) + len(r.CustomProperties) + len(r.Metadata)
	for _, text := range r.texts() {
		if *text != nil {
			n += len(**text)
		}
	}
	return int64(n)
}

// capture checks a report and takes out its secrets. The report is its own copy, but what its pointers lead
// to is the caller's and stays as it is.
func (s *Service) capture(from Source, r Report, now time.Time, c *censor) (core.Capture, error) {
	if r.ProjectGiven && r.Project != from.By.Project {
		return core.Capture{}, core.Errorf(core.Forbidden, "project_mismatch", "project_id is not the project of this key")
	}
	if r.size() > MaxReportBytes {
		return core.Capture{}, core.Errorf(core.TooLarge, "event_too_large", "the texts of one event must not exceed %d bytes", MaxReportBytes)
	}
	if err := s.check(&r, now); err != nil {
		return core.Capture{}, err
	}
	out := core.Capture{
		Project: from.By.Project, ID: r.ID, Agent: from.Agent, Session: from.Session, Via: core.CaptureByAgent,
		At: r.At, ReceivedAt: now,
		StatusCode: int(r.StatusCode), LatencyMS: r.LatencyMS,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes, Named: r.ID != "",
	}
	if from.By.Kind == core.PrincipalSDK {
		out.Via = core.CaptureBySDK
	}
	if !out.Named {
		out.ID = core.NewID[core.CaptureID]()
	}
	host := s.redact(&r, c)
	if inPath, _ := splitURL(r.Path); inPath == "" && host != "" {
		out.Host = new(host)
	}
	out.Path, out.Method = r.Path, r.Method
	out.RequestHeaders, out.RequestBody, out.QueryParams, out.PostData = r.RequestHeaders, r.RequestBody, r.QueryParams, r.PostData
	out.ResponseHeaders, out.ResponseBody = r.ResponseHeaders, r.ResponseBody
	out.RequestContentType, out.ResponseContentType = r.RequestContentType, r.ResponseContentType
	out.CustomProperties, out.Metadata, out.Error = r.CustomProperties, r.Metadata, r.Error
	return out, nil
}

// check judges a report and puts its parts into the form that is stored. Fields are named as in reference
// otas.md, section 1.10.
func (s *Service) check(r *Report, now time.Time) error {
	if r.ID != "" {
		id, ok := core.ParseID[core.CaptureID](string(r.ID))
		if !ok {
			return core.InvalidField("event_id", "must be a UUID")
		}
		r.ID = id
	}
	if err := s.checkTime(r, now); err != nil {
		return err
	}
	if err := checkNumbers(r); err != nil {
		return err
	}
	r.Path, r.Method = storable(r.Path), storable(r.Method)
	for _, text := range r.texts() {
		if *text == nil {
			continue
		}
		if fixed := storable(**text); fixed != **text {
			*text = new(fixed) // not &fixed, which would cost memory for every text
		}
	}
	if n := utf8.RuneCountInString(r.Path); n < 1 || n > MaxPath {
		return core.InvalidField("path", "must have 1 to %d characters", MaxPath)
	}
	if n := utf8.RuneCountInString(r.Method); n < 1 || n > MaxMethod {
		return core.InvalidField("method", "must have 1 to %d characters", MaxMethod)
	}
	if tooLong(r.RequestContentType) {
		return core.InvalidField("request_content_type", "must have at most %d characters", MaxContentType)
	}
	if tooLong(r.ResponseContentType) {
		return core.InvalidField("response_content_type", "must have at most %d characters", MaxContentType)
	}
	var err error
	if r.CustomProperties, err = compactJSON("custom_properties", r.CustomProperties); err != nil {
		return err
	}
	r.Metadata, err = compactJSON("metadata", r.Metadata)
	return err
}

func tooLong(contentType *string) bool {
	return contentType != nil && utf8.RuneCountInString(*contentType) > MaxContentType
}

func (s *Service) checkTime(r *Report, now time.Time) error {
	oldest := maxAge
	if s.retention > 0 {
		oldest = s.retention
	}
	switch {
	case r.At.IsZero():
		r.At = now
	case r.At.After(now.Add(maxAhead)):
		return core.InvalidField("event_time", "must not be in the future")
	case r.At.Before(now.Add(-oldest)):
		return core.InvalidField("event_time", "must not be more than %d days ago", int(oldest/(24*time.Hour)))
	case r.At.After(now):
		r.At = now
	}
	r.At = r.At.UTC().Truncate(time.Microsecond)
	return nil
}

func checkNumbers(r *Report) error {
	switch {
	case r.StatusCode < 0 || r.StatusCode > maxStatusCode:
		return core.InvalidField("status_code", "must be between 0 and %d", maxStatusCode)
	case math.IsNaN(r.LatencyMS) || r.LatencyMS < 0 || r.LatencyMS > MaxLatencyMS: // infinities are outside too
		return core.InvalidField("latency_ms", "must be a number between 0 and %d", int(MaxLatencyMS))
	case r.RequestBytes < 0 || r.RequestBytes > MaxCallBytes:
		return core.InvalidField("request_size_bytes", "must be between 0 and %d", int64(MaxCallBytes))
	case r.ResponseBytes < 0 || r.ResponseBytes > MaxCallBytes:
		return core.InvalidField("response_size_bytes", "must be between 0 and %d", int64(MaxCallBytes))
	}
	r.LatencyMS += 0 // no negative zero
	return nil
}

// storable replaces what no text column can hold: bytes that are not UTF-8, and NUL, which PostgreSQL
// refuses. The original answered 500 (reference otas.md, section 4.1).
func storable(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	return text
}

// compactJSON checks any JSON value and takes out its white space. Nothing reported stays nil.
func compactJSON(field string, raw json.RawMessage) (json.RawMessage, error) {
	switch string(raw) {
	case "":
		return nil, nil
	case "{}", "null": // what most reports say
		return raw, nil
	}
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	if tooDeep(raw) {
		return nil, core.InvalidField(field, "must not be nested deeper than %d", maxDepth)
	}
	var out bytes.Buffer
	out.Grow(len(raw))
	if json.Compact(&out, raw) != nil {
		return nil, core.InvalidField(field, "must be valid JSON")
	}
	return out.Bytes(), nil
}

// tooDeep counts the open brackets of a text that may not be JSON at all.
func tooDeep(raw []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
