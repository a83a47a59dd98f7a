package observe

import "strings"

// secretHeaders are those whose values are never stored: those that the original's SDK hides (reference
// otas.md, section 7), the headers of Reeve's own keys and tokens (section 2.3), and what else is usual.
var secretHeaders = []string{
	"authorization", "cookie", "set-cookie", "x-api-key", "proxy-authorization",
	"x-otas-agent-session-token", "x-otas-agent-key", "x-otas-sdk-key", "x-otas-user-token",
	"api-key", "x-auth-token", "x-amz-security-token", "x-goog-api-key", "x-csrftoken",
}

// headerNames is a set of header names, lower-case and with "-" for "_".
type headerNames struct {
	set   map[string]bool
	sizes [maxHeaderName + 1]bool // lengths of names in the set: most other headers need no look at it
}

func newHeaderNames(more []string) *headerNames {
	n := &headerNames{set: map[string]bool{}}
	for _, list := range [][]string{secretHeaders, more} {
		for _, name := range list {
			name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
			if name != "" && len(name) <= maxHeaderName {
				n.set[name], n.sizes[len(name)] = true, true
			}
		}
	}
	return n
}

// maxHeaderName is more than any header's name has, in bytes.
const maxHeaderName = 128

// has reports whether the set holds a name as it stands between quotes. WSGI servers spell it
// HTTP_AUTHORIZATION, which is the same name.
func (n *headerNames) has(name string) bool {
	if strings.IndexByte(name, '\\') >= 0 && len(name) <= 6*maxHeaderName {
		name = decode(name)
	}
	if name != "" && (name[0] <= ' ' || name[0] == ':' || name[len(name)-1] <= ' ' || name[len(name)-1] == ':') {
		name = strings.Trim(name, " \t\r\n:")
	}
	if len(name) > 5 && strings.EqualFold(name[:4], "http") && (name[4] == '_' || name[4] == '-') {
		name = name[5:]
	}
	if len(name) > maxHeaderName || !n.sizes[len(name)] {
		return false
	}
	var lower [maxHeaderName]byte
	for i := range len(name) {
		switch b := name[i]; {
		case b-'A' < 26:
			lower[i] = b | 0x20
		case b == '_':
			lower[i] = '-'
		default:
			lower[i] = b
		}
	}
	return n.set[string(lower[:len(name)])]
}

// redact returns headers without the values of these names, and the same string if it has none of them. host
// is the value of the host header as it is written; empty if there is none.
// It reads JSON and what Python prints: objects of names and values, lists of pairs, lists in which names and
// values take turns, objects with a "name" and a "value". What it cannot read to the end, and lines of
// "Name: value", it searches for a name with a value behind it, and rather hides too much.
func (n *headerNames) redact(text string) (clean, host string) {
	h := headerReader{names: n, text: text}
	if !h.structured() {
		return n.hideLoose(text, false), hostLine(text)
	}
	if !h.read() {
		return n.hideLoose(text, true), ""
	}
	if len(h.values) == 0 {
		return text, h.host
	}
	var b strings.Builder
	b.Grow(len(text) + len(redacted))
	from := 0
	for _, v := range h.values {
		b.WriteString(text[from:v.from])
		b.WriteByte(v.quote)
		b.WriteString(redacted)
		b.WriteByte(v.quote)
		from = v.to
	}
	b.WriteString(text[from:])
	return b.String(), h.host
}

// headerReader finds the values of some headers in a text that looks like JSON.
type headerReader struct {
	names  *headerNames
	text   string
	pos    int
	depth  int
	inside int          // of how many objects whose values are all taken
	values []headerSpan // in order, not one in another
	host   string       // the first value of the host header, as it is written
}

// headerSpan is a whole value, quotes and brackets included.
type headerSpan struct {
	span
	quote byte
}

// container says in what a value stands.
type container int

const (
	inNothing container = iota
	inArray
	inObject
)

const maxHeaderDepth = 32

// structured reports whether the text begins like an object or a list.
func (h *headerReader) structured() bool {
	h.space()
	return h.pos < len(h.text) && strings.IndexByte("{[(", h.text[h.pos]) >= 0
}

// read reports whether the text could be read to its end.
func (h *headerReader) read() bool {
	if _, ok := h.value(inNothing); !ok {
		return false
	}
	h.space()
	return h.pos == len(h.text)
}

