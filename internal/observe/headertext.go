package observe

import "strings"

// redact returns headers without the values of these names, and the same string if it has none of them. host
// is the value of the host header as it is written; empty if there is none.
//
// It reads JSON and what Python prints: objects of names and values, lists of pairs, lists in which names and
// values take turns, objects with a "name" and a "value". What it cannot read to the end, and lines of
// "Name: value", it searches for a name with a value behind it, and rather hides too much. Both it does again
// with what the texts in them say without their escapes, and with what is percent-encoded.
func (n *headerNames) redact(text string) (clean, host string) {
	c := headerCleaner{names: n, work: len(text)*workPerByte + workForAll}
	return c.clean(text, headerLayers)
}

const (
	// headerLayers is how many texts in one another are read: JSON in JSON, percent-encoded.
	headerLayers = 4
	// workPerByte and workForAll bound the bytes that are looked at in all layers together. No headers that
	// somebody means to read need as much; those of a text that is made to cost much are only searched.
	workPerByte = 3
	workForAll  = 4 << 10
)

// headerCleaner cleans one text of headers and all texts in it.
type headerCleaner struct {
	names *headerNames
	work  int // bytes that may still be looked at
}

func (c *headerCleaner) clean(text string, layers int) (clean, host string) {
	c.work -= len(text)
	if layers == 0 || c.work < 0 {
		return c.names.hideLoose(text, false), ""
	}
	h := headerReader{cleaner: c, names: c.names, text: text, layers: layers - 1}
	if !h.structured() {
		return c.lines(text, false, layers-1), hostLine(text)
	}
	if !h.read() {
		return c.lines(text, true, layers-1), ""
	}
	return h.result(), h.host
}

// lines cleans a text that has no structure, and then what it says if it is percent-encoded. Only if that
// hides more does it come back without the percent signs.
func (c *headerCleaner) lines(text string, toEnd bool, layers int) string {
	out := c.names.hideLoose(text, toEnd)
	plain := percentDecode(out)
	if plain == out {
		return out
	}
	if clean, _ := c.clean(plain, layers); clean != plain {
		return clean
	}
	return out
}

// percentDecode undoes percent-encoding. It returns the same string if there is none.
func percentDecode(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		if v, ok := hexValue(s, i+1, 2); ok && s[i] == '%' {
			b.WriteByte(byte(v))
			i += 3
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// unescape returns what a string says that stands between quotes in JSON or in Python. What is no escape
// stays as it is.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		r, size := escapedRune(s[i:])
		if size == 0 {
			b.WriteByte('\\')
			size = 1
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// escapedRune reads one escape, from its backslash; size is 0 if it is none.
func escapedRune(s string) (r rune, size int) {
	switch s[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'x':
		if v, ok := hexValue(s, 2, 2); ok {
			return rune(v), 4
		}
	case 'u':
		v, ok := hexValue(s, 2, 4)
		if !ok {
			return 0, 0
		}
		if len(s) >= 12 && s[6:8] == `\u` {
			if low, ok := hexValue(s, 8, 4); ok && v&0xfc00 == 0xd800 && low&0xfc00 == 0xdc00 {
				return rune(v&0x3ff)<<10 + rune(low&0x3ff) + 0x10000, 12
			}
		}
		return rune(v), 6
	default:
		if !alphanumeric(s[1]) && s[1] < 0x80 {
			return rune(s[1]), 2
		}
	}
	return 0, 0
}

// enquote writes a string as JSON does, in quotes of this sort.
func enquote(s string, quote byte) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteByte(quote)
	for _, c := range []byte(s) {
		switch {
		case c == quote || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ':
			b.WriteString(`\u00`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(quote)
	return b.String()
}
