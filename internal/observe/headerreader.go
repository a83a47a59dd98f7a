package observe

import "strings"

// headerReader finds the values of some headers in a text that looks like JSON. It reads each byte once.
type headerReader struct {
	cleaner *headerCleaner // of the texts in it
	names   *headerNames
	text    string
	layers  int // of texts that may still be read in it
	pos     int
	depth   int
	changes []headerChange // in order, not one in another
	members []headerChange // of the objects that are being read: what hides all they hold
	host    string         // the first value of the host header, as it is written
}

// headerChange is what comes in place of a part: of a whole value, quotes and brackets included.
type headerChange struct {
	span
	with string
}

// hidden is what comes in place of a secret value.
func hidden(quote byte) string {
	if quote == '\'' {
		return "'" + redacted + "'"
	}
	return `"` + redacted + `"`
}

// container says in what a value stands.
type container int

const (
	inNothing container = iota
	inArray
	inObject
	inNames // in an object, where a list is one of names of headers
)

const maxHeaderDepth = 32

// structured reports whether the text begins like an object or a list.
func (h *headerReader) structured() bool {
	h.space()
	return h.pos < len(h.text) && strings.IndexByte("{[(\"", h.text[h.pos]) >= 0
}

// read reports whether the text could be read to its end.
func (h *headerReader) read() bool {
	h.space()
	from := h.pos
	text, ok := h.value(inNothing)
	if !ok {
		return false
	}
	h.inner(from, text)
	h.space()
	return h.pos == len(h.text)
}

// result is the text with its changes.
func (h *headerReader) result() string {
	if len(h.changes) == 0 {
		return h.text
	}
	var b strings.Builder
	b.Grow(len(h.text) + len(redacted))
	from := 0
	for _, c := range h.changes {
		b.WriteString(h.text[from:c.from])
		b.WriteString(c.with)
		from = c.to
	}
	b.WriteString(h.text[from:])
	return b.String()
}

// take hides the value that began at from, in place of what was changed inside it, since there were kept
// changes. A value that says nothing hides nothing.
func (h *headerReader) take(from, kept int, quote byte) {
	h.changes = h.changes[:kept]
	if value := h.text[from:h.pos]; value != "null" && value != "None" {
		h.changes = append(h.changes, headerChange{span{from, h.pos}, hidden(quote)})
	}
}

