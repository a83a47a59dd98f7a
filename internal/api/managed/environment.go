package managed

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// packageManagers are the members of config.packages (CMA section 3.2).
var packageManagers = []string{"apt", "cargo", "gem", "go", "npm", "pip"}

// environmentPatch is the body of a create or an update.
type environmentPatch struct {
	name, description, scope httpio.Optional[string]
	metadata                 map[string]*string
	config                   *configPatch // nil: absent
}

// configPatch changes a config. What it leaves out stays (CMA section 3.2).
type configPatch struct {
	kind       string // "": as it is
	networking *networkPatch
	packages   map[string][]string // the managers that were named; nil: absent
	setup      httpio.Optional[string]
}

type networkPatch struct {
	kind               string // "": as it is
	hosts              []string
	hostsGiven         bool
	mcp, packageSource httpio.Optional[bool]
}

func (o *object) environmentPatch(fl *Flavour) environmentPatch {
	p := environmentPatch{
		name: read[string](o, "name"), description: read[string](o, "description"),
		scope: read[string](o, "scope"), metadata: o.patch("metadata"),
	}
	switch raw := o.raw("config"); {
	case raw == nil:
	case fl.configRequired && blank(raw):
		o.fail(core.InvalidField("config", "must not be empty or null: leave it out for the default"))
	default:
		p.config = o.object("config").configPatch(fl)
	}
	return p
}

func (o *object) configPatch(fl *Flavour) *configPatch {
	if o == nil {
		return nil
	}
	p := &configPatch{kind: o.text("type")}
	switch p.kind {
	case "", "cloud", "self_hosted":
	case "managed": // the China edition's word for cloud (qoder.md section 3.6)
		if fl.unknown == httpio.IgnoreUnknown {
			p.kind = "cloud"
			break
		}
		fallthrough
	default:
		o.fail(core.InvalidField(o.field("type"), "must be one of cloud, self_hosted"))
	}
	if n := o.object("networking"); n != nil {
		p.networking = n.networkPatch()
	}
	if pk := o.object("packages"); pk != nil {
		p.packages = map[string][]string{}
		pk.text("type")
		for _, manager := range packageManagers {
			if names := read[[]string](pk, manager); names.Set {
				p.packages[manager] = names.V
			}
		}
		pk.closed()
	}
	if fl.unknown == httpio.IgnoreUnknown { // a member of the Qoder wire alone
		p.setup = read[string](o, "setup_script")
	}
	o.closed()
	return p
}

func (o *object) networkPatch() *networkPatch {
	p := &networkPatch{kind: o.text("type"), mcp: read[bool](o, "allow_mcp_servers"), packageSource: read[bool](o, "allow_package_managers")}
	switch p.kind {
	case "", "limited", "unrestricted":
	default:
		o.fail(core.InvalidField(o.field("type"), "must be one of unrestricted, limited"))
	}
	hosts := read[[]string](o, "allowed_hosts")
	p.hosts, p.hostsGiven = hosts.V, hosts.Set
	o.closed()
	return p
}

// defaultConfig is the config of an environment that says nothing: open to the network with Claude,
// closed with Qoder (CMA section 3.2, qoder.md section 3.6).
func (fl *Flavour) defaultConfig() core.EnvironmentConfig {
	return core.EnvironmentConfig{Networking: core.Networking{Limited: fl.limitedNetwork}}
}

func (p environmentPatch) apply(e *core.Environment, fl *Flavour) error {
	if p.name.Null {
		return core.InvalidField("name", "cannot be cleared")
	}
	if p.name.Set {
		e.Name = p.name.V
	}
	if p.description.Set {
		e.Description = p.description.V
	}
	clearing := make(map[string]*string, len(p.metadata))
	for k, v := range p.metadata { // here "" deletes a key, too (CMA section 3.2, qoder.md section 3.6)
		if clearing[k] = v; v != nil && *v == "" {
			clearing[k] = nil
		}
	}
	e.Metadata = patched(e.Metadata, clearing)
	if p.config != nil {
		p.config.apply(&e.Config, fl)
	}
	if p.scope.Set {
		e.Config.Scope = p.scope.V
	}
	return nil
}

