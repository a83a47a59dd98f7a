package everruns

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// maxBody is the largest body, in bytes: four times the largest system prompt, because JSON escapes
// make text longer.
const maxBody = 4 << 20

// Authenticator finds out who is calling.
type Authenticator interface {
	// Token resolves an access token as its owner keeps it, without a scheme. Errors: Unauthenticated.
	Token(ctx context.Context, raw string) (core.Principal, error)
}

// Deps is what the face calls. All fields are needed.
type Deps struct {
	Auth    Authenticator
	Catalog *catalog.Service
	Models  core.Models
	Log     *slog.Logger
}

// Face serves the dialect. It is used from many goroutines.
type Face struct {
	auth    Authenticator
	catalog *catalog.Service
	models  core.Models
	log     *slog.Logger
}

// New makes the face; it serves nothing before Mount.
func New(d Deps) *Face {
	return &Face{auth: d.Auth, catalog: d.Catalog, models: d.Models, log: d.Log}
}

// Mount registers the face's routes below prefix ("/api/v1", "/v1"), and an answer in this dialect
// for everything else below it. SDKs are configured with any base URL, so the face may be mounted
// more than once, each time on a mux where no other face has the same prefix.
func (f *Face) Mount(mux *http.ServeMux, prefix string) {
	mux.Handle("POST "+prefix+"/agents", f.handle(f.createAgent))
	mux.Handle("GET "+prefix+"/agents", f.handle(f.listAgents))
	mux.Handle("GET "+prefix+"/agents/{agent}", f.handle(f.getAgent))
	mux.HandleFunc(prefix+"/agents", f.notAllowed("GET, HEAD, POST"))
	mux.HandleFunc(prefix+"/agents/{agent}", f.notAllowed("GET, HEAD"))
	mux.HandleFunc(prefix+"/", f.NotFound)
}

// call is one request after its caller is known.
type call struct {
	*http.Request
	w  http.ResponseWriter // only for ReadBody
	by core.Principal
}

// answer is what a handler returns: the body is written as JSON.
type answer struct {
	status int
	body   any
}

// handle makes an http.Handler of a method that only translates: it finds the caller and writes the
// answer or the error.
func (f *Face) handle(serve func(call) (answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, err := f.principal(r)
		if err != nil {
			f.Fail(w, r, err)
			return
		}
		a, err := serve(call{Request: r, w: w, by: by})
		if err != nil {
			f.Fail(w, r, err)
			return
		}
		httpio.WriteJSON(w, a.status, a.body)
	})
}

// principal reads the token and the organization. SDKs send the token without a scheme; Bearer and
// ApiKey are accepted in any case (everruns.md section 2.1).
func (f *Face) principal(r *http.Request) (core.Principal, error) {
	raw := strings.TrimSpace(r.Header.Get("Authorization"))
	if scheme, token, ok := strings.Cut(raw, " "); ok {
		if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "ApiKey") {
			return core.Principal{}, core.Errorf(core.Unauthenticated, "unauthorized", "the Authorization header must hold an access token, alone or behind Bearer or ApiKey")
		}
		raw = strings.TrimSpace(token)
	}
	if raw == "" {
		return core.Principal{}, core.Errorf(core.Unauthenticated, "unauthorized", "the Authorization header is missing: send an access token")
	}
	by, err := f.auth.Token(r.Context(), raw)
	if err != nil {
		return core.Principal{}, err
	}
	// A token belongs to one project, which is the organization of this dialect. Whoever names another
	// one by X-Org-Id must not be served from this one.
	if org := r.Header.Get("X-Org-Id"); org != "" && org != "org_"+string(by.Project) {
		return core.Principal{}, core.Errorf(core.Forbidden, "org_forbidden", "the access token does not belong to the organization in X-Org-Id")
	}
	return by, nil
}

func (f *Face) notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		httpio.WriteJSON(w, http.StatusMethodNotAllowed, problemOf(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take that method"))
	}
}

// NotFound answers a path that the dialect does not have.
func (f *Face) NotFound(w http.ResponseWriter, r *http.Request) {
	f.Fail(w, r, core.Errorf(core.NotFound, "not_found", "there is nothing at this path"))
}
