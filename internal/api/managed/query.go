package managed

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// query is the query of a request. Parameters that nobody asks for (beta=true) are ignored.
type query struct{ url.Values }

func parseQuery(r *http.Request) (query, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, &core.Error{Kind: core.Invalid, Code: "invalid_query", Message: "the query of the URL cannot be read", Err: err}
	}
	return query{v}, nil
}

// number reads an integer from 1 to max; absent is fallback.
func (q query) number(name string, fallback, max int) (int, error) {
	raw := q.Get(name)
	if raw == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 || n > max {
		return 0, core.InvalidField(name, "must be an integer from 1 to %d", max)
	}
	return n, nil
}

// flag reads a boolean; absent is false.
func (q query) flag(name string) (bool, error) {
	switch q.Get(name) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, core.InvalidField(name, "must be true or false")
}

// ascending reads the parameter order.
func (q query) ascending(fallback bool) (bool, error) {
	switch q.Get("order") {
	case "":
		return fallback, nil
	case "asc":
		return true, nil
	case "desc":
		return false, nil
	}
	return false, core.InvalidField("order", "must be asc or desc")
}

// each returns all values of a list parameter: repeated, with brackets or without (CMA section 1.1).
// Empty ones are left out.
func (q query) each(name string) []string {
	values := slices.Concat(q.Values[name+"[]"], q.Values[name])
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
}

// span is a range of times, each end open if zero.
type span struct{ gt, gte, lt, lte time.Time }

// span reads created_at[gt|gte|lt|lte].
func (q query) span(name string) (span, error) {
	var s span
	for suffix, end := range map[string]*time.Time{"gt": &s.gt, "gte": &s.gte, "lt": &s.lt, "lte": &s.lte} {
		field := name + "[" + suffix + "]"
		raw := q.Get(field)
		if raw == "" {
			continue
		}
		// A "+" that was not escaped arrives as a space.
		t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(raw, " ", "+"))
		if err != nil {
			return span{}, core.InvalidField(field, "must be a time as in RFC 3339")
		}
		*end = t.UTC()
	}
	return s, nil
}

// closed returns the range with both ends inside of it, in whole microseconds, as times are stored.
func (s span) closed() (from, to time.Time) {
	from, to = ceil(s.gte), s.lte.Truncate(time.Microsecond)
	if !s.gt.IsZero() {
		if after := s.gt.Truncate(time.Microsecond).Add(time.Microsecond); after.After(from) {
			from = after
		}
	}
	if !s.lt.IsZero() {
		if before := ceil(s.lt).Add(-time.Microsecond); to.IsZero() || before.Before(to) {
			to = before
		}
	}
	return from, to
}

func ceil(t time.Time) time.Time {
	whole := t.Truncate(time.Microsecond)
	if whole.Before(t) {
		return whole.Add(time.Microsecond)
	}
	return whole
}

// holds reports whether a stored time lies in the range.
func (s span) holds(t time.Time) bool {
	from, to := s.closed()
	return !t.Before(from) && (to.IsZero() || !t.After(to))
}
