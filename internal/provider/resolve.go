package provider

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/demo"
)

const (
	maxName       = 256   // bytes of a model name that is passed on to a server
	maxRemembered = 10000 // names that patterns resolved, kept for ModelByID

	// defaultMaxOutput is the limit of one answer where nothing better is known. Local models often
	// have windows of 32k tokens.
	defaultMaxOutput = 8192
)

// Model implements core.Models. In short: a name of the catalogue goes to its vendor; without a key
// for that vendor to the --model-url server; without any vendor at all to the demo model. Unknown
// names go to the --model-url server under their own name. Empty and "default" ask for the system
// default; the Model's Name is then that of the model chosen. The ids of Everruns' published examples
// ("model_" and the digits) are names too.
//
// Errors: Invalid ("model_not_available").
func (c *Catalogue) Model(name string) (core.Model, error) {
	if _, listed := c.byName[name]; name == "" || name == nameDefault && !listed {
		return c.systemDefault()
	}
	if known, ok := wellKnown[strings.TrimPrefix(name, "model_")]; ok && strings.HasPrefix(name, "model_") {
		m, err := c.Model(known)
		m.Name = name // kept as it was given, so that it goes on to mean the default of the day
		return m, err
	}
	m, err := c.resolve(name)
	if err == nil {
		c.remember(name)
	}
	return m, err
}

// ModelByID implements core.Models. Besides the names of the catalogue it knows those that Model
// resolved since the start, and the ids of Everruns' published examples.
func (c *Catalogue) ModelByID(hex string) (core.Model, bool) {
	name, ok := wellKnown[hex]
	if !ok {
		name, ok = c.names[strings.ToLower(hex)]
	}
	if !ok {
		c.mu.Lock()
		name, ok = c.remembered[strings.ToLower(hex)]
		c.mu.Unlock()
	}
	if !ok {
		return core.Model{}, false
	}
	m, err := c.Model(name)
	return m, err == nil
}

// Models implements core.Models: first the model of the --model-url server, then the catalogue's
// models that something can serve, aliases and patterns left out, then extra providers. It is never
// empty.
func (c *Catalogue) Models() []core.Model {
	var out []core.Model
	if b := c.backend(nameModelURL); b != nil {
		out = append(out, ownNamed(or(c.modelName, nameDefault), b))
	}
	for _, e := range c.models {
		if m, err := c.serve(e.name, e); err == nil && !slices.ContainsFunc(out, func(o core.Model) bool { return o.Name == m.Name }) {
			out = append(out, m)
		}
	}
	for _, b := range c.backends {
		if b.kind == "" {
			out = append(out, ownNamed(b.name, b))
		}
	}
	return out
}

// Provider implements core.Models. Every provider is guarded (see Guard).
func (c *Catalogue) Provider(m core.Model) (core.Provider, error) {
	if b := c.backend(m.Provider); b != nil {
		return b.provider, nil
	}
	return nil, core.Errorf(core.Unavailable, "model_not_available", "the provider %q of model %q is no longer configured", m.Provider, m.Name)
}

func (c *Catalogue) backend(name string) *backend {
	for _, b := range c.backends {
		if b.name == name {
			return b
		}
	}
	return nil
}

// find returns the entry for a name: a model, an alias, or the first pattern that fits.
func (c *Catalogue) find(name string) (entry, bool) {
	if e, ok := c.byName[name]; ok {
		return e, true
	}
	for _, e := range c.patterns {
		if fits(e.match, name) {
			return e, true
		}
	}
	return entry{}, false
}

func (c *Catalogue) resolve(name string) (core.Model, error) {
	e, known := c.find(name)
	if _, listed := c.byName[name]; !listed {
		for _, b := range c.backends {
			if b.kind == "" && (name == b.name || strings.HasPrefix(name, b.name+"-")) {
				return ownNamed(name, b), nil
			}
		}
	}
	if known {
		return c.serve(name, e)
	}
	if b := c.backend(nameModelURL); b != nil {
		if passable(name) {
			return ownNamed(name, b), nil
		}
	}
	return core.Model{}, notAvailable("model: %q is not a model that this server knows; GET /v1/models lists the names", shown(name))
}

