package otas

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/observe"
)

// Limits of a batch. How many reports it may have is observe.MaxBatch.
const (
	maxBatch   = 16 << 20 // bytes
	maxLines   = 10_000   // with the blank ones
	spendLines = 100      // so many are read before their allowance is asked for
)

// byteOrderMark stands before a text that some editors and shells write.
var byteOrderMark = []byte("\xef\xbb\xbf")

// lineResult says what became of one line. A refused one is described as the endpoint for single reports
// describes it.
type lineResult struct {
	Line        int      `json:"line"`   // 1, 2, 3 …: of the text, or of the array
	Status      int      `json:"status"` // 1: it is stored
	EventID     string   `json:"event_id,omitempty"`
	Duplicate   bool     `json:"duplicate,omitempty"` // it was stored before
	Description string   `json:"status_description,omitempty"`
	Field       string   `json:"field,omitempty"`
	Missing     []string `json:"missing_fields,omitempty"`
}

// batchWire is the payload of a batch.
type batchWire struct {
	Accepted   int          `json:"accepted"` // without duplicates
	Duplicates int          `json:"duplicates"`
	Rejected   int          `json:"rejected"`
	Results    []lineResult `json:"results"` // in order of lines
}

// nothingCaptured is the payload of a batch of which nothing is stored.
type nothingCaptured struct{ batchWire }

func (n nothingCaptured) Error() string { return fmt.Sprintf("%d lines refused", n.Rejected) }

// recordBatch serves POST /api/v1/backend/log/{sdk,agent}/batch/, Reeve's own: NDJSON, or an array. What is
// wrong with one line refuses that line alone; the allowance and the limits are those of the whole.
func (f *Face) recordBatch(c *call) (reply, error) {
	var errorsOnly bool
	switch c.r.URL.Query().Get("results") {
	case "", "all":
	case "errors":
		errorsOnly = true
	default:
		return reply{}, core.InvalidField("results", "must be all or errors")
	}
	b := batch{spend: func(n int) error { return f.captures.Spend(c.source, n) }}
	body := f.roomyBody(c, maxBatch)
	defer body.close()
	if err := b.read(bufio.NewReaderSize(body, roomStep)); err != nil {
		return reply{}, bodyError(err, maxBatch)
	}
	body.arrived()
	if len(b.reports) > 0 {
		outcomes, err := f.captures.RecordAll(c.r.Context(), c.source, b.reports)
		if err != nil {
			return reply{}, err
		}
		b.settle(outcomes)
	}
	out := b.wire(errorsOnly)
	switch {
	case out.Accepted+out.Duplicates == 0:
		return reply{}, &core.Error{Kind: core.Invalid, Code: "no_event_captured", Message: "no line was stored", Err: nothingCaptured{out}}
	case out.Rejected > 0:
		return reply{http.StatusMultiStatus, "events_partly_captured", "response", out}, nil
	}
	return reply{http.StatusCreated, "events_captured", "response", out}, nil
}

// batch is a batch under way.
type batch struct {
	results []lineResult
	reports []observe.Report
	places  []int             // in results, of each report
	spend   func(n int) error // takes from the allowance, all or nothing
	lines   int               // read so far, blank and broken ones included
	paid    int               // of lines
}

// read reads the body. Its first byte tells an array from NDJSON. What was read is paid for, whatever
// becomes of it.
func (b *batch) read(in *bufio.Reader) error {
	if start, _ := in.Peek(len(byteOrderMark)); bytes.Equal(start, byteOrderMark) {
		_, _ = in.Discard(len(byteOrderMark))
	}
	read := b.readLines
	if firstByte(in) == '[' {
		read = b.readArray
	}
	err := read(in)
	b.lines = max(b.lines, 1)
	if refused := b.pay(); err == nil {
		err = refused
	}
	return err
}

// pay takes from the allowance what the lines cost that are not paid yet.
func (b *batch) pay() error {
	n := b.lines - b.paid
	if n <= 0 {
		return nil
	}
	b.paid = b.lines
	return b.spend(n)
}

// firstByte returns the first byte that is no white space, and consumes nothing. 0: there is none near.
func firstByte(in *bufio.Reader) byte {
	for n := 1; ; n++ {
		seen, err := in.Peek(n)
		if err != nil {
			return 0
		}
		if last := seen[n-1]; last != ' ' && last != '\t' && last != '\n' && last != '\r' {
			return last
		}
	}
}

