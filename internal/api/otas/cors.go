package otas

import (
	"net/http"
	"strings"
)

// The values of reference 2.2. X-OTAS-AGENT-SESSION-TOKEN and X-OTAS-AGENT-ID are missing in the
// original, so that no page can send them (section 10, item 7).
const (
	corsMethods = "DELETE, GET, OPTIONS, PATCH, POST, PUT"
	corsMaxAge  = "86400" // seconds
	corsExposed = "Request-Id, Retry-After, X-Request-Id"
)

var corsHeaders = strings.Join([]string{
	"accept", "authorization", "content-type", "user-agent", "x-csrftoken", "x-requested-with", "x-request-id",
	"x-otas-agent-id", "x-otas-agent-key", "x-otas-agent-session-key", "x-otas-agent-session-token",
	"x-otas-project-id", "x-otas-sdk-key", "x-otas-user-token",
}, ", ")

// cors lets web pages call the face. Any page may, with the keys and tokens that it knows itself;
// only pages of listed origins may have the browser add credentials of its own. The original grants
// that to every page (section 8, S13).
func (f *Face) cors(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if len(f.origins) > 0 {
		h.Add("Vary", "Origin") // caches must not give one origin's answer to another
	}
	if origin == "" {
		return
	}
	if f.origins[origin] {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	} else {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
}