// serve finds who serves an entry under the name that the client sent.
func (c *Catalogue) serve(name string, e entry) (core.Model, error) {
	if e.provider == nameDefault {
		m, err := c.systemDefault()
		m.Name, m.DisplayName = name, or(e.displayName, name)
		if e.efforts != nil {
			m.Efforts, m.DefaultEffort = e.efforts, e.defaultEffort
		}
		if e.prices != nil {
			m.Prices = e.prices
		}
		return m, err
	}
	m := core.Model{
		Name: name, DisplayName: or(e.displayName, name), Provider: e.provider,
		Target:         strings.ReplaceAll(or(or(e.target, e.name), name), "$0", name),
		MaxInputTokens: e.maxInput, MaxOutputTokens: e.maxOutput,
		Efforts: e.efforts, DefaultEffort: e.defaultEffort, CreatedAt: e.createdAt, Prices: e.prices,
	}
	if m.MaxOutputTokens == 0 {
		m.MaxOutputTokens = defaultMaxOutput
	}
	b := c.backend(e.provider)
	if b != nil && b.ready {
		m.Demo = b.kind == demo.Kind
		m.Fast, m.Geo = b.takesTiers(), b.takesTiers()
		return m, nil
	}
	if server := c.backend(nameModelURL); server != nil {
		m := ownNamed(or(c.modelName, name), server)
		m.Name, m.DisplayName, m.CreatedAt = name, or(e.displayName, name), e.createdAt
		return m, nil
	}
	if stand := c.standIn(); stand != nil {
		m.Provider = stand.name
		m.Fast, m.Geo = stand.takesTiers(), stand.takesTiers()
		if stand.kind == demo.Kind {
			m.Target, m.Demo, m.Prices = demo.Target, true, &core.Prices{} // it costs nothing, whatever it stands in for
		}
		return m, nil
	}
	if b == nil {
		return core.Model{}, notAvailable("model: %q needs the server of --model-url, which is not set", shown(name))
	}
	return core.Model{}, notAvailable("model: %q is served by %s, for which there is no key: set %s, or --model-url to serve it elsewhere; GET /v1/models lists the names that work now",
		shown(name), b.title, b.keyFrom)
}

// standIn is who serves known names whose vendor has no key, as long as no vendor at all is
// configured: an extra provider, else the demo model. Nil: nobody.
func (c *Catalogue) standIn() *backend {
	var extra, demoModel *backend
	for _, b := range c.backends {
		switch {
		case b.real() && b.ready:
			return nil
		case b.kind == "" && extra == nil:
			extra = b
		case b.kind == demo.Kind && demoModel == nil:
			demoModel = b
		}
	}
	if extra != nil {
		return extra
	}
	return demoModel
}

// systemDefault is the model for those who name none: the operator's, else that of the --model-url
// server, else the built-in default's vendor, else the first vendor that has a key, else who stands
// in.
func (c *Catalogue) systemDefault() (core.Model, error) {
	e, _ := c.find(c.defaultModel) // there, by build
	if c.ownDefault {
		return c.serve(c.defaultModel, e)
	}
	if b := c.backend(nameModelURL); b != nil {
		return ownNamed(or(c.modelName, nameDefault), b), nil
	}
	if b := c.backend(e.provider); b != nil && b.ready {
		return c.serve(c.defaultModel, e)
	}
	for _, b := range c.backends {
		if !b.real() || !b.ready {
			continue
		}
		for _, e := range c.models {
			if e.provider == b.name && (b.defaultModel == "" || e.name == b.defaultModel) {
				return c.serve(e.name, e)
			}
		}
		if e, ok := c.find(b.defaultModel); ok && e.provider == b.name {
			return c.serve(b.defaultModel, e)
		}
	}
	stand := c.standIn()
	if stand == nil {
		return core.Model{}, notAvailable("no model is configured: set ANTHROPIC_API_KEY, OPENAI_API_KEY or --model-url")
	}
	if stand.kind == demo.Kind {
		if e, ok := c.byName[stand.defaultModel]; ok {
			return c.serve(e.name, e)
		}
	}
	return c.serve(c.defaultModel, e)
}

// ownNamed is a model under the name by which its backend knows it: one of the --model-url server, or
// of an extra provider.
func ownNamed(name string, b *backend) core.Model {
	return core.Model{
		Name: name, DisplayName: name, Provider: b.name, Target: name, MaxOutputTokens: defaultMaxOutput,
		Fast: b.takesTiers(), Geo: b.takesTiers(),
	}
}

// remember keeps a name for ModelByID. When there are too many, one of them is forgotten.
func (c *Catalogue) remember(name string) {
	if _, listed := c.byName[name]; listed {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.remembered) >= maxRemembered {
		for id := range c.remembered {
			delete(c.remembered, id)
			break
		}
	}
	c.remembered[core.ModelID(name)] = name
}

// fits reports whether a name matches a pattern in which * stands for any characters, also none.
func fits(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	rest := name[len(first) : len(name)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return true
}

// passable reports whether a name may be sent to a server that may know it.
func passable(name string) bool {
	return len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
	})
}

// shown is a client's name as an error may repeat it.
func shown(name string) string {
	if len(name) > 100 {
		return strings.ToValidUTF8(name[:100], "") + "…"
	}
	return name
}

func notAvailable(format string, args ...any) error {
	return &core.Error{Kind: core.Invalid, Code: "model_not_available", Field: "model", Message: fmt.Sprintf(format, args...)}
}
