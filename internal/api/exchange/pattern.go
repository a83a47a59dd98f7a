package exchange

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// kinds are the texts that differ from run to run.
var kinds = map[string]string{
	"uuid":   `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`,
	"hex":    `[0-9a-f]{32}`,                                                                  // an id without hyphens
	"id":     `[a-z]+(?:_[a-z]+)*_[0-9a-f]{32}`,                                               // a prefixed id: agent_0198…
	"micros": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00`,                                  // a time with six digits of fraction
	"time":   `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|\+00:00)`,                     // any RFC 3339 time in UTC
	"key":    `(?:agent_|otas_|reeve_|sk-reeve_|evr_pat_|pt-)[0-9A-Za-z]{11}_[0-9A-Za-z]{43}`, // internal/identity, key.go
	"prefix": `[0-9A-Za-z]{11}`,                                                               // the lookup part of a key
	"jwt":    `[\w-]+\.[\w-]+\.[\w-]+`,
	"string": `(?s:.+)`,
}

// guesses are the kinds that -update recognizes, the most special first.
var guesses = []string{"uuid", "micros", "time", "key", "jwt", "id", "hex"}

// values are the kinds that stand for a whole JSON value which need not be a string.
var values = map[string]func(any) bool{
	"int":    func(v any) bool { n, ok := v.(json.Number); return ok && !strings.ContainsAny(n.String(), ".eE") },
	"number": func(v any) bool { _, ok := v.(json.Number); return ok },
	"bool":   func(v any) bool { _, ok := v.(bool); return ok },
	"object": func(v any) bool { _, ok := v.(map[string]any); return ok },
	"array":  func(v any) bool { _, ok := v.([]any); return ok },
	"any":    func(any) bool { return true },
}

var (
	variable    = regexp.MustCompile(`\{\{(\w+)\}\}`)
	placeholder = regexp.MustCompile(`\{\{(\w+)(?:=(\w+))?\}\}|<(\w+)>`)
)

// substitute puts the variables into a text. A variable that is not set is an error: the exchange
// that should have captured it failed.
func substitute(text string, vars map[string]string) (string, error) {
	var missing []string
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-2]
		v, ok := vars[name]
		if !ok {
			missing = append(missing, name)
		}
		return v
	})
	if missing != nil {
		return "", fmt.Errorf("not set: {{%s}}", strings.Join(missing, "}}, {{"))
	}
	return out, nil
}

// matchText reports whether got is an instance of the pattern, and stores what it captures.
func matchText(pattern, got string, vars map[string]string) bool {
	var expr strings.Builder
	var names []string // of the capturing groups
	expr.WriteString(`\A`)
	end := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(pattern, -1) {
		expr.WriteString(regexp.QuoteMeta(pattern[end:m[0]]))
		end = m[1]
		name, kind, bare := group(pattern, m, 1), group(pattern, m, 2), group(pattern, m, 3)
		known, isKind := kinds[kind+bare]
		switch {
		case name != "" && kind == "":
			v, set := vars[name]
			if !set {
				return false
			}
			expr.WriteString(regexp.QuoteMeta(v))
		case !isKind: // not ours: text that happens to stand in angle brackets
			expr.WriteString(regexp.QuoteMeta(pattern[m[0]:m[1]]))
		case name != "":
			names = append(names, name)
			expr.WriteString("(" + known + ")")
		default:
			expr.WriteString(known)
		}
	}
	expr.WriteString(regexp.QuoteMeta(pattern[end:]) + `\z`)
	found := regexp.MustCompile(expr.String()).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		vars[name] = found[i+1]
	}
	return true
}

func group(s string, m []int, n int) string {
	if m[2*n] < 0 {
		return ""
	}
	return s[m[2*n]:m[2*n+1]]
}

// matchString is matchText for a JSON string, which may also stand for another type of value.
func matchString(pattern string, got any, vars map[string]string) bool {
	if m := placeholder.FindStringSubmatch(pattern); m != nil && m[0] == pattern {
		if fits, ok := values[m[2]+m[3]]; ok {
			if fits(got) && m[1] != "" {
				vars[m[1]] = fmt.Sprint(got)
			}
			return fits(got)
		}
	}
	s, ok := got.(string)
	return ok && matchText(pattern, s, vars)
}

// settle returns want with everything that got matches replaced by got, so that the two are equal
// exactly when the body is right, and a diff shows only what is wrong.
func settle(want, got any, vars map[string]string) any {
	switch w := want.(type) {
	case string:
		if matchString(w, got, vars) {
			return got
		}
		if s, err := substitute(w, vars); err == nil {
			return s
		}
	case map[string]any:
		g, _ := got.(map[string]any)
		out := make(map[string]any, len(w))
		for _, k := range slices.Sorted(maps.Keys(w)) {
			out[k] = settle(w[k], g[k], vars)
			if _, ok := g[k]; !ok && out[k] == nil {
				out[k] = w[k] // <any> must not make an absent member look like null
			}
		}
		return out
	case []any:
		g, _ := got.([]any)
		out := make([]any, len(w))
		for i := range w {
			var item any
			if i < len(g) {
				item = g[i]
			}
			out[i] = settle(w[i], item, vars)
		}
		return out
	}
	return want
}

// merge is what -update writes: got, but with the old recording's text wherever that still matches.
func merge(want, got any, vars map[string]string) any {
	if w, ok := want.(string); ok && matchString(w, got, vars) {
		return w
	}
	switch g := got.(type) {
	case string:
		return mask(g, vars)
	case map[string]any:
		w, _ := want.(map[string]any)
		out := make(map[string]any, len(g))
		for _, k := range slices.Sorted(maps.Keys(g)) {
			out[k] = merge(w[k], g[k], vars)
		}
		return out
	case []any:
		w, _ := want.([]any)
		out := make([]any, len(g))
		for i := range g {
			var old any
			if i < len(w) {
				old = w[i]
			}
			out[i] = merge(old, g[i], vars)
		}
		return out
	}
	return got
}

// mask turns a volatile text into a placeholder.
func mask(s string, vars map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if len(vars[name]) >= 16 && vars[name] == s { // shorter ones are more likely plain text
			return "{{" + name + "}}"
		}
	}
	for _, kind := range guesses {
		if matchText("<"+kind+">", s, nil) {
			return "<" + kind + ">"
		}
	}
	return s
}
