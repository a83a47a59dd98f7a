package httpio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxDepth is how deep a body's arrays and objects may nest. The deepest legal body we know, a
// custom tool's JSON Schema, stays far below it.
const MaxDepth = 64

// ReadBody reads the whole body. A body over max bytes is TooLarge ("request_too_large"); it is not
// read further, and the connection is closed behind the answer.
func ReadBody(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, core.Errorf(core.TooLarge, "request_too_large", "the request body is larger than %d bytes", max)
	}
	if err != nil {
		return nil, &core.Error{Kind: core.Invalid, Code: "invalid_body", Message: "the request body could not be read to its end", Err: err}
	}
	return raw, nil
}

// Check refuses what no dialect takes, before any decoder sees it: an empty body, bytes that are not
// UTF-8, NUL characters (PostgreSQL cannot store them), nesting deeper than MaxDepth, and anything
// behind the first value. All are Invalid ("invalid_json").
func Check(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return invalidJSON("the request body is empty")
	}
	if !utf8.Valid(raw) {
		return invalidJSON("the request body is not valid UTF-8")
	}
	if err := checkDepth(raw); err != nil {
		return err
	}
	if !json.Valid(raw) {
		return syntaxError(raw)
	}
	if hasNUL(raw) {
		return invalidJSON("the request body holds a NUL character")
	}
	return nil
}

func invalidJSON(format string, args ...any) error {
	return core.Errorf(core.Invalid, "invalid_json", format, args...)
}

// checkDepth walks the brackets outside of strings.
func checkDepth(raw []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return invalidJSON("the request body nests deeper than %d levels", MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// hasNUL finds U+0000, which in valid JSON can only stand as the escape \u0000.
func hasNUL(raw []byte) bool {
	for i := 0; i+5 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] == 'u' && string(raw[i+2:i+6]) == "0000" {
			return true
		}
		i++ // skip the escaped character, so that \\u0000 is text
	}
	return false
}

func syntaxError(raw []byte) error {
	var v any
	err := json.Unmarshal(raw, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return invalidJSON("the request body is not valid JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	}
	return invalidJSON("the request body is not valid JSON")
}

// Unknown says what Decode does with members that the target does not have.
type Unknown bool

const (
	IgnoreUnknown Unknown = false
	RejectUnknown Unknown = true
)

// Decode checks raw and decodes it into v, a pointer to a struct. The body must be an object.
// A wrong type or, with RejectUnknown, an unknown member is Invalid and names the field.
func Decode(raw []byte, v any, unknown Unknown) error {
	if err := Check(raw); err != nil {
		return err
	}
	if bytes.TrimSpace(raw)[0] != '{' {
		return invalidJSON("the request body must be a JSON object")
	}
	return DecodeValue("", raw, v, unknown)
}

// DecodeValue decodes one JSON value that Check has passed. path is put before field names in errors
// ("tools[0]"); it may be empty.
func DecodeValue(path string, raw []byte, v any, unknown Unknown) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if unknown == RejectUnknown {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(v)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	var coreErr *core.Error
	switch {
	case errors.As(err, &coreErr):
		return coreErr
	case errors.As(err, &wrong):
		field := join(path, wrong.Field)
		if field == "" {
			field = "body"
		}
		return core.InvalidField(field, "wrong type: got %s", article(wrong.Value))
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return core.InvalidField(join(path, name), "unknown field")
	}
	return invalidJSON("the request body is not valid JSON")
}

func join(path, field string) string {
	if path == "" || field == "" {
		return path + field
	}
	return path + "." + field
}

// article turns the decoder's word for a JSON value ("number 1.5", "bool") into plain words.
func article(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	switch kind {
	case "bool":
		return "a boolean"
	case "array", "object":
		return "an " + kind
	}
	return "a " + kind
}

// Optional tells an absent member, null and a value apart. The zero value is absent. Null with a
// value type leaves V at its zero.
type Optional[T any] struct {
	Set  bool // the member was there
	Null bool // and was null
	V    T
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Optional[T]) UnmarshalJSON(raw []byte) error {
	o.Set = true
	if string(raw) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(raw, &o.V)
}

// IsMultipart reports whether the request carries a multipart form.
func IsMultipart(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && strings.HasPrefix(t, "multipart/")
}

// Header says what a header must be for messages: it quotes a name as HTTP writes it.
func Header(name string) string { return fmt.Sprintf("header %s", http.CanonicalHeaderKey(name)) }
