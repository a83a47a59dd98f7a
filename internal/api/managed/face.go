package managed

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/skill"
	"github.com/reeve-ai/reeve/internal/vault"
	"github.com/reeve-ai/reeve/internal/work"
)

// Limits of bodies, in bytes. A session's first messages and the events sent to it may hold images
// (CMA section 1.7; qoder.md section 2.7).
const (
	maxBody      = 4 << 20
	maxEventBody = 32 << 20
)

// maxStreams is how many streams may be open at one time unless Deps says otherwise.
const maxStreams = 10_000

// Authenticator finds out who is calling.
type Authenticator interface {
	// Caller resolves an access token, or what a worker presents (an environment key, the token of a work item),
	// as its owner keeps it, without a scheme. Errors: Unauthenticated.
	Caller(ctx context.Context, raw string) (core.Principal, error)
	// Admit counts a request of a caller. Errors: RateLimited.
	Admit(by core.Principal, write bool) error
}

// Deps is what the face calls. All fields are needed but the last two.
type Deps struct {
	Auth        Authenticator
	Catalog     *catalog.Service
	Files       *file.Service
	Skills      *skill.Service
	Memory      *memory.Service
	Sessions    *session.Service
	Models      core.Models
	Vaults      *vault.Service
	Deployments *deployment.Service
	Work        *work.Service
	Idempotency core.IdempotencyStore
	Log         *slog.Logger
	Now         func() time.Time // nil: the system clock
	MaxStreams  int              // event streams open at one time; 0: 10,000
}

// Face serves both dialects. It is used from many goroutines.
type Face struct {
	auth        Authenticator
	catalog     *catalog.Service
	files       *file.Service
	skills      *skill.Service
	memory      *memory.Service
	sessions    *session.Service
	models      core.Models
	vaults      *vault.Service
	deployments *deployment.Service
	work        *work.Service
	keys        core.IdempotencyStore
	log         *slog.Logger
	now         func() time.Time
	streams     chan struct{} // one place for each open stream
	flights     flights
	told        told
}

// New makes the face; it serves nothing before Mount.
func New(d Deps) *Face {
	if d.MaxStreams <= 0 {
		d.MaxStreams = maxStreams
	}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	if d.Now != nil {
		now = func() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }
	}
	return &Face{
		auth: d.Auth, catalog: d.Catalog, files: d.Files, skills: d.Skills, memory: d.Memory, sessions: d.Sessions, models: d.Models, vaults: d.Vaults, deployments: d.Deployments, work: d.Work, keys: d.Idempotency, log: d.Log, now: now,
		streams: make(chan struct{}, d.MaxStreams),
		flights: flights{open: map[flight]bool{}},
	}
}

// Mount registers everything below prefix ("/v1", "/api/v1/cloud") on mux: the routes, and an answer in
// the caller's dialect for all else. fixed is the flavour of every request there; nil: each request's
// credential says (flavourOf).
func (f *Face) Mount(mux *http.ServeMux, prefix string, fixed *Flavour) {
	paths := map[string]methods{}
	for _, rt := range f.routes() {
		if paths[rt.path] == nil {
			paths[rt.path] = methods{}
		}
		paths[rt.path][rt.method] = rt
	}
	for path, table := range paths {
		mux.Handle(prefix+path, f.dispatch(table, fixed))
	}
	mux.Handle(prefix+"/", f.dispatch(nil, fixed))
}

// methods are the routes of one path, by HTTP method.
type methods map[string]route

// allowed lists the methods that a flavour has on this path, for the header Allow.
func (m methods) allowed(fl *Flavour) []string {
	var list []string
	for method, rt := range m {
		if rt.in(fl) {
			list = append(list, method)
		}
	}
	slices.Sort(list)
	return list
}

