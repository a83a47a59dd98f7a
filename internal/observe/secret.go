package observe

import (
	"slices"
	"strings"
)

// redacted stands where a secret stood.
const redacted = "[REDACTED]"

// A key of Reeve's own is a label, 11 letters or digits, "_" and 43 letters or digits: internal/identity/key.go
// makes them so. Of two labels that end alike the longer one comes first.
var keyLabels = []string{"agent_", "otas_", "sk-reeve_", "reeve_", "evr_pat_", "pt-", "invite_"}

const (
	lookupSize = 11
	secretSize = 43
)

// maxLayers is how often a text is decoded in search of secrets: JSON in JSON in a query string is three.
const maxLayers = 5

// censor takes secrets out of texts: given ones, wherever they stand, and all that has the shape of one of
// Reeve's keys. It finds them also where some or all of their characters are percent-encoded or escaped as
// in JSON, several times over. It is not for several goroutines.
//
// Nearly all texts hold none, so what it does first is look for the rare bytes that would begin one.
type censor struct {
	exact []needle
	holds [256]bool // bytes that a secret may hold, and those with which an escape begins
}

// needle is a given secret. Its end is looked for, because the beginnings of tokens are all alike.
type needle struct{ text, end string }

// probeSize is such that strings.Index takes its quick way on every machine.
const probeSize = 16

func newCensor(secrets []string) *censor {
	c := &censor{}
	for b := range c.holds {
		c.holds[b] = alphanumeric(byte(b)) || b == '_' || b == '-' || b == '.' || b == '%' || b == '\\'
	}
	for _, text := range secrets {
		if text == "" {
			continue
		}
		c.exact = append(c.exact, needle{text: text, end: text[max(0, len(text)-probeSize):]})
		for i := range len(text) {
			c.holds[text[i]] = true
		}
	}
	return c
}

// text returns the text without its secrets: the same string if it holds none.
func (c *censor) text(s string) string {
	found := c.find(nil, s)
	if c.escaped(s) {
		found = c.findDecoded(found, s)
	}
	return cut(s, found)
}

// span is a part of a text: bytes from to to, without the last.
type span struct{ from, to int }

// find adds where secrets stand in a text as it is.
func (c *censor) find(found []span, s string) []span {
	for _, n := range c.exact {
		for from := 0; ; {
			i := strings.Index(s[from:], n.end)
			if i < 0 {
				break
			}
			end := from + i + len(n.end)
			if start := end - len(n.text); start >= 0 && s[start:end] == n.text {
				found, from = append(found, span{start, end}), end
			} else {
				from += i + 1
			}
		}
	}
	return findKeys(found, s)
}

// findKeys adds where keys stand, from the "_" in their middles.
func findKeys(found []span, s string) []span {
	for from := lookupSize; from+secretSize < len(s); {
		i := strings.IndexByte(s[from:], '_')
		if i < 0 {
			break
		}
		mid := from + i
		from = mid + 1
		start := mid - lookupSize
		if start == 0 || s[start-1] != '_' && s[start-1] != '-' || mid+secretSize >= len(s) {
			continue
		}
		if run(s[from:]) < secretSize || run(s[start:mid]) < lookupSize {
			continue
		}
		for _, label := range keyLabels {
			if strings.HasSuffix(s[:start], label) {
				from += run(s[from:]) // what hangs on to a key may be more of a secret
				found = append(found, span{start - len(label), from})
				break
			}
		}
	}
	return found
}

// run is how many letters and digits s begins with.
func run(s string) int {
	for i := range len(s) {
		if !alphanumeric(s[i]) {
			return i
		}
	}
	return len(s)
}

func alphanumeric(b byte) bool {
	return b-'0' < 10 || b|0x20-'a' < 26
}

// findDecoded adds where secrets stand in what a text says when it is decoded, once and several times.
func (c *censor) findDecoded(found []span, s string) []span {
	layers := []string{s}
	for range maxLayers {
		top := decode(layers[len(layers)-1])
		in := c.find(nil, top)
		for i := len(layers) - 1; i >= 0 && len(in) > 0; i-- {
			in = encodedAt(layers[i], merge(in))
		}
		found = append(found, in...)
		if !c.escaped(top) {
			break
		}
		layers = append(layers, top)
	}
	return found
}

// escaped reports whether a text has an escape that may be part of a secret. Most have none: what is
// escaped are spaces, quotes, separators and line ends.
func (c *censor) escaped(s string) bool {
	for i := 0; ; {
		at := strings.IndexByte(s[i:], '%')
		if at < 0 {
			break
		}
		i += at
		b, size := unit(s, i)
		if size > 1 && c.holds[b] {
			return true
		}
		i += size
	}
	for i := 0; ; {
		at := strings.IndexByte(s[i:], '\\')
		if at < 0 {
			return false
		}
		i += at
		// Of several only the last begins an escape, now or in a later layer.
		for i+1 < len(s) && s[i+1] == '\\' {
			i++
		}
		b, size := unit(s, i)
		if size > 1 && c.holds[b] {
			return true
		}
		i += size
	}
}

// decode undoes one layer of escapes of every sort.
func decode(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		b, size := unit(s, i)
		out = append(out, b)
		i += size
	}
	return string(out)
}

// encodedAt returns where in s stands what stands at the given places of decode(s). These are in order and
// do not overlap.
func encodedAt(s string, decoded []span) []span {
	out := make([]span, 0, len(decoded))
	n := 0 // bytes decoded so far
	for i := 0; i < len(s) && len(out) <= len(decoded); n++ {
		if len(out) < len(decoded) && n == decoded[len(out)].from {
			out = append(out, span{from: i})
		}
		_, size := unit(s, i)
		i += size
		if k := len(out) - 1; k >= 0 && n+1 == decoded[k].to {
			out[k].to = i
		}
	}
	return out
}

// unit decodes what stands at s[i]: %41, \u0041, \x41, \/ or a plain byte. What is no ASCII decodes to a
// byte that is in no secret.
func unit(s string, i int) (b byte, size int) {
	switch s[i] {
	case '%':
		if v, ok := hexValue(s, i+1, 2); ok {
			return byte(v), 3
		}
	case '\\':
		if i+1 == len(s) {
			break
		}
		switch next := s[i+1]; {
		case next == 'u':
			if v, ok := hexValue(s, i+2, 4); ok {
				return byte(min(v, 0xff)), 6
			}
		case next == 'x':
			if v, ok := hexValue(s, i+2, 2); ok {
				return byte(v), 4
			}
		case !alphanumeric(next):
			return next, 2
		}
	}
	return s[i], 1
}

func hexValue(s string, from, digits int) (v int, ok bool) {
	if from+digits > len(s) {
		return 0, false
	}
	for _, d := range []byte(s[from : from+digits]) {
		switch {
		case d-'0' < 10:
			v = v<<4 | int(d-'0')
		case d|0x20-'a' < 6:
			v = v<<4 | int(d|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// merge sorts spans and makes one of those that overlap.
func merge(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return a.from - b.from })
	out := all[:0]
	for _, s := range all {
		if k := len(out) - 1; k >= 0 && s.from < out[k].to {
			out[k].to = max(out[k].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// cut replaces parts of a text.
func cut(s string, parts []span) string {
	if len(parts) == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(parts)*len(redacted))
	from := 0
	for _, p := range merge(parts) {
		b.WriteString(s[from:p.from])
		b.WriteString(redacted)
		from = p.to
	}
	b.WriteString(s[from:])
	return b.String()
}
