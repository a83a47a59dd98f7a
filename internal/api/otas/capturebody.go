package otas

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
)

// parseReport reads one report (reference 4.1): a JSON object whose unknown members are ignored; an empty
// body counts as {}. It takes what httpio.Check refuses: a NUL is data of the call that is reported, and no
// reason to lose it. json.Valid checks the whole once, so that the walk over the members needs to check
// nothing; decoding into a struct reads each byte four times, and takes "Path" for "path".
//
// Errors: Invalid "invalid_json", codeNotObject, "missing_required_fields" with missingFields as its cause,
// "invalid_field" with the name of the field.
func parseReport(raw []byte) (observe.Report, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return observe.Report{}, core.Errorf(core.Invalid, "invalid_json", "the report is not valid JSON")
	}
	return reportOf(raw)
}

// reportOf is parseReport for a value that is known to be valid JSON, without white space around it.
func reportOf(raw []byte) (observe.Report, error) {
	if raw[0] != '{' {
		return observe.Report{}, core.Errorf(core.Invalid, codeNotObject, "a report must be a JSON object")
	}
	var m reportMembers
	for i := nextByte(raw, 1); raw[i] != '}'; {
		end := valueEnd(raw, i)
		name := raw[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(name))
		}
		i = nextByte(raw, nextByte(raw, end)+1) // behind the colon
		end = valueEnd(raw, i)
		if to := m.member(name); to != nil {
			*to = raw[i:end]
		}
		if i = nextByte(raw, end); raw[i] == ',' {
			i = nextByte(raw, i+1)
		}
	}
	return m.report()
}

// nextByte returns the place of the first byte from i on that is no white space.
func nextByte(raw []byte, i int) int {
	for raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r' {
		i++
	}
	return i
}

