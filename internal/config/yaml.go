package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yaml reads a file key by key, because a decoder stops at the first mistake.
func (l *loader) yaml(name string, data []byte) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.wrong("", "%s: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true)))
		return
	}
	for i, doc := range file.Docs {
		if i > 0 {
			l.wrong("", "%s: holds %d documents, but one is allowed", name, len(file.Docs))
			return
		}
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			l.node(name, "", doc.Body)
		}
	}
}

// node reads the mapping at path, which ends in a dot unless it is the whole file.
func (l *loader) node(name, path string, node ast.Node) {
	m, ok := node.(ast.MapNode)
	if !ok {
		l.wrong(strings.TrimSuffix(path, "."), "%s: must hold keys and values", place(name, node, path))
		return
	}
	keys := Keys()
	for it := m.MapRange(); it.Next(); {
		key := path + it.Key().GetToken().Value
		at := place(name, it.Key(), key)
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == key }); i >= 0 {
			l.leaf(name, keys[i], it.Value())
			continue
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return strings.HasPrefix(k.Name, key+".") }) {
			if it.Value().Type() != ast.NullType { // "log:" with nothing under it
				l.node(name, key+".", it.Value())
			}
			continue
		}
		l.wrong(key, "%s: unknown key%s", at, hint(key, known(keys, path)))
	}
}

// leaf reads one value.
func (l *loader) leaf(name string, k Key, node ast.Node) {
	next := l.cfg
	target := reflect.ValueOf(&next).Elem().FieldByIndex(k.index)
	if node.Type() == ast.NullType {
		l.wrong(k.Name, "%s: is empty, but must be %s", place(name, node, k.Name), k.Form)
		return
	}
	target.SetZero() // or a shorter list would keep the end of the longer one
	if err := yaml.NodeToValue(node, target.Addr().Interface()); err != nil {
		l.wrong(k.Name, "%s: %s is not %s", place(name, node, k.Name), strings.TrimSpace(node.String()), k.Form)
		return
	}
	l.cfg = next
	l.origin[k.Name] = position(name, node)
}

func position(name string, node ast.Node) string {
	p := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", name, p.Line, p.Column)
}

func place(name string, node ast.Node, key string) string {
	return strings.TrimSuffix(key, ".") + " (" + position(name, node) + ")"
}

// known lists the keys that could stand at path: values and sections.
func known(keys []Key, path string) []string {
	var names []string
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k.Name, path)
		if !ok {
			continue
		}
		section, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, path+section) {
			names = append(names, path+section)
		}
	}
	return names
}
