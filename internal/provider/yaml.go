package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlFile walks a YAML document and collects everything that is wrong with it, each with its line.
// The library's own strict decoder stops at the first mistake.
type yamlFile struct {
	name     string
	problems []string
}

// fields maps the keys that a mapping may have to what reads their value.
type fields map[string]func(ast.Node)

func (f *yamlFile) problem(n ast.Node, format string, args ...any) {
	f.problems = append(f.problems, f.at(n)+": "+fmt.Sprintf(format, args...))
}

// at is a node's place: "models.yaml:12:5".
func (f *yamlFile) at(n ast.Node) string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d:%d", f.name, t.Position.Line, t.Position.Column)
	}
	return f.name
}

// read walks the document's one mapping. An empty document is fine.
func (f *yamlFile) read(data []byte, known fields) {
	doc, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // duplicates are reported here, with the rest
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
			at := e.GetToken().Position
			f.problems = append(f.problems, fmt.Sprintf("%s:%d:%d: %s", f.name, at.Line, at.Column, e.GetMessage()))
			return
		}
		f.problems = append(f.problems, f.name+": is not YAML")
		return
	}
	seen := false
	for _, d := range doc.Docs {
		if d.Body == nil {
			continue
		}
		if seen {
			f.problem(d.Body, "only one document is allowed")
			return
		}
		seen = true
		f.mapping(d.Body, known)
	}
}

// mapping reads a mapping with known keys.
func (f *yamlFile) mapping(n ast.Node, known fields) {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	f.each(n, func(key string, at, value ast.Node) {
		read, ok := known[key]
		if !ok {
			f.problem(at, "unknown key %q (known: %s)", key, strings.Join(names, ", "))
			return
		}
		read(value)
	})
}

// each reads a mapping with any keys, in their order.
func (f *yamlFile) each(n ast.Node, member func(key string, at, value ast.Node)) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		f.problem(n, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for _, v := range values {
		key := v.Key.GetToken().Value
		if s, ok := v.Key.(*ast.StringNode); ok {
			key = s.Value
		}
		if seen[key] {
			f.problem(v.Key, "key %q is there twice", key)
			continue
		}
		seen[key] = true
		member(key, v.Key, v.Value)
	}
}

// items reads a sequence.
func (f *yamlFile) items(n ast.Node, item func(ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		f.problem(n, "must be a list")
		return
	}
	for _, v := range s.Values {
		item(v)
	}
}

// text reads a string that is not empty into to.
func (f *yamlFile) text(to *string) func(ast.Node) {
	return func(n ast.Node) {
		var s string
		switch v := n.(type) {
		case *ast.StringNode:
			s = v.Value
		case *ast.LiteralNode:
			s = v.Value.Value
		default:
			f.problem(n, "must be text (put it in quotes if it looks like a number)")
			return
		}
		if s = strings.TrimSpace(s); s == "" {
			f.problem(n, "must not be empty")
		}
		*to = s
	}
}

// texts reads a list of strings into to; an empty list is not nil.
func (f *yamlFile) texts(to *[]string) func(ast.Node) {
	return func(n ast.Node) {
		*to = []string{}
		f.items(n, func(n ast.Node) {
			var s string
			f.text(&s)(n)
			*to = append(*to, s)
		})
	}
}

// count reads a whole number above zero into to.
func (f *yamlFile) count(to *int64) func(ast.Node) {
	return func(n ast.Node) {
		if v, ok := n.(*ast.IntegerNode); ok {
			switch i := v.Value.(type) {
			case int64:
				*to = i
			case uint64:
				*to = int64(min(i, 1<<62))
			}
			if *to > 0 {
				return
			}
		}
		f.problem(n, "must be a whole number above zero")
	}
}
