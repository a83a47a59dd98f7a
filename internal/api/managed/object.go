package managed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// object is a JSON object of a request, read member by member, so that each mistake names its field and
// an absent member differs from null. The first mistake wins; after it reads give zero values, so that
// only the end needs a check.
type object struct {
	path    string // of the object itself; empty for the body
	members map[string]json.RawMessage
	known   map[string]bool
	unknown httpio.Unknown
	fault   *error // shared with the objects inside
}

// bodyObject reads the body of a request.
func bodyObject(c *call) (*object, error) {
	o := &object{known: map[string]bool{}, unknown: c.fl.unknown, fault: new(error)}
	if err := httpio.Decode(c.body, &o.members, httpio.IgnoreUnknown); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *object) field(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// fail keeps the first mistake.
func (o *object) fail(err error) {
	if *o.fault == nil {
		*o.fault = err
	}
}

// raw returns a member as it was sent; nil: absent.
func (o *object) raw(name string) json.RawMessage {
	o.known[name] = true
	return o.members[name]
}

// read decodes one member.
func read[T any](o *object, name string) httpio.Optional[T] {
	var v httpio.Optional[T]
	if raw := o.raw(name); raw != nil && *o.fault == nil {
		if err := httpio.DecodeValue(o.field(name), raw, &v, httpio.IgnoreUnknown); err != nil {
			o.fail(err)
			return httpio.Optional[T]{}
		}
	}
	return v
}

// object reads a member that is an object; nil: absent, null or a mistake.
func (o *object) object(name string) *object {
	v := read[map[string]json.RawMessage](o, name)
	if !v.Set || v.Null {
		return nil
	}
	return o.inside(o.field(name), v.V)
}

func (o *object) inside(path string, members map[string]json.RawMessage) *object {
	return &object{path: path, members: members, known: map[string]bool{}, unknown: o.unknown, fault: o.fault}
}

// item is one entry of an array: an object, or, where the wire allows it, a string.
type item struct {
	*object
	text string // set when object is nil
}

// objects reads a member that is an array of objects. The list is nil if the member is absent or null.
func (o *object) objects(name string) []*object {
	items := o.items(name, false)
	if items == nil {
		return nil
	}
	inside := make([]*object, 0, len(items))
	for _, it := range items {
		inside = append(inside, it.object)
	}
	return inside
}

// items reads a member that is an array of objects and, with texts, of strings.
func (o *object) items(name string, texts bool) []item {
	v := read[[]json.RawMessage](o, name)
	if !v.Set || v.Null {
		return nil
	}
	items := make([]item, 0, len(v.V))
	for i, raw := range v.V {
		at := fmt.Sprintf("%s[%d]", o.field(name), i)
		if texts && isString(raw) {
			var it item
			if err := httpio.DecodeValue(at, raw, &it.text, httpio.IgnoreUnknown); err != nil {
				o.fail(err)
			}
			items = append(items, it)
			continue
		}
		var members map[string]json.RawMessage
		if err := httpio.DecodeValue(at, raw, &members, httpio.IgnoreUnknown); err != nil {
			o.fail(err)
			return nil
		}
		if members == nil {
			o.fail(core.InvalidField(at, "must not be null"))
			return nil
		}
		items = append(items, item{object: o.inside(at, members)})
	}
	return items
}

func isString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// text reads a string; absent and null are "".
func (o *object) text(name string) string { return read[string](o, name).V }

// patch reads a map of strings in which null deletes a key.
func (o *object) patch(name string) map[string]*string {
	v := read[map[string]json.RawMessage](o, name)
	if v.V == nil {
		return nil
	}
	p := make(map[string]*string, len(v.V))
	for _, key := range slices.Sorted(maps.Keys(v.V)) {
		var s httpio.Optional[string]
		if err := httpio.DecodeValue(o.field(name)+"."+key, v.V[key], &s, httpio.IgnoreUnknown); err != nil {
			o.fail(err)
			return nil
		}
		p[key] = nil
		if !s.Null {
			p[key] = &s.V
		}
	}
	return p
}

// stringMap reads a map of strings. The map is nil if the member is absent or null.
func (o *object) stringMap(name string) map[string]string {
	p := o.patch(name)
	if p == nil {
		return nil
	}
	m := make(map[string]string, len(p))
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if p[key] == nil {
			o.fail(core.InvalidField(o.field(name)+"."+key, "must be a string"))
			continue
		}
		m[key] = *p[key]
	}
	return m
}

// rest returns the members that nobody read, as an object; nil: none.
func (o *object) rest() json.RawMessage {
	left := map[string]json.RawMessage{}
	for name, raw := range o.members {
		if !o.known[name] {
			left[name] = raw
		}
	}
	if len(left) == 0 {
		return nil
	}
	return encode(left)
}

// closed refuses the members that nobody read, if the flavour does.
func (o *object) closed() {
	if o.unknown == httpio.IgnoreUnknown {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if !o.known[name] {
			o.fail(core.InvalidField(o.field(name), "unknown field"))
			return
		}
	}
}

// end closes the object and returns the first mistake of it and everything inside.
func (o *object) end() error {
	o.closed()
	return *o.fault
}

// blank reports whether a member asks for nothing: it is absent, null, [] or {}.
func blank(raw json.RawMessage) bool {
	if raw == nil {
		return true
	}
	var short bytes.Buffer
	_ = json.Compact(&short, raw) // it was decoded before: it is valid
	switch short.String() {
	case "null", "[]", "{}":
		return true
	}
	return false
}