func (f *Face) dispatch(table methods, fixed *Flavour) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fl := fixed
		if fl == nil {
			fl = flavourOf(r)
		}
		method := r.Method
		if method == http.MethodHead { // the server drops the body
			method = http.MethodGet
		}
		rt, ok := table[method]
		if ok && rt.in(fl) {
			f.serve(w, r, fl, rt)
			return
		}
		allow := table.allowed(fl)
		if len(allow) == 0 {
			f.fail(w, r, fl, core.Errorf(core.NotFound, "route_not_found", "there is nothing at this path"))
			return
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		f.fail(w, r, fl, core.Errorf(core.Invalid, codeMethod, "this path does not take %s", r.Method))
	})
}

// serve runs one route: who is calling, what was sent, then the handler or the stream.
func (f *Face) serve(w http.ResponseWriter, r *http.Request, fl *Flavour, rt route) {
	c := &call{Request: r, fl: fl, header: http.Header{}}
	var err error
	if !rt.public {
		c.by, err = f.principal(r, fl, rt.worker)
	}
	if err == nil && !rt.public && !rt.uncounted {
		err = f.auth.Admit(c.by, rt.method != http.MethodGet)
	}
	if err == nil {
		c.query, err = parseQuery(r)
	}
	if err != nil {
		f.fail(w, r, fl, err)
		return
	}
	if rt.stream != nil && rt.stream(c) {
		f.serveStream(w, c)
		return
	}
	if rt.download != nil {
		if d, err := rt.download(c); err != nil {
			f.fail(w, r, fl, err)
			return
		} else if d != nil {
			d.write(w, r)
			return
		}
	}
	if err := f.readBody(w, c, rt); err != nil {
		f.fail(w, r, fl, err)
		return
	}
	if c.upload != nil {
		defer c.upload.discard()
	}
	a := f.answer(c, rt)
	maps.Copy(w.Header(), c.header)
	a.write(w)
}

// readBody takes the body, whole or as the route does. What no route looks at is left alone.
func (f *Face) readBody(w http.ResponseWriter, c *call, rt route) (err error) {
	switch {
	case rt.receive != nil:
		c.upload, err = rt.receive(w, c)
	case c.Method != http.MethodGet:
		c.body, err = httpio.ReadBody(w, c.Request, rt.bodyLimit())
	}
	return err
}

// answer runs the handler, once for one Idempotency-Key.
func (f *Face) answer(c *call, rt route) answer {
	if key := idempotencyKey(c.Request); key != "" && c.Method != http.MethodGet {
		return f.once(c, rt, key)
	}
	return f.run(c, rt)
}

// run calls the handler and writes what it returned.
func (f *Face) run(c *call, rt route) answer {
	reply, err := rt.serve(c)
	if err != nil {
		return f.failed(c, err)
	}
	return answer{status: reply.status, body: encode(reply.body)}
}

func (f *Face) failed(c *call, err error) answer {
	httpio.LogFailure(f.log, c.Request, err)
	return c.fl.failure(httpio.RequestID(c.Context()), err)
}

func (f *Face) principal(r *http.Request, fl *Flavour, worker bool) (core.Principal, error) {
	raw, err := fl.credential(r, worker)
	if err != nil {
		return core.Principal{}, err
	}
	return f.auth.Caller(r.Context(), raw)
}

// call is one request whose caller is known.
type call struct {
	*http.Request
	fl     *Flavour
	by     core.Principal
	query  query
	body   []byte       // empty for GET
	upload upload       // instead of body; nil: the route takes none
	header http.Header  // more headers for the answer, whatever that is
	once   *reservation // nil: the request carries no Idempotency-Key
}

// reply is what a handler returns: the body is written as JSON.
type reply struct {
	status int
	body   any
}

func ok(body any) (reply, error) { return reply{http.StatusOK, body}, nil }

// answer is a whole answer as it leaves: it can be kept and given again.
type answer struct {
	status int
	header http.Header // besides those that write sets; may be nil
	body   []byte
}

func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client is gone: there is nobody left to tell
}
