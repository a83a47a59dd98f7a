package provider

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/anthropic"
	"github.com/reeve-ai/reeve/internal/provider/demo"
	"github.com/reeve-ai/reeve/internal/provider/openai"
	"github.com/reeve-ai/reeve/internal/provider/openaichat"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

//go:embed models.yaml
var builtin []byte

// FileName is the name of the catalogue's file in the data folder.
const FileName = "models.yaml"

// DefaultIdle is how long a model may send nothing before its call is cut. Local servers that read a
// long prompt on a CPU are silent for minutes.
const DefaultIdle = 5 * time.Minute

// Names of providers that no models.yaml may define.
const (
	nameDefault  = "default"   // in models.yaml: whatever serves the system default
	nameModelURL = "model-url" // the server of Options.ModelURL
)

var reserved = []string{nameDefault, nameModelURL}

// Options are what the catalogue is built from. All keys and addresses are resolved: nothing below
// looks at the environment but through Getenv.
type Options struct {
	Data string // the data folder, for its models.yaml; empty: only the built-in catalogue

	AnthropicKey     string // key of the provider "anthropic"
	AnthropicBaseURL string // empty: as in models.yaml, else the vendor's own
	OpenAIKey        string // key of the provider "openai"
	OpenAIBaseURL    string
	ModelURL         string // an OpenAI-compatible server that serves whatever no other vendor does
	ModelKey         string // its key; may be empty
	ModelName        string // its own name of its model; empty: names are passed on as clients send them

	Getenv func(string) string      // looks up api_key_env; nil: nothing is set
	Extra  map[string]core.Provider // further providers by name, for tests and benchmarks

	DemoDelay time.Duration // before each piece of the demo model's text
	Idle      time.Duration // 0: DefaultIdle
	HTTP      *http.Client  // for all vendors; nil: clients of their own
}

// Catalogue resolves model names; it implements core.Models. It is used from several goroutines.
type Catalogue struct {
	models       []entry
	byName       map[string]entry // names and aliases
	patterns     []entry
	defaultModel string
	ownDefault   bool // the operator's file set defaultModel
	modelName    string
	backends     []*backend // in models.yaml's order, then model-url, then extra ones by name

	names map[string]string // ids to names, of what is configured

	mu         sync.Mutex
	remembered map[string]string // ids to names, of what Model resolved besides
}

var _ core.Models = (*Catalogue)(nil)

// backend is a provider with what the catalogue needs to know of it.
type backend struct {
	name         string
	title        string // as messages name it
	kind         string // empty: an extra one
	ready        bool   // it can be called: a key is there, or none is needed
	keyFrom      string // what gives it a key
	defaultModel string
	provider     core.Provider
}

// real reports whether the backend is a vendor: neither the demo model nor an extra one.
func (b *backend) real() bool { return b.kind != "" && b.kind != demo.Kind }

// takesTiers reports whether callers may choose a faster speed and the place of inference: with Anthropic's API, and
// with providers of the program's own, which get what was chosen. The demo model, which stands in for any, does
// nothing that either could mean.
func (b *backend) takesTiers() bool {
	return b.kind == "" || b.kind == anthropic.Kind || b.kind == demo.Kind
}

// Open builds the catalogue from the built-in models.yaml, the one in the data folder if it is there,
// and the options. It connects to nothing. The error names every mistake with its place.
func Open(o Options) (*Catalogue, error) {
	all, problems := readFile("built-in models.yaml", builtin)
	own, err := ownFile(o.Data)
	if err != nil {
		return nil, err
	}
	var overlaid file
	if own != nil {
		var more []string
		overlaid, more = readFile(FileName, own)
		problems = append(problems, more...)
		all = overlay(all, overlaid)
	}
	c := &Catalogue{
		models: all.models, patterns: all.patterns, byName: map[string]entry{}, names: map[string]string{}, remembered: map[string]string{},
		defaultModel: all.defaultModel, ownDefault: overlaid.defaultModel != "", modelName: o.ModelName,
	}
	problems = append(problems, o.mistakes()...)
	if len(problems) == 0 { // what follows would only repeat the consequences
		problems = append(problems, c.build(all, o)...)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("the model catalogue has mistakes:\n  %s", strings.Join(problems, "\n  "))
	}
	return c, nil
}

// ownFile reads the operator's models.yaml. Nil: there is none.
func ownFile(folder string) ([]byte, error) {
	if folder == "" {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(folder, FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read model catalogue: %w", err)
	case data == nil:
		data = []byte{}
	}
	return data, nil
}

// mistakes says what is wrong with the options themselves.
func (o Options) mistakes() []string {
	var out []string
	for _, f := range [][2]string{{"the Anthropic base URL", o.AnthropicBaseURL}, {"the OpenAI base URL", o.OpenAIBaseURL}, {"--model-url", o.ModelURL}} {
		if f[1] != "" {
			if err := upstream.CheckBaseURL(f[1]); err != nil {
				out = append(out, f[0]+" "+err.Error())
			}
		}
	}
	for _, f := range [][2]string{{"ANTHROPIC_API_KEY", o.AnthropicKey}, {"OPENAI_API_KEY", o.OpenAIKey}, {"the key of --model-url", o.ModelKey}} {
		if strings.ContainsAny(f[1], " \t\r\n") {
			out = append(out, f[0]+" must not hold white space")
		}
	}
	if o.ModelURL == "" && (o.ModelKey != "" || o.ModelName != "") {
		out = append(out, "a key or name of a model is given for --model-url, but no --model-url")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Extra)) {
		if slices.Contains(reserved, name) {
			out = append(out, fmt.Sprintf("the provider name %q is reserved", name))
		}
	}
	return out
}