// take notes the value that began at from, in place of what was noted inside it, since there were kept
// notes. A value that says nothing hides nothing.
func (h *headerReader) take(from, kept int, quote byte) {
	h.values = h.values[:kept]
	if value := h.text[from:h.pos]; value != "null" && value != "None" {
		h.values = append(h.values, headerSpan{span{from, h.pos}, quote})
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

// object reads {"name": value, …}, and {"name": "cookie", "value": value}, as in HAR files.
func (h *headerReader) object() bool {
	start, before := h.pos, len(h.values)
	named, ok := h.members(false)
	if !ok || !named || h.inside > 0 {
		return ok
	}
	h.pos, h.values = start, h.values[:before]
	h.inside++
	_, ok = h.members(true)
	h.inside--
	return ok
}

// members reads an object from its first bracket, and reports whether one of its values is a name of the
// set. all: every value is taken, except the name.
func (h *headerReader) members(all bool) (named, ok bool) {
	h.pos++
	for !h.skip('}') {
		name, quote, ok := h.key()
		if !ok {
			return false, false
		}
		h.space()
		from, kept := h.pos, len(h.values)
		value, ok := h.value(inObject)
		if !ok {
			return false, false
		}
		saysName := saysName(name)
		switch {
		case h.names.has(name), all && !saysName:
			h.take(from, kept, quote)
		case saysName && h.names.has(value):
			named = true
		default:
			h.noteHost(name, from)
		}
		if !h.skip(',') {
			return named, h.skip('}')
		}
	}
	return named, true
}

// saysName reports whether what stands under this key is a header's name.
func saysName(key string) bool {
	switch len(key) {
	case 1, 3, 4, 5, 6:
		for _, name := range [...]string{"name", "key", "header", "field", "k"} {
			if strings.EqualFold(key, name) {
				return true
			}
		}
	}
	return false
}

// array reads a list or a tuple. In a list, another list is a pair. In the outermost one, names and values
// may also take turns. What stands in an object is neither, but the values of one header.
func (h *headerReader) array(in container) bool {
	end := byte(']')
	if h.text[h.pos] == '(' {
		end = ')'
	}
	h.pos++
	hide, before := false, ""
	for i := 0; !h.skip(end); i++ {
		h.space()
		from, kept := h.pos, len(h.values)
		value, ok := h.value(inArray)
		if !ok {
			return false
		}
		if hide {
			quote := byte('"')
			if last := h.text[h.pos-1]; last == '\'' {
				quote = last
			}
			h.take(from, kept, quote)
		} else if in == inArray && i == 1 || in == inNothing && i%2 == 1 {
			h.noteHost(before, from)
		}
		switch in {
		case inArray:
			hide = hide || i == 0 && h.names.has(value)
		case inNothing:
			hide = i%2 == 0 && h.names.has(value)
		case inObject:
		}
		before = value
		if !h.skip(',') {
			return h.skip(end)
		}
	}
	return true
}

// hideLoose hides what stands behind a name and a separator: to the end of its line and the lines that
// continue it, or to the end of the text.
func (n *headerNames) hideLoose(text string, toEnd bool) string {
	var b strings.Builder
	from := 0
	for i := 0; i < len(text); {
		size := token(text[i:])
		if size == 0 {
			i++
			continue
		}
		name := text[i : i+size]
		i += size
		if !n.has(name) {
			continue
		}
		value := i + separator(text[i:], toEnd)
		if value == i {
			continue
		}
		end := len(text)
		if !toEnd {
			end = value + line(text[value:])
		}
		if strings.TrimSpace(text[value:end]) == "" {
			continue
		}
		b.WriteString(text[from:value])
		b.WriteString(redacted)
		from, i = end, end
	}
	if from == 0 {
		return text
	}
	b.WriteString(text[from:])
	return b.String()
}

// token is how many bytes of a header's name s begins with.
func token(s string) int {
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' && s[i] != '_' {
			return i
		}
	}
	return len(s)
}

// separator is how many bytes of s stand between a name and its value: quotes, then ":", "=", "=>", or a
// comma behind a quote. 0: no value follows.
func separator(s string, lines bool) int {
	space := " \t"
	if lines {
		space = " \t\r\n"
	}
	bare := strings.TrimLeft(s, `\"'`)
	quoted := len(bare) < len(s)
	rest := strings.TrimLeft(bare, space)
	if rest == "" || rest[0] != ':' && rest[0] != '=' && (rest[0] != ',' || !quoted) {
		return 0
	}
	rest = strings.TrimPrefix(rest[1:], ">")
	return len(s) - len(strings.TrimLeft(rest, space))
}

// line is how long the first line of s is, together with those that begin with a space and so continue it
// (RFC 9112, section 5.2), without the last line end.
func line(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] != '\n' && s[i] != '\r' {
			continue
		}
		next := i + 1
		if s[i] == '\r' && next < len(s) && s[next] == '\n' {
			next++
		}
		if next == len(s) || s[next] != ' ' && s[next] != '\t' {
			return i
		}
		i = next
	}
	return len(s)
}

// hostLine returns the value of a line "Host: value"; empty if there is none.
func hostLine(text string) string {
	for line := range strings.Lines(text) {
		if len(line) > 5 && line[4] == ':' && strings.EqualFold(line[:4], "host") {
			return line[5:]
		}
	}
	return ""
}
