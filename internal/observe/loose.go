package observe

import "strings"

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
