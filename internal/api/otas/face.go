package otas

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/observe"
)

// Agents is what the face needs of the catalog.
type Agents interface {
	CreateAgent(ctx context.Context, by core.Principal, spec core.AgentSpec, opts catalog.CreateOptions) (core.Agent, error)
	Agent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error)
	Agents(ctx context.Context, by core.Principal, page core.AgentPage) ([]core.Agent, error)
	DeactivateAgent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error)
	ReactivateAgent(ctx context.Context, by core.Principal, id core.AgentID) (core.Agent, error)
}

// Sessions is what the face needs of the session service.
type Sessions interface {
	Observe(ctx context.Context, by core.Principal, meta json.RawMessage) (core.Session, error)
	Session(ctx context.Context, by core.Principal, id core.SessionID) (core.Session, error)
	Archive(ctx context.Context, by core.Principal, id core.SessionID) (core.Session, error)
	Sessions(ctx context.Context, by core.Principal, page core.SessionPage) ([]core.Session, error)
}

// Deps are what the face stands on.
type Deps struct {
	Identity *identity.Service
	Agents   Agents
	Sessions Sessions
	Captures Captures
	Log      *slog.Logger     // nil: slog.Default()
	Now      func() time.Time // nil: time.Now
	// Origins are the web origins ("https://console.example") whose pages may send credentials that
	// the browser keeps. Empty, the default: none. See cors.go.
	Origins []string
}

// Face serves the dialect.
type Face struct {
	identity *identity.Service
	agents   Agents
	sessions Sessions
	captures Captures
	log      *slog.Logger
	now      func() time.Time
	origins  map[string]bool
}

// New makes the face.
func New(d Deps) *Face {
	f := &Face{
		identity: d.Identity, agents: d.Agents, sessions: d.Sessions, captures: d.Captures,
		log: d.Log, now: d.Now, origins: map[string]bool{},
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	if f.now == nil {
		f.now = time.Now
	}
	for _, o := range d.Origins {
		f.origins[o] = true
	}
	return f
}

// Prefixes are the first parts of the paths that this face owns, those of both of the original's services.
var Prefixes = []string{"/api/user", "/api/project", "/api/user-project", "/api/agent", "/api/v1/backend", "/api/v1/agent"}

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
	for _, prefix := range Prefixes {
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
	role        core.Role          // the least that is needed, checked before the body is read (2.3); empty: any
	null        string             // payload key that failures carry as null; empty: none (2.1)
	faults      sentences          // the list "errors" that failures carry; nil: none
	as          map[string]failure // what failures are called here, by code or kind; see errors.go
	// more is an object whose members failures carry besides, by the code they are called here; nil: none.
	more   func(code string, err *core.Error) any
	handle func(c *call) (reply, error)
}

// call is one request under way, with what its guard found out.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	user    core.User      // guardUser, guardMember; guardProject unless an access token called
	by      core.Principal // all guards
	project core.Project   // guardMember and guardSDK; guardProject unless an access token called
	agent   core.Agent     // guardAgent
	source  observe.Source // the guards of reports; see capture.go
}

// reply is a success. The payload goes under key, and may be nil; without a key it is an object whose
// members stand beside the status. An empty code is left out. A payload that is a document is the whole
// answer, without an envelope.
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

// routes lists the endpoints in the order of the reference, section 9; Reeve's own stand behind those of
// their kind.
func (f *Face) routes() []route {
	return slices.Concat(f.userRoutes(), f.projectRoutes(), f.sdkKeyRoutes(), f.memberRoutes(), f.agentRoutes(), f.sessionRoutes(), f.captureRoutes())
}

func (f *Face) userRoutes() []route {
	return []route{
		{method: "POST", paths: []string{"/api/user/v1/create"}, null: "response_body", handle: f.signUp},
		{method: "POST", paths: []string{"/api/user/v1/login"}, as: asLogin, handle: f.login},
		{method: "POST", paths: []string{"/api/user/v1/authenticate"}, guard: guardUser, methodFirst: true, null: "response_body", handle: f.whoAmI},
		{method: "PUT", paths: []string{"/api/user/v1/edit"}, guard: guardUser, methodFirst: true, null: "response_body", as: asEdit, handle: f.editUser},
		{method: "PUT", paths: []string{"/api/user/v1/reset-password/update"}, guard: guardUser, methodFirst: true, null: "response_body", as: asPassword, handle: f.changePassword},
		{method: "POST", paths: []string{"/api/user/v1/logout"}, guard: guardUser, methodFirst: true, null: "response_body", handle: f.logout},
	}
}

// projectPaths are the two places at which the original mounts everything of a project (reference 3.8).
func projectPaths(name string) []string {
	return []string{"/api/project/v1/" + name, "/api/user-project/v1/" + name}
}