func (p *configPatch) apply(c *core.EnvironmentConfig, fl *Flavour) {
	if selfHosted := p.kind == "self_hosted"; p.kind != "" && selfHosted != c.SelfHosted {
		*c = core.EnvironmentConfig{SelfHosted: selfHosted, Scope: c.Scope}
		if !selfHosted {
			c.Networking = fl.defaultConfig().Networking
			c.Scope = ""
		}
	}
	if p.networking != nil {
		p.networking.apply(&c.Networking)
	}
	if p.packages != nil {
		c.Packages = maps.Clone(c.Packages)
		if c.Packages == nil {
			c.Packages = map[string][]string{}
		}
		for manager, names := range p.packages {
			if delete(c.Packages, manager); len(names) > 0 {
				c.Packages[manager] = slices.Clone(names)
			}
		}
		if len(c.Packages) == 0 {
			c.Packages = nil
		}
	}
	if p.setup.Set {
		c.SetupScript = p.setup.V
	}
}

func (p *networkPatch) apply(n *core.Networking) {
	if limited := p.kind == "limited"; p.kind != "" && limited != n.Limited {
		*n = core.Networking{Limited: limited}
	}
	if p.hostsGiven {
		n.AllowedHosts = slices.Clone(p.hosts)
	}
	if p.mcp.Set {
		n.AllowMCPServers = p.mcp.V
	}
	if p.packageSource.Set {
		n.AllowPackageManagers = p.packageSource.V
	}
}

// createEnvironment serves POST /environments.
func (f *Face) createEnvironment(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	p := o.environmentPatch(c.fl)
	p.name.Null = false // as good as absent: the catalogue says that it is missing
	if err := o.end(); err != nil {
		return reply{}, err
	}
	env := core.Environment{Config: c.fl.defaultConfig()}
	if err := p.apply(&env, c.fl); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		env.ID = core.EnvironmentID(c.once.record.Object)
	}
	made, err := f.catalog.CreateEnvironment(c.Context(), c.by, env)
	if c.once != nil && core.KindOf(err) == core.Conflict { // an earlier try made it
		made, err = f.catalog.Environment(c.Context(), c.by, env.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{c.fl.created, c.fl.environmentWire(made)}, nil
}

// getEnvironment serves GET /environments/{environment}.
func (f *Face) getEnvironment(c *call) (reply, error) {
	id, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	env, err := f.catalog.Environment(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "environment", c.PathValue("environment"))
	}
	return ok(c.fl.environmentWire(env))
}

// updateEnvironment serves POST /environments/{environment}.
func (f *Face) updateEnvironment(c *call) (reply, error) {
	id, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	p := o.environmentPatch(c.fl)
	if err := o.end(); err != nil {
		return reply{}, err
	}
	env, err := f.catalog.UpdateEnvironment(c.Context(), c.by, id, func(e *core.Environment) error { return p.apply(e, c.fl) })
	if err != nil {
		return reply{}, named(err, "environment", c.PathValue("environment"))
	}
	return ok(c.fl.environmentWire(env))
}

// archiveEnvironment serves POST /environments/{environment}/archive.
func (f *Face) archiveEnvironment(c *call) (reply, error) {
	id, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	env, err := f.catalog.ArchiveEnvironment(c.Context(), c.by, id)
	if err != nil {
		return reply{}, named(err, "environment", c.PathValue("environment"))
	}
	return ok(c.fl.environmentWire(env))
}

// deleteEnvironment serves DELETE /environments/{environment}.
func (f *Face) deleteEnvironment(c *call) (reply, error) {
	id, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	if err := f.catalog.DeleteEnvironment(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "environment", c.PathValue("environment"))
	}
	return ok(deleted{ID: environmentPrefix + string(id), Type: "environment_deleted"})
}