// readLines reads NDJSON. Blank lines are counted, and nothing else.
func (b *batch) readLines(in *bufio.Reader) error {
	var buf []byte
	for {
		text, long, err := readLine(in, buf)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if last && len(text) == 0 && !long { // behind the last line's end
			return b.payLines(in)
		}
		if b.lines++; b.lines > maxLines {
			return errTooManyLines
		}
		if buf = text; long || len(bytes.TrimSpace(text)) > 0 {
			if err := b.add(b.lines, long, func() (observe.Report, error) { return parseReport(text) }); err != nil {
				return err
			}
		}
		if last || b.lines%spendLines == 0 {
			if err := b.payLines(in); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// payLines is pay in the middle of NDJSON. A batch that is refused there must come again as a whole, so the
// lines behind are counted, and the refusal is that of all of them: with the wait after which there is
// enough, or none if there never is.
func (b *batch) payLines(in *bufio.Reader) error {
	refused := b.pay()
	if refused == nil {
		return nil
	}
	all := b.lines
	for open := false; ; {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 && !open {
			all++
		}
		if all > maxLines {
			return errTooManyLines
		}
		open = errors.Is(err, bufio.ErrBufferFull)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !open {
			return err
		}
	}
	if err := b.spend(all); err != nil {
		return err
	}
	return refused // it was filled up meanwhile
}

// readLine returns the next line in buf, which it may replace by a larger one. A line of more than maxBody
// bytes is dropped while it is read. The last line comes with io.EOF.
func readLine(in *bufio.Reader, buf []byte) (text []byte, long bool, err error) {
	text = buf[:0]
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(bytes.TrimRight(part, "\r\n")) > maxBody {
			long = true
		}
		if !long {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, long, err
		}
	}
}

// readArray reads a JSON array. If it is broken, no element of it can be trusted.
func (b *batch) readArray(in *bufio.Reader) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	raw = bytes.TrimSpace(raw)
	b.lines = min(elements(raw), observe.MaxBatch)
	if err := b.pay(); err != nil {
		return err
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return core.Errorf(core.Invalid, "invalid_json", "the request body is not valid JSON")
	}
	for i, line := nextByte(raw, 1), 1; raw[i] != ']'; line++ {
		end := valueEnd(raw, i)
		element := raw[i:end]
		if err := b.add(line, len(element) > maxBody, func() (observe.Report, error) { return reportOf(element) }); err != nil {
			return err
		}
		if i = nextByte(raw, end); raw[i] == ',' {
			i = nextByte(raw, i+1)
		}
	}
	return nil
}

// elements counts the elements of an array, and of one that is broken those that can be told apart. One that
// is empty counts as 1.
func elements(raw []byte) int {
	n, depth := 1, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				n++
			}
		}
	}
	return n
}

var (
	errTooManyEvents = core.Errorf(core.TooLarge, "too_many_events", "a batch has at most %d events", observe.MaxBatch)
	errTooManyLines  = core.Errorf(core.TooLarge, "too_many_events", "a batch has at most %d lines", maxLines)
)

// add takes one line that is not blank.
func (b *batch) add(line int, long bool, parse func() (observe.Report, error)) error {
	if len(b.results) == observe.MaxBatch {
		return errTooManyEvents
	}
	result := lineResult{Line: line}
	var report observe.Report
	err := error(core.Errorf(core.TooLarge, "request_too_large", "the line is larger than %d bytes", maxBody))
	if !long {
		report, err = parse()
	}
	if err != nil {
		result.fail(err)
	} else {
		b.reports = append(b.reports, report)
		b.places = append(b.places, len(b.results))
	}
	b.results = append(b.results, result)
	return nil
}

// settle enters what became of the reports.
func (b *batch) settle(outcomes []observe.Outcome) {
	for i, o := range outcomes {
		result := &b.results[b.places[i]]
		if o.Err != nil {
			result.fail(o.Err)
			continue
		}
		result.Status, result.EventID, result.Duplicate = 1, core.FormatUUID(o.ID), o.Duplicate
	}
}

// fail describes a refusal in the words that the endpoint for single reports has for it.
func (l *lineResult) fail(err error) {
	var e *core.Error
	if !errors.As(err, &e) {
		e = &core.Error{}
	}
	l.Description, l.Field = route{as: asReport}.describe(e).code, e.Field
	var missing missingFields
	if errors.As(err, &missing) {
		l.Missing = missing
	}
}

// wire counts the results. Good lines of a large batch are left out of the list if only errors are wanted.
func (b *batch) wire(errorsOnly bool) batchWire {
	out := batchWire{Results: []lineResult{}}
	if !errorsOnly && b.results != nil {
		out.Results = b.results
	}
	for _, r := range b.results {
		switch {
		case r.Status == 0:
			out.Rejected++
			if errorsOnly {
				out.Results = append(out.Results, r)
			}
		case r.Duplicate:
			out.Duplicates++
		default:
			out.Accepted++
		}
	}
	return out
}