func (f *Face) projectRoutes() []route {
	return []route{
		{method: "POST", paths: projectPaths("create"), guard: guardUser, faults: projectFaults, as: asProjectCreate, handle: f.createProject},
		{method: "GET", paths: projectPaths("list"), guard: guardUser, handle: f.listProjects},
		{method: "POST", paths: projectPaths("authenticate"), guard: guardMember, methodFirst: true, null: "Response", as: asMembership, handle: f.membership},
		{method: "POST", paths: projectPaths("deactivate"), guard: guardMember, role: core.RoleAdmin, handle: f.deactivateProject},
		{method: "POST", paths: projectPaths("reactivate"), guard: guardUser, handle: f.reactivateProject},
		{method: "GET", paths: projectPaths("key/list"), guard: guardProject, role: core.RoleAdmin, handle: f.listKeys},
		{method: "POST", paths: projectPaths("key/revoke"), guard: guardProject, role: core.RoleAdmin, as: asAnyKey, handle: f.revokeAnyKey},
	}
}

func (f *Face) sdkKeyRoutes() []route {
	key := func(name string) []string { return projectPaths("sdk/backend/key/" + name) }
	return []route{
		{method: "POST", paths: key("create"), guard: guardProject, role: core.RoleAdmin, faults: sdkKeyFaults, as: asSDKKeyCreate, handle: f.createSDKKey},
		{method: "GET", paths: key("list"), guard: guardProject, role: core.RoleAdmin, handle: f.listSDKKeys},
		{method: "POST", paths: key("revoke"), guard: guardProject, role: core.RoleAdmin, as: asSDKKeyRevoke, handle: f.revokeSDKKey},
		{method: "POST", paths: key("authenticate"), guard: guardSDK, as: asSDKKey, more: sdkKeyError, handle: f.sdkProject},
	}
}

// memberRoutes are Reeve's own: the original has no way to add, change or remove members (reference 1.3).
func (f *Face) memberRoutes() []route {
	return []route{
		{method: "POST", paths: projectPaths("members/invite"), guard: guardProject, role: core.RoleAdmin, handle: f.invite},
		{method: "GET", paths: projectPaths("members/list"), guard: guardProject, handle: f.listMembers},
		{method: "POST", paths: projectPaths("members/accept"), guard: guardUser, as: asInvitation, handle: f.acceptInvitation},
		{method: "POST", paths: projectPaths("members/invite/revoke"), guard: guardProject, role: core.RoleAdmin, as: asInvitation, handle: f.revokeInvitation},
		{method: "POST", paths: projectPaths("members/change"), guard: guardProject, role: core.RoleAdmin, as: asMember, handle: f.changeMember},
		{method: "POST", paths: projectPaths("members/remove"), guard: guardProject, as: asMember, handle: f.removeMember},
	}
}

func (f *Face) agentRoutes() []route {
	return []route{
		{method: "POST", paths: []string{"/api/agent/v1/create"}, guard: guardProject, role: core.RoleAdmin, as: asAgentCreate, handle: f.createAgent},
		{method: "GET", paths: []string{"/api/agent/v1/list"}, guard: guardProject, handle: f.listAgents},
		{method: "POST", paths: []string{"/api/agent/v1/agents/key/create"}, guard: guardProject, role: core.RoleAdmin, as: asKeyRotate, handle: f.rotateKey},
		{method: "POST", paths: []string{"/api/agent/v1/agents/key/revoke"}, guard: guardProject, role: core.RoleAdmin, as: asKeyRevoke, handle: f.revokeKey},
		{method: "POST", paths: []string{"/api/agent/v1/auth/verify"}, guard: guardAgent, handle: f.verifyAgent},
		{method: "POST", paths: []string{"/api/agent/v1/user/authenticate"}, guard: guardProject, as: asAgent, handle: f.mayReadAgent},
		{method: "POST", paths: []string{"/api/agent/v1/deactivate"}, guard: guardProject, role: core.RoleAdmin, as: asAgent, handle: f.deactivateAgent},
		{method: "POST", paths: []string{"/api/agent/v1/reactivate"}, guard: guardProject, role: core.RoleAdmin, as: asAgent, handle: f.reactivateAgent},
		{method: "GET", paths: []string{"/api/agent/v1/manifest"}, guard: guardProject, as: asAgent, handle: f.manifest},
	}
}

func (f *Face) sessionRoutes() []route {
	return []route{
		{method: "POST", paths: []string{"/api/agent/v1/session/create"}, guard: guardAgent, handle: f.createSession},
		{method: "GET", paths: []string{"/api/agent/v1/sessions/list"}, guard: guardProject, as: asSessionList, handle: f.listSessions},
		{method: "POST", paths: []string{"/api/agent/v1/session/end"}, guard: guardProject, role: core.RoleMember, as: asSession, handle: f.endSession},
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
		if d, ok := out.payload.(document); ok {
			d.write(w, out.status)
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
	if rt.role != "" {
		if err := c.by.Require(rt.role); err != nil {
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