// valueEnd returns the place behind the value that begins at i of a valid text.
func valueEnd(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return stringEnd(raw, i)
	case '{', '[':
		for depth := 0; ; i++ {
			switch raw[i] {
			case '"':
				i = stringEnd(raw, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(raw) && raw[i] != ',' && raw[i] != '}' && raw[i] != ']' && raw[i] > ' ' {
		i++
	}
	return i
}

// stringEnd returns the place behind the closing quote of the string that opens at i.
func stringEnd(raw []byte, i int) int {
	for i++; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote resolves the escapes in s, the inside of a valid JSON string. Half of a surrogate pair becomes
// U+FFFD.
func unquote(s []byte) string {
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return string(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = bytes.IndexByte(s, '\\') {
		b.Write(s[:i])
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'u':
			r := hexRune(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, hexRune(s[2:]))
				}
				if pair != utf8.RuneError {
					s = s[6:]
				}
				r = pair
			}
			b.WriteRune(r)
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		default: // '"', '\\', '/'
			b.WriteByte(c)
		}
	}
	b.Write(s)
	return b.String()
}

func hexRune(s []byte) rune {
	n, _ := strconv.ParseUint(string(s[:4]), 16, 16) // the text is valid: four hex digits
	return rune(n)
}

// reportMembers are the members of a report as JSON; nil: absent. Of two with one name the last counts.
type reportMembers struct {
	projectID, path, method, statusCode, latencyMS []byte // required

	requestSize, responseSize, eventTime, eventID            []byte
	requestHeaders, requestBody, queryParams, postData       []byte
	responseHeaders, responseBody, requestType, responseType []byte
	customProperties, metadata, failure                      []byte
}

// member returns where the member with that name belongs; nil: it is unknown.
func (m *reportMembers) member(name []byte) *[]byte {
	switch string(name) {
	case "project_id":
		return &m.projectID
	case "path":
		return &m.path
	case "method":
		return &m.method
	case "status_code":
		return &m.statusCode
	case "latency_ms":
		return &m.latencyMS
	case "request_size_bytes":
		return &m.requestSize
	case "response_size_bytes":
		return &m.responseSize
	case "request_headers":
		return &m.requestHeaders
	case "request_body":
		return &m.requestBody
	case "query_params":
		return &m.queryParams
	case "post_data":
		return &m.postData
	case "response_headers":
		return &m.responseHeaders
	case "response_body":
		return &m.responseBody
	case "request_content_type":
		return &m.requestType
	case "response_content_type":
		return &m.responseType
	case "custom_properties":
		return &m.customProperties
	case "metadata":
		return &m.metadata
	case "error":
		return &m.failure
	case "event_time":
		return &m.eventTime
	case "event_id":
		return &m.eventID
	}
	return nil
}

// report reads the members. The rules of what may be in them are those of internal/observe; here is only
// how they are written.
func (m *reportMembers) report() (observe.Report, error) {
	r := observe.Report{ProjectGiven: true}
	if err := m.missing(); err != nil {
		return r, err
	}
	err := firstOf(
		readProject(m.projectID, &r),
		readWord("path", m.path, &r.Path),
		readWord("method", m.method, &r.Method),
		readWhole("status_code", m.statusCode, &r.StatusCode),
		readNumber("latency_ms", m.latencyMS, &r.LatencyMS),
		readWhole("request_size_bytes", m.requestSize, &r.RequestBytes),
		readWhole("response_size_bytes", m.responseSize, &r.ResponseBytes),
		readText("request_headers", m.requestHeaders, &r.RequestHeaders),
		readText("request_body", m.requestBody, &r.RequestBody),
		readText("query_params", m.queryParams, &r.QueryParams),
		readText("post_data", m.postData, &r.PostData),
		readText("response_headers", m.responseHeaders, &r.ResponseHeaders),
		readText("response_body", m.responseBody, &r.ResponseBody),
		readText("request_content_type", m.requestType, &r.RequestContentType),
		readText("response_content_type", m.responseType, &r.ResponseContentType),
		readText("error", m.failure, &r.Error),
		readTime(m.eventTime, &r),
		readID(m.eventID, &r),
	)
	readJSON(m.customProperties, &r.CustomProperties)
	readJSON(m.metadata, &r.Metadata)
	if r.Error != nil && isNoError(m.failure) {
		r.Error = new(string)
	}
	return r, err
}

// missing names the required members that are absent or null.
func (m *reportMembers) missing() error {
	var list missingFields
	for _, f := range [...]struct {
		name string
		raw  []byte
	}{{"project_id", m.projectID}, {"path", m.path}, {"method", m.method}, {"status_code", m.statusCode}, {"latency_ms", m.latencyMS}} {
		if isNull(f.raw) {
			list = append(list, f.name)
		}
	}
	if list == nil {
		return nil
	}
	return &core.Error{Kind: core.Invalid, Code: "missing_required_fields", Message: "required fields are missing", Err: list}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// isNull reports whether a member is absent or null.
func isNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// isNoError: these say that nothing went wrong. The original stores the text of false and 0, and counts
// it as an error (section 8, C11).
func isNoError(raw []byte) bool {
	switch raw[0] {
	case 'f':
		return true
	case '{', '[':
		return nextByte(raw, 1) == len(raw)-1
	case '-', '0':
		x, err := strconv.ParseFloat(string(raw), 64)
		return err == nil && x == 0
	}
	return false
}

// readProject reads the project's id. What is no id is another project's: the service refuses it.
func readProject(raw []byte, r *observe.Report) error {
	if raw[0] != '"' {
		return core.InvalidField("project_id", "must be a string")
	}
	r.Project, _ = core.ParseID[core.ProjectID](unquote(raw[1 : len(raw)-1]))
	return nil
}

// readWord reads a string, or a number as its text.
func readWord(name string, raw []byte, to *string) error {
	switch raw[0] {
	case '"':
		*to = unquote(raw[1 : len(raw)-1])
	case 't', 'f', '{', '[':
		return core.InvalidField(name, "must be a string")
	default:
		*to = string(raw)
	}
	return nil
}

// readText reads a text. Objects and arrays, which the original would turn into the words of Python, become
// their JSON; numbers and booleans too.
func readText(name string, raw []byte, to **string) error {
	if isNull(raw) {
		return nil
	}
	var text string
	switch raw[0] {
	case '"':
		text = unquote(raw[1 : len(raw)-1])
	case '{', '[':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return core.InvalidField(name, "is not valid JSON") // it was checked: this cannot be
		}
		text = b.String()
	default:
		text = string(raw)
	}
	*to = &text
	return nil
}

// readJSON keeps a value as it is; null is none.
func readJSON(raw []byte, to *json.RawMessage) {
	if isNull(raw) {
		return
	}
	*to = bytes.Clone(raw) // raw is a part of a larger buffer, which may be used again
}

// numberText returns the digits of a number, which may stand in a string.
func numberText(raw []byte) (string, bool) {
	switch raw[0] {
	case '"':
		s := strings.TrimSpace(unquote(raw[1 : len(raw)-1]))
		// Not what strconv reads besides: hex, Inf, NaN.
		return s, s != "" && strings.Trim(s, "0123456789+-.eE") == ""
	case 't', 'f', '{', '[':
		return "", false
	}
	return string(raw), true
}

// readNumber reads a number that may stand in a string.
func readNumber(name string, raw []byte, to *float64) error {
	s, ok := numberText(raw)
	x, err := strconv.ParseFloat(s, 64)
	if !ok || err != nil { // an error also when it is too large
		return core.InvalidField(name, "must be a number")
	}
	*to = x
	return nil
}

// maxWhole is the largest whole number that a JSON number holds exactly, in any language.
const maxWhole = 1 << 53

// readWhole is readNumber for whole numbers: 200.0 is one, 200.7 is none. Null is 0.
func readWhole(name string, raw []byte, to *int64) error {
	if isNull(raw) {
		return nil
	}
	if s, ok := numberText(raw); ok {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			*to = n
			return nil
		}
		if x, err := strconv.ParseFloat(s, 64); err == nil && x == math.Trunc(x) && math.Abs(x) <= maxWhole {
			*to = int64(x)
			return nil
		}
	}
	return core.InvalidField(name, "must be a whole number")
}

// maxSeconds is the end of the year 9999, the last that RFC 3339 can write.
const maxSeconds = 253_402_300_800

// readTime reads event_time: RFC 3339, or seconds since 1970, as a number or a string that holds one. Null and
// "" are none.
func readTime(raw []byte, r *observe.Report) error {
	if isNull(raw) || string(raw) == `""` {
		return nil
	}
	if raw[0] == '"' {
		if at, err := time.Parse(time.RFC3339Nano, unquote(raw[1:len(raw)-1])); err == nil {
			r.At = at.UTC()
			return nil
		}
	}
	var seconds float64
	if readNumber("event_time", raw, &seconds) != nil || math.Abs(seconds) >= maxSeconds {
		return core.InvalidField("event_time", "must be a time as in RFC 3339, or seconds since 1970")
	}
	whole, part := math.Modf(seconds)
	r.At = time.Unix(int64(whole), int64(math.Round(part*1e6))*1000).UTC()
	return nil
}

// readID reads event_id: a UUID in any spelling. Null and "" are none.
func readID(raw []byte, r *observe.Report) error {
	if isNull(raw) || string(raw) == `""` {
		return nil
	}
	if raw[0] == '"' {
		if id, ok := core.ParseID[core.CaptureID](unquote(raw[1 : len(raw)-1])); ok {
			r.ID = id
			return nil
		}
	}
	return core.InvalidField("event_id", "must be a UUID")
}
