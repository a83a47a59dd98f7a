package app

import (
	_ "embed"
	"errors"
	"html"
	"net/http"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/everruns"
	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/api/managed"
	"github.com/reeve-ai/reeve/internal/api/otas"
	"github.com/reeve-ai/reeve/internal/api/reeve"
	"github.com/reeve-ai/reeve/internal/core"
)

// routes is the one list of faces. Their prefixes never collide; /v1 alone is shared, see v1.
func (a *App) routes() http.Handler {
	otasMux, managedMux, everrunsMux := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	otasFace := otas.New(otas.Deps{Identity: a.identity, Agents: a.catalog, Sessions: a.sessions, Captures: a.observe, Now: a.now, Log: a.log, Origins: a.cfg.CORS.AllowedOrigins})
	otasFace.Mount(otasMux)
	managedFace := managed.New(managed.Deps{
		Auth: a.identity, Catalog: a.catalog, Files: a.files, Skills: a.skills, Memory: a.memory, Sessions: a.sessions, Models: a.models, Vaults: a.vaults, Work: a.work, Deployments: a.deployments, Idempotency: a.db,
		Log: a.log, Now: a.now, MaxStreams: a.cfg.Limits.MaxStreams,
	})
	managedFace.Mount(managedMux, "/v1", nil)
	managedFace.Mount(managedMux, "/api/v1/cloud", managed.Qoder)
	everrunsFace := everruns.New(everruns.Deps{Auth: a.identity, Catalog: a.catalog, Models: a.models, Log: a.log})
	everrunsFace.Mount(everrunsMux, "/v1")
	everrunsFace.Mount(everrunsMux, "/api/v1")
	own := reeve.New(reeve.Deps{Identity: a.identity, Webhooks: a.webhooks, Log: a.log, Now: a.now})

	mux := http.NewServeMux()
	prefixes := map[string]http.Handler{
		"/api/v1/cloud": managedMux, "/api/v1": everrunsMux, "/v1": v1(managedMux, everrunsMux), reeve.Prefix: own,
	}
	for _, prefix := range otas.Prefixes {
		prefixes[prefix] = otasMux
	}
	for prefix, face := range prefixes {
		mux.Handle(prefix+"/", face)
		mux.Handle(prefix, face) // else the mux would redirect, in HTML
	}
	mux.Handle("GET "+reeve.SpecPath, own)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		httpio.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /{$}", home)
	mux.HandleFunc("/", notFound)
	return httpio.Border(a.log, mux, writeError)
}

//go:embed home.html
var homePage string

// homeAddress stands in homePage for the server's own address.
const homeAddress = "{{.Address}}"

// home is the page that a person sees who opens the server's address.
func home(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	address := html.EscapeString(scheme + "://" + r.Host)
	_, _ = strings.NewReplacer(homeAddress, address).WriteString(w, homePage) // else the client is gone: there is nobody left to tell
}

// readyz says whether this node can do its work: it runs, and its database answers.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	if !a.ready.Load() {
		httpio.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "starting or stopping"})
		return
	}
	if _, err := a.db.Projects(r.Context()); err != nil {
		httpio.LogFailure(a.log, r, err)
		httpio.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "the database does not answer"})
		return
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// notFound answers what no face owns.
func notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, core.Errorf(core.NotFound, "route_not_found", "no such route: the API prefixes are /v1, /api/v1, /api/v1/cloud and /api/agent/v1"))
}

// writeError writes the errors that happen outside of every face.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, "internal error"
	var e *core.Error
	if errors.As(err, &e) && e.Kind == core.NotFound {
		status, message = http.StatusNotFound, e.Message
	}
	httpio.WriteJSON(w, status, map[string]any{
		"error":      map[string]string{"code": core.CodeOf(err), "message": message},
		"request_id": httpio.RequestID(r.Context()),
	})
}
