package managed

import (
	"net/http"
	"slices"
)

// route is one method on one path.
type route struct {
	method, path string
	serve        func(*call) (reply, error)
	stream       func(*call) bool // whether this request asks for the event stream; nil: never
	only         *Flavour         // nil: both flavours have it
	public       bool             // no credential is asked for
	// receive reads a body that is too large to be held, before serve; nil: the body is read whole.
	receive func(http.ResponseWriter, *call) (upload, error)
	// download answers with bytes; if it is nil or returns nil and no error, serve answers.
	download func(*call) (*download, error)
	events   bool // the body may hold events, images included
	// unsafe means that running the request twice does something twice, and that no id set aside can
	// prevent it: see Face.once.
	unsafe bool
	// uncounted means that the rates of requests leave it alone: it is how workers stay alive.
	uncounted bool
	worker    bool // for workers: of two credentials Authorization counts
}

func (rt route) in(fl *Flavour) bool { return rt.only == nil || rt.only == fl }

func (rt route) bodyLimit() int64 {
	if rt.events {
		return maxEventBody
	}
	return maxBody
}

// routes is the whole list: CMA section 2 and qoder.md section 7, as far as they are served. All updates
// are POST; Qoder's older clients send PUT for agents.
func (f *Face) routes() []route {
	return slices.Concat(
		f.agentRoutes(),
		f.vaultRoutes(),
		f.memoryRoutes(),
		f.fileRoutes(),
		f.skillRoutes(),
		f.workRoutes(),
		f.deploymentRoutes(),
		f.resourceRoutes(),
		f.threadRoutes(),
	)
}

// agentRoutes are those of agents, the environments that they work in, their sessions, and models.
func (f *Face) agentRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/agents", serve: f.createAgent},
		{method: http.MethodGet, path: "/agents", serve: f.listAgents},
		{method: http.MethodGet, path: "/agents/{agent}", serve: f.getAgent},
		{method: http.MethodPost, path: "/agents/{agent}", serve: f.updateAgent},
		{method: http.MethodPut, path: "/agents/{agent}", serve: f.updateAgent, only: Qoder},
		{method: http.MethodPost, path: "/agents/{agent}/archive", serve: f.archiveAgent},
		{method: http.MethodGet, path: "/agents/{agent}/versions", serve: f.listVersions},

		{method: http.MethodPost, path: "/environments", serve: f.createEnvironment},
		{method: http.MethodGet, path: "/environments", serve: f.listEnvironments},
		{method: http.MethodGet, path: "/environments/{environment}", serve: f.getEnvironment},
		{method: http.MethodPost, path: "/environments/{environment}", serve: f.updateEnvironment},
		{method: http.MethodDelete, path: "/environments/{environment}", serve: f.deleteEnvironment},
		{method: http.MethodPost, path: "/environments/{environment}/archive", serve: f.archiveEnvironment},

		{method: http.MethodPost, path: "/sessions", serve: f.createSession, events: true, unsafe: true},
		{method: http.MethodGet, path: "/sessions", serve: f.listSessions},
		{method: http.MethodGet, path: "/sessions/{session}", serve: f.getSession},
		{method: http.MethodPost, path: "/sessions/{session}", serve: f.updateSession},
		{method: http.MethodDelete, path: "/sessions/{session}", serve: f.deleteSession},
		{method: http.MethodPost, path: "/sessions/{session}/archive", serve: f.archiveSession},
		{method: http.MethodPost, path: "/sessions/{session}/cancel", serve: f.cancelSession, only: Qoder},
		{method: http.MethodPost, path: "/sessions/{session}/events", serve: f.sendEvents, events: true, unsafe: true},
		{method: http.MethodGet, path: "/sessions/{session}/events", serve: f.listEvents, stream: wantsStream},
		{method: http.MethodGet, path: "/sessions/{session}/events/stream", stream: func(*call) bool { return true }},

		{method: http.MethodGet, path: "/models", serve: f.listModels},
		{method: http.MethodGet, path: "/models/{model...}", serve: f.getModel, only: Claude},
	}
}
