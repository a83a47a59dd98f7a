package tool

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// decodeText turns a body into UTF-8. contentType is as the server sent it; its charset, a byte order
// mark or the page's own meta element name the encoding. A body that is valid UTF-8 beyond ASCII is
// taken for it whatever they say: that does not happen by chance, and wrong labels are common.
func decodeText(body []byte, contentType string) string {
	valid := utf8.Valid(trimRune(body))
	encoding, name, certain := charset.DetermineEncoding(body, contentType)
	if name != "utf-8" && (!valid || certain && ascii(body)) {
		if decoded, err := encoding.NewDecoder().Bytes(body); err == nil {
			body = decoded
		}
	}
	return strings.TrimPrefix(strings.ToValidUTF8(string(body), "\uFFFD"), "\uFEFF")
}

// trimRune drops an incomplete character at the end: the body may have been cut.
func trimRune(b []byte) []byte {
	for i := 1; i <= min(utf8.UTFMax, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

func ascii(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