// inner cleans the text of a string that began at from: headers may be in it, as one text or as JSON.
func (h *headerReader) inner(from int, text string) {
	if !strings.ContainsAny(text, `:=,%\`) { // nothing that stands between a name and a value
		return
	}
	plain := unescape(text)
	if clean, _ := h.cleaner.clean(plain, h.layers); clean != plain {
		h.changes = append(h.changes, headerChange{span{from, h.pos}, enquote(clean, h.text[h.pos-1])})
	}
}

// noteHost notes the value that began at from, if it is that of the host header.
func (h *headerReader) noteHost(name string, from int) {
	if len(name) >= 4 && strings.EqualFold(name[len(name)-4:], "host") && h.host == "" && (len(name) == 4 || strings.EqualFold(name, "http_host")) {
		h.host = h.text[from:h.pos]
	}
}

func (h *headerReader) space() {
	for h.pos < len(h.text) {
		switch h.text[h.pos] {
		case ' ', '\t', '\r', '\n':
			h.pos++
		default:
			return
		}
	}
}

func (h *headerReader) skip(b byte) bool {
	h.space()
	if h.pos < len(h.text) && h.text[h.pos] == b {
		h.pos++
		return true
	}
	return false
}

// value reads one value, and returns what stands between the quotes if it is a string.
func (h *headerReader) value(in container) (str string, ok bool) {
	h.space()
	if h.pos == len(h.text) {
		return "", false
	}
	switch h.text[h.pos] {
	case '"', '\'':
		return h.str()
	case '{', '[', '(':
		if h.depth == maxHeaderDepth {
			return "", false
		}
		h.depth++
		if h.text[h.pos] == '{' {
			ok = h.object()
		} else {
			ok = h.array(in)
		}
		h.depth--
		return "", ok
	}
	from := h.pos
	for h.pos < len(h.text) && (alphanumeric(h.text[h.pos]) || strings.IndexByte("+-._", h.text[h.pos]) >= 0) {
		h.pos++
	}
	if h.pos < len(h.text) && (h.text[h.pos] == '"' || h.text[h.pos] == '\'') && h.pos-from <= 2 {
		return h.str() // b'…' of Python
	}
	return "", h.pos > from
}

// str reads a string from its first quote.
func (h *headerReader) str() (string, bool) {
	quote := h.text[h.pos]
	h.pos++
	from := h.pos
	for {
		end := strings.IndexByte(h.text[h.pos:], quote)
		if end < 0 {
			return "", false
		}
		end += h.pos
		for {
			escape := strings.IndexByte(h.text[h.pos:end], '\\')
			if escape < 0 {
				h.pos = end + 1
				return h.text[from:end], true
			}
			h.pos += escape + 2
			if h.pos > end { // the quote itself was escaped
				break
			}
		}
		if h.pos > len(h.text) {
			return "", false
		}
	}
}

// key reads a name in an object, and the colon behind it.
func (h *headerReader) key() (name string, quote byte, ok bool) {
	h.space()
	if h.pos == len(h.text) || strings.IndexByte("{[(", h.text[h.pos]) >= 0 {
		return "", 0, false
	}
	from := h.pos
	if name, ok = h.value(inObject); !ok {
		return "", 0, false
	}
	if quote = h.text[h.pos-1]; quote != '\'' && quote != '"' {
		name, quote = h.text[from:h.pos], '"' // a name without quotes
	}
	return name, quote, h.skip(':')
}

// object reads {"name": value, …}, and {"name": "cookie", "value": value}, as in HAR files: there all values are
// hidden, except the name.
func (h *headerReader) object() bool {
	before, stack := len(h.changes), len(h.members)
	named, ok := h.pairs()
	if ok && named {
		h.changes = append(h.changes[:before], h.members[stack:]...)
	}
	h.members = h.members[:stack]
	return ok
}

// pairs reads an object from its first bracket, and reports whether one of its values is a name of the set.
// What hides all other values it leaves in h.members.
func (h *headerReader) pairs() (named, ok bool) {
	h.pos++
	for !h.skip('}') {
		h.space()
		from, kept := h.pos, len(h.changes)
		name, quote, ok := h.key()
		if !ok {
			return false, false
		}
		if secret := h.names.has(name); !secret && h.text[from] == quote {
			h.innerKey(from, name)
		}
		h.members = append(h.members, h.changes[kept:]...)
		h.space()
		from, kept = h.pos, len(h.changes)
		in := inObject
		if listsNames(name) {
			in = inNames
		}
		value, ok := h.value(in)
		if !ok {
			return false, false
		}
		saysName := saysName(name)
		if saysName && h.names.has(value) {
			named = true
		} else if said := h.text[from:h.pos]; said != "null" && said != "None" {
			h.members = append(h.members, headerChange{span{from, h.pos}, hidden(quote)})
		}
		switch {
		case h.names.has(name):
			h.take(from, kept, quote)
		case value != "":
			h.inner(from, value)
			h.noteHost(name, from)
		default:
			h.noteHost(name, from)
		}
		if !h.skip(',') {
			return named, h.skip('}')
		}
	}
	return named, true
}

// innerKey is inner for a key, behind which the reader has already read the colon.
func (h *headerReader) innerKey(from int, name string) {
	after := h.pos
	h.pos = from + len(name) + 2
	h.inner(from, name)
	h.pos = after
}

// listsNames reports whether what stands under this key is a list of headers' names (RFC 9110, sections
// 7.6.1, 6.6.2 and 12.5.5; the Fetch standard, section 3.3), not of names and values.
func listsNames(key string) bool {
	switch len(key) {
	case len("vary"), len("trailer"), len("connection"), len("access-control-allow-headers"), len("access-control-expose-headers"), len("access-control-request-headers"):
		for _, name := range [...]string{
			"vary", "trailer", "connection", "access-control-allow-headers", "access-control-expose-headers", "access-control-request-headers",
		} {
			if strings.EqualFold(key, name) {
				return true
			}
		}
	}
	return false
}

// saysName reports whether what stands under this key is a header's name.
func saysName(key string) bool {
	if key == "" || len(key) > len("header_field") || strings.IndexByte("nkhf", key[0]|0x20) < 0 {
		return false
	}
	for _, name := range [...]string{"name", "key", "header", "field", "k", "n", "h"} {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	for _, of := range [...]string{"header", "field"} { // headerName, header_key
		if len(key) > len(of) && strings.EqualFold(key[:len(of)], of) {
			switch rest := strings.TrimLeft(key[len(of):], "_-"); {
			case strings.EqualFold(rest, "name"), strings.EqualFold(rest, "key"), strings.EqualFold(rest, "field"):
				return true
			}
		}
	}
	return false
}

// array reads a list or a tuple. In a list, another list is a pair. In the outermost one and in an object,
// names and values may also take turns, behind something else too. A name of the set is never the value of
// another: ["Cookie", "Authorization"] are two names.
func (h *headerReader) array(in container) bool {
	end := byte(']')
	if h.text[h.pos] == '(' {
		end = ')'
	}
	h.pos++
	hide, before := false, ""
	for i := 0; !h.skip(end); i++ {
		h.space()
		from, kept := h.pos, len(h.changes)
		value, ok := h.value(inArray)
		if !ok {
			return false
		}
		secret := h.names.has(value)
		switch {
		case hide && (in == inArray || !secret):
			quote := byte('"')
			if last := h.text[h.pos-1]; last == '\'' {
				quote = last
			}
			h.take(from, kept, quote)
		case value != "":
			h.inner(from, value)
			fallthrough
		default:
			if in == inArray && i == 1 || in == inNothing && i%2 == 1 {
				h.noteHost(before, from)
			}
		}
		switch in {
		case inArray:
			hide = hide || i == 0 && secret
		case inNothing, inObject:
			hide = secret
		case inNames:
		}
		before = value
		if !h.skip(',') {
			return h.skip(end)
		}
	}
	return true
}