// build makes the backends and indexes, and returns what does not fit together.
func (c *Catalogue) build(all file, o Options) (problems []string) {
	for _, v := range all.vendors {
		if _, replaced := o.Extra[v.name]; replaced {
			continue
		}
		if v.kind == "" {
			problems = append(problems, fmt.Sprintf("%s: provider %q needs kind", v.at, v.name))
		}
		if v.kind == openaichat.Kind && v.baseURL == "" {
			problems = append(problems, fmt.Sprintf("%s: provider %q of kind %s needs base_url", v.at, v.name, v.kind))
		}
		c.backends = append(c.backends, o.backend(v))
	}
	if o.ModelURL != "" {
		c.backends = append(c.backends, o.modelURL())
	}
	for _, name := range slices.Sorted(maps.Keys(o.Extra)) {
		c.backends = append(c.backends, &backend{name: name, title: name, ready: true, provider: Guard(o.Extra[name], o.idle())})
	}
	for _, e := range c.models {
		for _, name := range append([]string{e.name}, e.aliases...) {
			if _, taken := c.byName[name]; taken {
				problems = append(problems, fmt.Sprintf("%s: the model name %q is there twice", e.at, name))
			}
			c.byName[name] = e
			c.names[core.ModelID(name)] = name
		}
	}
	for _, e := range slices.Concat(c.models, c.patterns) {
		if e.provider != nameDefault && e.provider != nameModelURL && c.backend(e.provider) == nil {
			problems = append(problems, fmt.Sprintf("%s: there is no provider %q", e.at, e.provider))
		}
	}
	for _, b := range c.backends {
		if b.kind == "" {
			c.names[core.ModelID(b.name)] = b.name
		}
	}
	if o.ModelName != "" {
		c.names[core.ModelID(o.ModelName)] = o.ModelName
	}
	if e, ok := c.find(c.defaultModel); !ok || e.provider == nameDefault {
		problems = append(problems, fmt.Sprintf("%s: the default %q is not the name of a model", all.defaultAt, c.defaultModel))
	}
	return problems
}

func (o Options) idle() time.Duration {
	if o.Idle > 0 {
		return o.Idle
	}
	return DefaultIdle
}

// backend makes the adapter of a provider in models.yaml. The environment wins over the file.
func (o Options) backend(v vendor) *backend {
	b := &backend{name: v.name, title: fmt.Sprintf("The model provider %q", v.name), kind: v.kind, keyFrom: v.keyEnv, defaultModel: v.defaultModel}
	e := upstream.Endpoint{BaseURL: v.baseURL, Key: v.key, KeyFrom: v.keyEnv, Headers: v.headers, HTTP: o.HTTP}
	if v.keyEnv != "" && o.Getenv != nil {
		e.Key = strings.TrimSpace(o.Getenv(v.keyEnv))
	}
	switch v.name {
	case anthropic.Kind:
		b.title = "Anthropic"
		e.Key, e.BaseURL = or(o.AnthropicKey, e.Key), or(o.AnthropicBaseURL, e.BaseURL)
	case openai.Kind:
		b.title = "OpenAI"
		e.Key, e.BaseURL = or(o.OpenAIKey, e.Key), or(o.OpenAIBaseURL, e.BaseURL)
	}
	b.ready = e.Key != "" || v.keyEnv == "" // a provider for which no key is foreseen needs none
	e.Name = b.title
	switch v.kind {
	case anthropic.Kind:
		b.provider = anthropic.New(e)
	case openai.Kind:
		b.provider = openai.New(e)
	case openaichat.Kind:
		b.provider = openaichat.New(e)
	default:
		b.provider = demo.New(demo.WithDelay(o.DemoDelay))
	}
	b.provider = Guard(b.provider, o.idle())
	return b
}

// modelURL makes the adapter of the server that the operator named on the command line.
func (o Options) modelURL() *backend {
	u, _ := url.Parse(o.ModelURL) // checked by mistakes
	b := &backend{name: nameModelURL, title: "The model server at " + u.Host, kind: openaichat.Kind, ready: true}
	b.provider = Guard(openaichat.New(upstream.Endpoint{
		Name: b.title, BaseURL: o.ModelURL, Key: o.ModelKey, HTTP: o.HTTP,
	}), o.idle())
	return b
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
