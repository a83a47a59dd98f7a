package managed

import (
	"net/http"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/session"
)

const (
	resourceList = "sesrsc"
	// maxResourcePage is also the default: without a limit all are listed (CMA section 1.5).
	maxResourcePage = 1000
)

// Access to a memory store on the wire.
const (
	accessWrite = "read_write"
	accessRead  = "read_only"
)

// resourceRoutes are those of what sessions have attached (CMA section 3.6, qoder.md section 3.3).
func (f *Face) resourceRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/sessions/{session}/resources", serve: f.addResource},
		{method: http.MethodGet, path: "/sessions/{session}/resources", serve: f.listResources},
		{method: http.MethodGet, path: "/sessions/{session}/resources/{resource}", serve: f.getResource},
		{method: http.MethodPost, path: "/sessions/{session}/resources/{resource}", serve: f.rotateResource},
		{method: http.MethodDelete, path: "/sessions/{session}/resources/{resource}", serve: f.deleteResource},
	}
}

// resources reads what a session or a deployment is to have attached.
func (o *object) resources(name string) []core.Resource {
	var list []core.Resource
	for _, e := range o.objects(name) {
		list = append(list, e.resource())
		e.closed()
	}
	return list
}

// resource reads one, by its type. The caller closes the object.
func (o *object) resource() core.Resource {
	r := core.Resource{Type: core.ResourceType(o.required("type"))}
	switch r.Type {
	case core.ResourceFile:
		r.Source, r.MountPath = core.FileID(o.reference("file_id", "file")), o.text("mount_path")
	case core.ResourceMemoryStore:
		r.Store = core.MemoryStoreID(o.reference("memory_store_id", "memory store"))
		r.Instructions = o.text("instructions")
		switch access := o.text("access"); access {
		case "", accessWrite:
		case accessRead:
			r.ReadOnly = true
		default:
			o.fail(core.InvalidField(o.field("access"), "must be %s or %s", accessWrite, accessRead))
		}
	case core.ResourceRepository:
		r.URL, r.MountPath = o.required("url"), o.text("mount_path")
		r.Clear = core.Clear(o.text("authorization_token"))
		o.checkout(&r)
	default:
		o.fail(core.InvalidField(o.field("type"), "must be file, github_repository or memory_store"))
	}
	return r
}

// reference reads the id of something that must be there.
func (o *object) reference(name, noun string) string {
	spelled := o.required(name)
	id, known := core.ParseID[string](spelled)
	if !known {
		e := core.InvalidField(o.field(name), "%s %q was not found", noun, spelled)
		e.Code = "reference_not_found"
		o.fail(e)
	}
	return id
}

// checkout reads which state of a repository is wanted.
func (o *object) checkout(r *core.Resource) {
	w := o.object("checkout")
	if w == nil {
		return
	}
	switch kind := w.text("type"); kind {
	case "branch":
		r.Branch = w.required("name")
		if r.Branch == "" {
			w.fail(core.InvalidField(w.field("name"), "must not be empty"))
		}
	case "commit":
		r.Commit = w.required("sha")
		if r.Commit == "" {
			w.fail(core.InvalidField(w.field("sha"), "must not be empty"))
		}
	default:
		w.fail(core.InvalidField(w.field("type"), "must be branch or commit"))
	}
	w.closed()
}

// resourceID reads the id of a resource in the path.
func resourceID(c *call) (core.SessionID, core.ResourceID, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return "", "", err
	}
	resource, err := pathID[core.ResourceID](c, "resource")
	return id, resource, err
}

// resourceError names what was not found in the client's spelling.
func (c *call) resourceError(err error) error {
	if core.CodeOf(err) == "session_resource_not_found" {
		return named(err, "resource", c.PathValue("resource"))
	}
	return named(err, "session", c.PathValue("session"))
}

// addResource serves POST /sessions/{session}/resources: files only.
func (f *Face) addResource(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	r := o.resource()
	if err := o.end(); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		r.ID = core.ResourceID(c.once.record.Object) // an earlier try that attached it is found by this
	}
	r, err = f.sessions.AddResource(c.Context(), c.by, id, r, session.AddOptions{OnceEach: c.fl.onceEach})
	if err != nil {
		return reply{}, c.resourceError(err)
	}
	return reply{c.fl.created, c.fl.resourceWire(r)}, nil
}

// getResource serves GET /sessions/{session}/resources/{resource}.
func (f *Face) getResource(c *call) (reply, error) {
	id, resource, err := resourceID(c)
	if err != nil {
		return reply{}, err
	}
	r, err := f.sessions.Resource(c.Context(), c.by, id, resource)
	if err != nil {
		return reply{}, c.resourceError(err)
	}
	return ok(c.fl.resourceWire(r))
}

// rotateResource serves POST /sessions/{session}/resources/{resource}.
func (f *Face) rotateResource(c *call) (reply, error) {
	id, resource, err := resourceID(c)
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	token := core.Clear(o.required("authorization_token"))
	if err := o.end(); err != nil {
		return reply{}, err
	}
	r, err := f.sessions.RotateToken(c.Context(), c.by, id, resource, token)
	if err != nil {
		return reply{}, c.resourceError(err)
	}
	return ok(c.fl.resourceWire(r))
}

// deleteResource serves DELETE /sessions/{session}/resources/{resource}.
func (f *Face) deleteResource(c *call) (reply, error) {
	id, resource, err := resourceID(c)
	if err != nil {
		return reply{}, err
	}
	if err := f.sessions.DeleteResource(c.Context(), c.by, id, resource); err != nil {
		return reply{}, c.resourceError(err)
	}
	return ok(deleted{ID: c.fl.resourcePrefix + string(resource), Type: "session_resource_deleted"})
}

