package reeve

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/webhook"
)

const (
	// Prefix is where all operations are.
	Prefix = "/reeve/v1"
	// SpecPath is where the description in OpenAPI 3.1 is.
	SpecPath = "/openapi/reeve.json"

	// maxBody is the most bytes of a body, unless an operation says otherwise.
	maxBody = 1 << 20
)

// Deps is what the face calls. All fields are needed but the last.
type Deps struct {
	Identity *identity.Service
	Webhooks *webhook.Service
	Log      *slog.Logger
	Now      func() time.Time // nil: the system clock
}

// Face serves the API. It is used from many goroutines.
type Face struct {
	identity *identity.Service
	hooks    *webhook.Service
	log      *slog.Logger
	now      func() time.Time
	mux      *http.ServeMux
}

// New makes the face with all its operations.
func New(d Deps) *Face {
	if d.Now == nil {
		d.Now = time.Now
	}
	f := &Face{identity: d.Identity, hooks: d.Webhooks, log: d.Log, now: d.Now, mux: http.NewServeMux()}
	config := huma.DefaultConfig("Reeve", "1")
	config.Info.Description = "Reeve's own API: what the dialects of other products do not have."
	config.OpenAPIPath = strings.TrimSuffix(SpecPath, ".json")
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // they add a link to a schema to every answer
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An access token. The header x-api-key takes it, too."},
	}
	config.Security = []map[string][]string{{"token": {}}}
	api := humago.New(f.mux, config)
	api.UseMiddleware(f.authenticate)
	f.environmentKeys(api)
	f.webhooks(api)
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		p := problemOf(core.Errorf(core.NotFound, "route_not_found", "there is nothing at this path for this method"), "")
		writeProblem(w, p)
	})
	return f
}

// ServeHTTP serves everything below Prefix, and SpecPath.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// callerKey is where a request's context keeps who is calling.
type callerKey struct{}

// authenticate finds out who is calling, before anything of the request is judged.
func (f *Face) authenticate(c huma.Context, next func(huma.Context)) {
	raw := c.Header("X-Api-Key")
	if scheme, token, _ := strings.Cut(c.Header("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(token)
	}
	err := error(core.Errorf(core.Unauthenticated, "credential_missing", "send an access token in the header Authorization: Bearer, or in x-api-key"))
	if raw != "" {
		var by core.Principal
		if by, err = f.identity.Token(c.Context(), raw); err == nil {
			next(huma.WithValue(c, callerKey{}, by))
			return
		}
	}
	_, w := humago.Unwrap(c)
	writeProblem(w, f.fail(c.Context(), err))
}

// operation registers one operation. fn is called with who is calling; its error is written as a problem.
func operation[I, O any](f *Face, api huma.API, op huma.Operation, fn func(ctx context.Context, by core.Principal, in *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	op.Path = Prefix + op.Path
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		by, _ := ctx.Value(callerKey{}).(core.Principal) // the zero Principal may do nothing
		out, err := fn(ctx, by, in)
		if err != nil {
			return nil, f.fail(ctx, err)
		}
		return out, nil
	})
}

// fail turns an error into a problem, and logs what the client is not shown.
func (f *Face) fail(ctx context.Context, err error) *problem {
	p := problemOf(err, httpio.RequestID(ctx))
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		f.log.Error("request failed", "request_id", p.RequestID, "err", err)
	}
	return p
}
