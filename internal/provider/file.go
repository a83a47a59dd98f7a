package provider

import (
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/anthropic"
	"github.com/reeve-ai/reeve/internal/provider/demo"
	"github.com/reeve-ai/reeve/internal/provider/openai"
	"github.com/reeve-ai/reeve/internal/provider/openaichat"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// kinds are the kinds of providers that models.yaml may name.
var kinds = []string{anthropic.Kind, openai.Kind, openaichat.Kind, demo.Kind}

// efforts are the reasoning efforts that models.yaml may name, weakest first.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// vendor is an entry of providers in models.yaml.
type vendor struct {
	at           string // where it stands, for messages
	name         string
	kind         string
	baseURL      string
	keyEnv       string
	key          string
	headers      map[string]string
	defaultModel string // what the vendor serves as system default
}

// entry is an entry of models or patterns in models.yaml. A pattern has match instead of name.
type entry struct {
	at            string
	name          string
	match         string
	displayName   string
	provider      string
	target        string
	aliases       []string
	maxInput      int64
	maxOutput     int64
	efforts       []string // nil: unsaid; empty: none
	defaultEffort string
	createdAt     time.Time
	prices        *core.Prices // nil: unsaid
}

// file is a whole models.yaml.
type file struct {
	defaultModel string
	defaultAt    string
	vendors      []vendor
	models       []entry
	patterns     []entry
}

// readFile reads a models.yaml. Problems are sentences that begin with their place.
func readFile(name string, data []byte) (out file, problems []string) {
	f := &yamlFile{name: name}
	f.read(data, fields{
		"default": func(n ast.Node) {
			out.defaultAt = f.at(n)
			f.text(&out.defaultModel)(n)
		},
		"providers": func(n ast.Node) {
			f.each(n, func(key string, at, value ast.Node) { out.vendors = append(out.vendors, readVendor(f, key, at, value)) })
		},
		"models": func(n ast.Node) {
			f.items(n, func(n ast.Node) { out.models = append(out.models, readEntry(f, n, false)) })
		},
		"patterns": func(n ast.Node) {
			f.items(n, func(n ast.Node) { out.patterns = append(out.patterns, readEntry(f, n, true)) })
		},
	})
	return out, f.problems
}

func readVendor(f *yamlFile, name string, at, value ast.Node) vendor {
	v := vendor{at: f.at(at), name: name}
	if slices.Contains(reserved, name) {
		f.problem(at, "the provider name %q is reserved", name)
	}
	f.mapping(value, fields{
		"kind": func(n ast.Node) {
			if f.text(&v.kind)(n); v.kind != "" && !slices.Contains(kinds, v.kind) {
				f.problem(n, "kind must be one of %s", strings.Join(kinds, ", "))
			}
		},
		"base_url": func(n ast.Node) {
			if f.text(&v.baseURL)(n); v.baseURL != "" {
				if err := upstream.CheckBaseURL(v.baseURL); err != nil {
					f.problem(n, "base_url %s", err)
				}
			}
		},
		"api_key_env": f.text(&v.keyEnv),
		"api_key": func(n ast.Node) {
			if f.text(&v.key)(n); strings.ContainsAny(v.key, " \t\r\n") {
				f.problem(n, "api_key must not hold white space")
			}
		},
		"default_model": f.text(&v.defaultModel),
		"headers": func(n ast.Node) {
			v.headers = map[string]string{}
			f.each(n, func(key string, _, value ast.Node) {
				var s string
				f.text(&s)(value)
				v.headers[key] = s
			})
		},
	})
	if v.key != "" && v.keyEnv != "" {
		f.problem(at, "provider %q has both api_key and api_key_env", name)
	}
	return v
}

func readEntry(f *yamlFile, n ast.Node, pattern bool) entry {
	e := entry{at: f.at(n)}
	known := fields{
		"provider":          f.text(&e.provider),
		"target":            f.text(&e.target),
		"max_input_tokens":  f.count(&e.maxInput),
		"max_output_tokens": f.count(&e.maxOutput),
		"efforts": func(n ast.Node) {
			f.texts(&e.efforts)(n)
			for _, s := range e.efforts {
				if s != "" && !slices.Contains(efforts, s) {
					f.problem(n, "effort %q must be one of %s", s, strings.Join(efforts, ", "))
				}
			}
		},
		"default_effort": f.text(&e.defaultEffort),
		"prices":         f.prices(&e.prices),
	}
	if pattern {
		known["match"] = f.text(&e.match)
	} else {
		known["name"] = f.text(&e.name)
		known["display_name"] = f.text(&e.displayName)
		known["aliases"] = f.texts(&e.aliases)
		known["created_at"] = func(n ast.Node) {
			var s string
			f.text(&s)(n)
			var err error
			if e.createdAt, err = time.Parse(time.DateOnly, s); err != nil && s != "" {
				f.problem(n, "created_at must be a date like 2026-06-30")
			}
		}
	}
	f.mapping(n, known)
	switch {
	case pattern && e.match == "":
		f.problem(n, "a pattern needs match")
	case !pattern && e.name == "":
		f.problem(n, "a model needs name")
	}
	if e.provider == "" {
		f.problem(n, "provider is missing")
	}
	if e.defaultEffort != "" && !slices.Contains(e.efforts, e.defaultEffort) {
		f.problem(n, "default_effort %q is not one of efforts", e.defaultEffort)
	}
	return e
}

// overlay lays b over a: providers are merged member by member, models with b's names and aliases
// replaced, patterns put in front, the default taken over.
func overlay(a, b file) file {
	out := file{defaultModel: a.defaultModel, defaultAt: a.defaultAt}
	if b.defaultModel != "" {
		out.defaultModel, out.defaultAt = b.defaultModel, b.defaultAt
	}
	out.vendors = slices.Clone(a.vendors)
	for _, v := range b.vendors {
		if i := slices.IndexFunc(out.vendors, func(o vendor) bool { return o.name == v.name }); i >= 0 {
			out.vendors[i] = out.vendors[i].with(v)
		} else {
			out.vendors = append(out.vendors, v)
		}
	}
	taken := map[string]bool{}
	for _, e := range b.models {
		taken[e.name] = true
		for _, alias := range e.aliases {
			taken[alias] = true
		}
	}
	out.models = slices.Clone(b.models)
	for _, e := range a.models {
		if taken[e.name] {
			continue
		}
		e.aliases = slices.DeleteFunc(slices.Clone(e.aliases), func(s string) bool { return taken[s] })
		out.models = append(out.models, e)
	}
	out.patterns = slices.Concat(b.patterns, a.patterns)
	return out
}

// with returns v with the members that o sets.
func (v vendor) with(o vendor) vendor {
	v.at = o.at
	for _, f := range [][2]*string{{&v.kind, &o.kind}, {&v.baseURL, &o.baseURL}, {&v.defaultModel, &o.defaultModel}} {
		if *f[1] != "" {
			*f[0] = *f[1]
		}
	}
	if o.key != "" || o.keyEnv != "" {
		v.key, v.keyEnv = o.key, o.keyEnv
	}
	if o.headers != nil {
		v.headers = o.headers
	}
	return v
}