// listResources serves GET /sessions/{session}/resources, in the order in which they were attached.
func (f *Face) listResources(c *call) (reply, error) {
	id, err := pathID[core.SessionID](c, "session")
	if err != nil {
		return reply{}, err
	}
	all, err := f.sessions.Resources(c.Context(), c.by, id)
	if err != nil {
		return reply{}, c.resourceError(err)
	}
	entries := each(all, func(r core.Resource) entry {
		return entry{at: r.CreatedAt.UnixMicro(), id: string(r.ID), wire: c.fl.resourcePrefix + string(r.ID), body: c.fl.resourceWire(r)}
	})
	w, err := c.window(resourceList, true, maxResourcePage, maxResourcePage, func(spelled string) (cursor, error) {
		wanted, _ := core.ParseID[string](spelled)
		i := slices.IndexFunc(entries, func(e entry) bool { return e.id == wanted })
		if i < 0 {
			return cursor{}, core.NotFoundError("resource", spelled)
		}
		return cursor{at: entries[i].at, id: entries[i].id}, nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(w.of(entries)))
}

// of cuts the window out of a whole list.
func (w window) of(entries []entry) []entry {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return strings.Compare(a.id, b.id) // ids grow with time
	})
	if !w.asc {
		slices.Reverse(entries)
	}
	if w.from == nil {
		return entries[:min(len(entries), w.fetch())]
	}
	behind := func(e entry) bool {
		later := e.at > w.from.at || e.at == w.from.at && e.id > w.from.id
		return later == w.asc && (e.at != w.from.at || e.id != w.from.id)
	}
	first := slices.IndexFunc(entries, behind)
	if first < 0 {
		first = len(entries)
	}
	if !w.from.back {
		return entries[first:min(len(entries), first+w.fetch())]
	}
	before := entries[:first]
	if n := len(before); n > 0 && before[n-1].id == w.from.id {
		before = before[:n-1]
	}
	return before[max(0, len(before)-w.fetch()):]
}

// Wire forms of resources. The first three are a session's (CMA section 3.6): Claude's memory stores have no id,
// Qoder's do.
type (
	fileResourceWire struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		FileID    string `json:"file_id"`
		MountPath string `json:"mount_path"`
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
	}
	repositoryWire struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		URL       string `json:"url"`
		MountPath string `json:"mount_path"`
		Checkout  any    `json:"checkout"` // null: the default branch
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
	}
	attachedStoreWire struct {
		ID            string  `json:"id,omitempty"`
		Type          string  `json:"type"`
		MemoryStoreID string  `json:"memory_store_id"`
		Access        string  `json:"access"`
		Instructions  *string `json:"instructions"`
		Name          string  `json:"name"`
		Description   string  `json:"description"`
		MountPath     string  `json:"mount_path"`
		CreatedAt     string  `json:"created_at,omitempty"`
		UpdatedAt     string  `json:"updated_at,omitempty"`
	}
	// What a deployment attaches, as it was given (the SDK's BetaManagedAgentsSessionResourceConfigUnion).
	fileConfigWire struct {
		Type      string  `json:"type"`
		FileID    string  `json:"file_id"`
		MountPath *string `json:"mount_path"`
	}
	repositoryConfigWire struct {
		Type      string  `json:"type"`
		URL       string  `json:"url"`
		Checkout  any     `json:"checkout"`
		MountPath *string `json:"mount_path"`
	}
	storeConfigWire struct {
		Type          string  `json:"type"`
		MemoryStoreID string  `json:"memory_store_id"`
		Access        string  `json:"access"`
		Instructions  *string `json:"instructions"`
	}
	checkoutWire struct {
		Type string `json:"type"`
		Name string `json:"name,omitempty"`
		SHA  string `json:"sha,omitempty"`
	}
)

// resourceWire writes what a session has attached, without its token.
func (fl *Flavour) resourceWire(r core.Resource) any {
	id, made, changed := fl.resourcePrefix+string(r.ID), timestamp(r.CreatedAt), timestamp(r.UpdatedAt)
	switch r.Type {
	case core.ResourceFile:
		return fileResourceWire{id, string(r.Type), filePrefix + string(r.File), r.MountPath, made, changed}
	case core.ResourceRepository:
		return repositoryWire{id, string(r.Type), r.URL, r.MountPath, checkoutOf(r), made, changed}
	}
	w := attachedStoreWire{
		Type: string(r.Type), MemoryStoreID: memoryStorePrefix + string(r.Store), Access: access(r), Instructions: textOrNull(r.Instructions),
		Name: r.Name, Description: r.Description, MountPath: r.MountPath,
	}
	if fl == Qoder {
		w.ID, w.CreatedAt, w.UpdatedAt = id, made, changed
	}
	return w
}

// resourceConfigWire writes what a deployment attaches, without its token.
func resourceConfigWire(r core.Resource) any {
	switch r.Type {
	case core.ResourceFile:
		return fileConfigWire{string(r.Type), filePrefix + string(r.Source), textOrNull(r.MountPath)}
	case core.ResourceRepository:
		return repositoryConfigWire{string(r.Type), r.URL, checkoutOf(r), textOrNull(r.MountPath)}
	}
	return storeConfigWire{string(r.Type), memoryStorePrefix + string(r.Store), access(r), textOrNull(r.Instructions)}
}

func access(r core.Resource) string {
	if r.ReadOnly {
		return accessRead
	}
	return accessWrite
}

func checkoutOf(r core.Resource) any {
	switch {
	case r.Branch != "":
		return checkoutWire{Type: "branch", Name: r.Branch}
	case r.Commit != "":
		return checkoutWire{Type: "commit", SHA: r.Commit}
	}
	return nil
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
