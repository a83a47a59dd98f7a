package tool

import (
	"net/url"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

// toolset is agent_toolset_20260401 (Claude Managed Agents section 5.1).
var toolset = []string{"bash", "read", "write", "edit", "glob", "grep", core.ToolWebFetch, core.ToolWebSearch}

// Registry is all that is built in. It implements core.Tools and is safe for concurrent use.
type Registry struct {
	tools map[string]core.Tool
}

// Option changes how a Registry is made.
type Option func(*options)

type options struct {
	egress *egress.Client
	search *url.URL
}

// WithEgress sets the client that web_fetch uses. Without it, it is one with the defaults of package
// egress, which reaches the public internet only.
func WithEgress(c *egress.Client) Option {
	return func(o *options) { o.egress = c }
}

// WithSearch names the search server that web_search asks: its address takes q and format=json, as SearXNG's
// does. Without it there is no web_search, and no model is told of one.
func WithSearch(server *url.URL) Option {
	return func(o *options) { o.search = server }
}

// NewRegistry makes the registry.
func NewRegistry(opts ...Option) *Registry {
	var o options
	for _, set := range opts {
		set(&o)
	}
	if o.egress == nil {
		o.egress = egress.New(egress.Options{})
	}
	files := newQueues()
	r := &Registry{tools: map[string]core.Tool{}}
	for _, t := range []core.Tool{
		bash{}, read{}, write{files}, edit{files}, glob{}, grep{}, webFetch{o.egress}, currentTime{},
	} {
		r.tools[t.Spec().Name] = t
	}
	if o.search != nil {
		r.tools[core.ToolWebSearch] = newWebSearch(*o.search)
	}
	return r
}

// Builtin implements core.Tools.
func (r *Registry) Builtin(name string) (core.Tool, bool) {
	t, ok := r.tools[name]
	return t, ok
}

// Toolset implements core.Tools.
func (r *Registry) Toolset() []string {
	return slices.DeleteFunc(slices.Clone(toolset), func(name string) bool { return r.tools[name] == nil })
}

// Capability implements core.Tools. An alias brings the capability that it stands for, under that
// one's Ref.
func (r *Registry) Capability(ref string) (core.Capability, bool) {
	if canonical, ok := aliases[ref]; ok {
		ref = canonical
	}
	for _, c := range capabilities {
		if c.Ref == ref {
			c.Tools = slices.Clone(c.Tools)
			return c, true
		}
	}
	return core.Capability{}, false
}

// Capabilities implements core.Tools. Aliases are not listed.
func (r *Registry) Capabilities() []core.Capability {
	out := slices.Clone(capabilities)
	for i := range out {
		out[i].Tools = slices.Clone(out[i].Tools)
	}
	return out
}