// listEnvironments serves GET /environments, newest first.
func (f *Face) listEnvironments(c *call) (reply, error) {
	w, err := c.window(environmentList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.EnvironmentID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("environment", spelled)
		}
		e, err := f.catalog.Environment(c.Context(), c.by, id)
		return cursor{at: e.CreatedAt.UnixMicro(), id: string(e.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "environments are listed newest first: must be desc")
	}
	created, err := c.query.span("created_at")
	if err != nil {
		return reply{}, err
	}
	archived, err := c.query.flag("include_archived")
	if err := errors.Join(err, w.within(created)); err != nil {
		return reply{}, err
	}
	q := core.EnvironmentPage{Limit: w.fetch(), IncludeArchived: archived}
	q.After, q.Before = w.keys()
	if _, to := created.closed(); !to.IsZero() && q.After == nil && q.Before == nil {
		// Newest first, so the end of the range is where the list begins.
		q.After = &core.PageKey{CreatedAt: to.Add(time.Microsecond)}
	}
	envs, err := f.catalog.Environments(c.Context(), c.by, q)
	if err != nil {
		return reply{}, err
	}
	envs = slices.DeleteFunc(envs, func(e core.Environment) bool { return !created.holds(e.CreatedAt) })
	return ok(w.envelope(each(envs, func(e core.Environment) entry {
		return entry{at: e.CreatedAt.UnixMicro(), id: string(e.ID), wire: environmentPrefix + string(e.ID), body: c.fl.environmentWire(e)}
	})))
}

// environmentWire is an environment on the wire.
type environmentWire struct {
	Type        string            `json:"type"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description any               `json:"description"`
	Config      any               `json:"config"`
	Metadata    map[string]string `json:"metadata"`
	Scope       string            `json:"scope,omitempty"`
	Status      string            `json:"status,omitempty"` // Qoder's older clients wait for "ready"
	Archived    *bool             `json:"archived,omitempty"`
	ArchivedAt  any               `json:"archived_at"`
	CreatedAt   string            `json:"created_at"`
	UpdatedAt   string            `json:"updated_at"`
}

type cloudConfig struct {
	Type        string       `json:"type"`
	Networking  any          `json:"networking"`
	Packages    packagesWire `json:"packages"`
	SetupScript *string      `json:"setup_script,omitempty"` // Qoder only
}

type packagesWire struct {
	Type  string   `json:"type"`
	Apt   []string `json:"apt"`
	Cargo []string `json:"cargo"`
	Gem   []string `json:"gem"`
	Go    []string `json:"go"`
	Npm   []string `json:"npm"`
	Pip   []string `json:"pip"`
}

type limitedNetwork struct {
	Type                 string   `json:"type"`
	AllowedHosts         []string `json:"allowed_hosts"`
	AllowMCPServers      bool     `json:"allow_mcp_servers"`
	AllowPackageManagers bool     `json:"allow_package_managers"`
}

func (fl *Flavour) environmentWire(e core.Environment) environmentWire {
	w := environmentWire{
		Type: "environment", ID: environmentPrefix + string(e.ID), Name: e.Name, Description: fl.text(e.Description),
		Config: fl.configWire(e.Config), Metadata: metadata(e.Metadata), Scope: e.Config.Scope,
		Archived: fl.archived(e.ArchivedAt), ArchivedAt: maybeTime(e.ArchivedAt),
		CreatedAt: timestamp(e.CreatedAt), UpdatedAt: timestamp(e.UpdatedAt),
	}
	if fl.archivedFlag {
		if w.Status = "ready"; *w.Archived {
			w.Status = "archived"
		}
	}
	return w
}

func (fl *Flavour) configWire(c core.EnvironmentConfig) any {
	if c.SelfHosted {
		return map[string]string{"type": "self_hosted"}
	}
	w := cloudConfig{Type: "cloud", Networking: map[string]string{"type": "unrestricted"}, Packages: packagesWire{
		Type: "packages", Apt: list(c.Packages["apt"]), Cargo: list(c.Packages["cargo"]), Gem: list(c.Packages["gem"]),
		Go: list(c.Packages["go"]), Npm: list(c.Packages["npm"]), Pip: list(c.Packages["pip"]),
	}}
	if n := c.Networking; n.Limited {
		w.Networking = limitedNetwork{
			Type: "limited", AllowedHosts: list(n.AllowedHosts),
			AllowMCPServers: n.AllowMCPServers, AllowPackageManagers: n.AllowPackageManagers,
		}
	}
	if fl.archivedFlag && c.SetupScript != "" {
		w.SetupScript = &c.SetupScript
	}
	return w
}
