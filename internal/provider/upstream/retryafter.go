package upstream

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a vendor may ask for; a longer wait is cut down to it.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads how long the vendor wants us to wait: Retry-After-Ms (milliseconds, both vendors'
// SDKs honour it), or Retry-After as seconds or as an HTTP date (RFC 9110, section 10.2.3). Zero:
// unsaid, unreadable or in the past.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(strings.TrimSpace(h.Get("Retry-After-Ms")), 64); err == nil {
		return clampWait(ms, time.Millisecond)
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return clampWait(s, time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// clampWait turns n units into a duration. It compares before it multiplies, so that a huge or
// infinite number cannot overflow. Not a number is zero.
func clampWait(n float64, unit time.Duration) time.Duration {
	switch {
	case !(n > 0):
		return 0
	case n > float64(maxRetryAfter/unit):
		return maxRetryAfter
	}
	return time.Duration(n * float64(unit))
}

var tryAgainIn = regexp.MustCompile(`(?i)try again in ([0-9.]+) ?(ms|s|m)\b`)

// waitInText reads the wait from a message like "Please try again in 1.3s": errors inside a stream
// have no headers.
func waitInText(message string) time.Duration {
	m := tryAgainIn.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	return clampWait(n, map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute}[strings.ToLower(m[2])])
}
