package vault

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Response is an HTTP answer as clients may see it: without what is secret.
type Response struct {
	Status      int
	ContentType string // empty if there was none; at most 255 bytes
	Body        string // at most 4 KiB
	Truncated   bool   // Body is not all of it
}

const (
	maxShown  = 4 << 10
	maxRead   = 256 << 10
	maxType   = 255
	maxSpread = 3 * maxToken // how long a secret can be when it is escaped
)

// readSome reads the beginning of a body. cut says that there was more, or that it broke off.
func readSome(body io.Reader) (raw []byte, cut bool) {
	raw, err := io.ReadAll(io.LimitReader(body, maxRead+1))
	if len(raw) > maxRead {
		return raw[:maxRead], true
	}
	return raw, err != nil
}

// show makes a Response of an answer whose body was read.
func show(res *http.Response, body []byte, cut bool, secrets []string) *Response {
	text := scrub(strings.ToValidUTF8(string(body), "\uFFFD"), secrets)
	if cut { // its end may hold the beginning of a secret, which is not found
		text = text[:max(0, len(text)-maxSpread)]
	}
	shown := &Response{
		Status: res.StatusCode, ContentType: clip(scrub(strings.ToValidUTF8(res.Header.Get("Content-Type"), "\uFFFD"), secrets), maxType),
		Body: clip(text, maxShown),
	}
	shown.Truncated = cut || len(shown.Body) < len(text)
	return shown
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

const secretNames = `(?:token|secret|password|passwd|api[_-]?key|authorization|assertion|credential|cookie)`

var (
	// secretMember finds members of JSON that are named like secrets, and secretPair the same in JSON inside
	// of JSON, in forms and in headers.
	secretMember = regexp.MustCompile(`(?i)("[a-z0-9_-]*` + secretNames + `"\s*:\s*)"(?:[^"\\]|\\.)*"?`)
	secretPair   = regexp.MustCompile(`(?i)([a-z0-9_-]*` + secretNames + `\\*"?\s*[:=]\s*\\*"?)[^\["\\&,;}\]<\r\n]+`)
	// schemeValue finds what stands behind an authentication scheme.
	schemeValue = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`)
	// webToken finds JSON Web Tokens.
	webToken = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)
)

// scrub replaces secrets in a text: those that are known, in every spelling in which a server may repeat them,
// and what looks like one.
func scrub(text string, secrets []string) string {
	var spellings []string
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		quoted, _ := json.Marshal(secret) // strings always marshal
		spellings = append(spellings, secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)))
	}
	// The longest first, so that no part of one is replaced and the rest stays.
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) })
	for _, spelling := range spellings {
		text = strings.ReplaceAll(text, spelling, redacted)
	}
	text = secretMember.ReplaceAllString(text, `${1}"`+redacted+`"`)
	text = secretPair.ReplaceAllString(text, "${1}"+redacted)
	text = schemeValue.ReplaceAllString(text, "${1} "+redacted)
	return webToken.ReplaceAllString(text, redacted)
}
