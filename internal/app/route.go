package app

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/httpio"
)

// peekLimit is how much of a body is looked at to tell dialects apart. It is the largest body that
// POST /v1/agents takes in either; a larger one is refused by the face that gets it.
const peekLimit = 4 << 20

// v1 sends /v1/… to the managed face, unless the caller speaks Everruns: its Authorization has no
// scheme (its SDKs send the bare token), its token begins evr_, or the body of POST /v1/agents has
// system_prompt and no model (design, section 3).
func v1(managed, everruns http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if speaksEverruns(r) {
			everruns.ServeHTTP(w, r)
			return
		}
		managed.ServeHTTP(w, r)
	})
}

func speaksEverruns(r *http.Request) bool {
	if r.Header.Get("X-Api-Key") != "" || r.Header.Get("Anthropic-Version") != "" {
		return false
	}
	auth := strings.TrimSpace(r.Header.Get("Authorization"))
	scheme, token, found := strings.Cut(auth, " ")
	switch {
	case auth == "":
	case !found: // a bare word is a bare token, unless it is a scheme without one
		return !strings.EqualFold(scheme, "Bearer")
	case strings.EqualFold(scheme, "ApiKey"), strings.HasPrefix(strings.TrimSpace(token), "evr_"):
		return true
	}
	return r.Method == http.MethodPost && strings.TrimSuffix(r.URL.Path, "/") == "/v1/agents" && bodySpeaksEverruns(r)
}

// bodySpeaksEverruns looks into the body and puts it back.
func bodySpeaksEverruns(r *http.Request) bool {
	if httpio.IsMultipart(r) {
		return false
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, peekLimit))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), errReader{err, r.Body}), r.Body}
	var body map[string]json.RawMessage
	if json.Unmarshal(head, &body) != nil {
		return false
	}
	_, prompt := body["system_prompt"]
	_, model := body["model"]
	return prompt && !model
}

// errReader gives the error that the peek met, or reads on.
type errReader struct {
	err  error
	rest io.Reader
}

func (e errReader) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return e.rest.Read(p)
}
