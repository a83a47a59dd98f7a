package otas

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// Agents is what the face needs of the catalog.
type Agents interface {
	CreateAgent(ctx context.Context, by core.Principal, spec core.AgentSpec, opts catalog.CreateOptions) (core.Agent, error)
	Agent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error)
	Agents(ctx context.Context, by core.Principal, page core.AgentPage) ([]core.Agent, error)
}

// Sessions is what the face needs of the session service.
type Sessions interface {
	Observe(ctx context.Context, by core.Principal, meta json.RawMessage) (core.Session, error)
	Sessions(ctx context.Context, by core.Principal, page core.SessionPage) ([]core.Session, error)
}

// Deps are what the face stands on.
type Deps struct {
	Identity *identity.Service
	Agents   Agents
	Sessions Sessions
	Log      *slog.Logger // nil: slog.Default()
	// Origins are the web origins ("https://console.example") whose pages may send credentials that
	// the browser keeps. Empty, the default: none. See cors.go.
	Origins []string
}

// Face serves the dialect.
type Face struct {
	identity *identity.Service
	agents   Agents
	sessions Sessions
	log      *slog.Logger
	origins  map[string]bool
}

// New makes the face.
func New(d Deps) *Face {
	f := &Face{identity: d.Identity, agents: d.Agents, sessions: d.Sessions, log: d.Log, origins: map[string]bool{}}
	if f.log == nil {
		f.log = slog.Default()
	}
	for _, o := range d.Origins {
		f.origins[o] = true
	}
	return f
}

// Mount adds the face's routes, each with and without its final slash, so that nothing is redirected
// (reference 2.2), and answers whatever else comes under its prefixes. Repeated slashes must have
// been collapsed before: httpio.Border does.
func (f *Face) Mount(mux *http.ServeMux) {
	for _, rt := range f.routes() {
		for _, path := range rt.paths {
			mux.Handle(path, f.serve(rt))
			mux.Handle(path+"/{$}", f.serve(rt))
		}
	}
	for _, prefix := range []string{"/api/user", "/api/project", "/api/user-project", "/api/agent"} {
		mux.Handle(prefix, f.serve(unknown))
		mux.Handle(prefix+"/", f.serve(unknown))
	}
}

// route is one endpoint.
type route struct {
	method string // empty: any
	paths  []string
	guard  guard
	// methodFirst: a wrong method is refused before the credentials are looked at. The endpoints that
	// the original guards from outside do it the other way round (reference 2.2).
	methodFirst bool
	admin       bool               // only for administrators; checked before the body is read (2.3)
	null        string             // payload key that failures carry as null; empty: none (2.1)
	list        bool               // failures carry the list "errors"
	as          map[string]failure // what failures are called here, by code or kind; see errors.go
	handle      func(c *call) (reply, error)
}

// call is one request under way, with what its guard found out.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	user    core.User      // guardUser, guardMember; guardProject unless an access token called
	by      core.Principal // all guards
	project core.Project   // guardMember; guardProject unless an access token called
	agent   core.Agent     // guardAgent
}

// reply is a success. The payload goes under key, and may be nil.
type reply struct {
	status  int
	code    string
	key     string
	payload any
}

// unknown answers paths that do not exist.
var unknown = route{methodFirst: true, handle: func(*call) (reply, error) {
	return reply{}, core.Errorf(core.NotFound, "not_found", "no such path")
}}

// routes lists the endpoints in the order of the reference, section 9.
func (f *Face) routes() []route {
	project := func(name string) []string { // mounted twice, reference 3.8
		return []string{"/api/project/v1/" + name, "/api/user-project/v1/" + name}
	}
	return []route{
		{method: "POST", paths: []string{"/api/user/v1/create"}, null: "response_body", handle: f.signUp},
		{method: "POST", paths: []string{"/api/user/v1/login"}, as: asLogin, handle: f.login},
		{method: "POST", paths: []string{"/api/user/v1/authenticate"}, guard: guardUser, methodFirst: true, null: "response_body", handle: f.whoAmI},
		{method: "PUT", paths: []string{"/api/user/v1/edit"}, guard: guardUser, methodFirst: true, null: "response_body", as: asEdit, handle: f.editUser},
		{method: "PUT", paths: []string{"/api/user/v1/reset-password/update"}, guard: guardUser, methodFirst: true, null: "response_body", handle: f.changePassword},
		{method: "POST", paths: []string{"/api/user/v1/logout"}, guard: guardUser, methodFirst: true, null: "response_body", handle: f.logout},

		{method: "POST", paths: project("create"), guard: guardUser, list: true, as: asProjectCreate, handle: f.createProject},
		{method: "GET", paths: project("list"), guard: guardUser, handle: f.listProjects},
		{method: "POST", paths: project("authenticate"), guard: guardMember, methodFirst: true, null: "Response", as: asMembership, handle: f.membership},

		{method: "POST", paths: []string{"/api/agent/v1/create"}, guard: guardProject, admin: true, as: asAgentCreate, handle: f.createAgent},
		{method: "GET", paths: []string{"/api/agent/v1/list"}, guard: guardProject, handle: f.listAgents},
		{method: "POST", paths: []string{"/api/agent/v1/agents/key/create"}, guard: guardProject, admin: true, as: asKeyRotate, handle: f.rotateKey},
		{method: "POST", paths: []string{"/api/agent/v1/agents/key/revoke"}, guard: guardProject, admin: true, as: asKeyRevoke, handle: f.revokeKey},
		{method: "POST", paths: []string{"/api/agent/v1/session/create"}, guard: guardAgent, handle: f.createSession},
		{method: "GET", paths: []string{"/api/agent/v1/sessions/list"}, guard: guardProject, as: asSessionList, handle: f.listSessions},
		{method: "POST", paths: []string{"/api/agent/v1/auth/verify"}, guard: guardAgent, handle: f.verifyAgent},
	}
}

// serve is the one adapter between net/http and the handlers.
func (f *Face) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.cors(w.Header(), r)
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", allow(rt))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		out, err := f.answer(rt, &call{w: w, r: r})
		if err != nil {
			f.fail(w, r, rt, err)
			return
		}
		httpio.WriteJSON(w, out.status, envelope{code: out.code, ok: true, key: out.key, payload: out.payload})
	})
}

// answer keeps the order of reference 2.3: credentials, method, role, then the body.
func (f *Face) answer(rt route, c *call) (reply, error) {
	wrongMethod := rt.method != "" && c.r.Method != rt.method
	if wrongMethod && rt.methodFirst {
		return reply{}, errMethod
	}
	if err := f.check(rt.guard, c); err != nil {
		return reply{}, err
	}
	if wrongMethod {
		return reply{}, errMethod
	}
	if rt.admin {
		if err := c.by.Require(core.RoleAdmin); err != nil {
			return reply{}, err
		}
	}
	return rt.handle(c)
}

func allow(rt route) string {
	if rt.method == "" {
		return http.MethodOptions
	}
	return rt.method + ", " + http.MethodOptions
}
