package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Blank reports whether a block is text without a visible character. Anthropic refuses such blocks,
// and for a model they say nothing.
func Blank(b core.Block) bool {
	return b.Type == core.BlockText && strings.TrimSpace(b.Text) == ""
}

// TextOf is a block as plain text, for vendors or places that cannot take it as it is. What has no
// text is named in brackets, so that the model knows that something was there.
func TextOf(b core.Block) string {
	switch b.Type {
	case core.BlockText:
		return b.Text
	case core.BlockDocument:
		if text, ok := DocumentText(b); ok {
			return titled(b.Title, text)
		}
		return fmt.Sprintf("[document%s%s is not shown: this model cannot read it]", quoted(b.Title), of(b.Source))
	case core.BlockSearchResult:
		return titled(b.Title, searchText(b))
	case core.BlockImage:
		return fmt.Sprintf("[image%s%s is not shown: this model cannot see it]", quoted(b.Title), of(b.Source))
	}
	return fmt.Sprintf("[content of type %q is not shown]", b.Type)
}

// TextOfAll is the text of several blocks, one after the other.
func TextOfAll(blocks []core.Block) string {
	var parts []string
	for _, b := range blocks {
		if !Blank(b) {
			parts = append(parts, TextOf(b))
		}
	}
	return strings.Join(parts, "\n\n")
}

// DocumentText returns the words of a document that came as text, plainly or as base64. False: it is
// something else (PDF), or somewhere else.
func DocumentText(b core.Block) (string, bool) {
	switch s := b.Source; {
	case s == nil:
		return b.Text, b.Text != ""
	case s.Type == "text":
		return s.Data, true
	case s.Type == "base64" && (strings.HasPrefix(s.MediaType, "text/") || s.MediaType == "application/json"):
		data, err := base64.StdEncoding.DecodeString(s.Data)
		return strings.ToValidUTF8(string(data), "\uFFFD"), err == nil
	}
	return "", false
}

// DataURL is the source of an image or document as one URL: its own, or its base64 data (RFC 2397).
// Empty: it has neither.
func DataURL(s *core.Source) string {
	switch {
	case s == nil:
		return ""
	case s.Type == "url":
		return s.URL
	case s.Type == "base64":
		return "data:" + s.MediaType + ";base64," + s.Data
	}
	return ""
}

// searchText reads a search result: Text, or the text blocks that the client put beside it.
func searchText(b core.Block) string {
	parts := []string{}
	if b.Source != nil && b.Source.URL != "" {
		parts = append(parts, b.Source.URL)
	}
	if b.Text != "" {
		parts = append(parts, b.Text)
	}
	var extra struct {
		Source  string       `json:"source"`
		Content []core.Block `json:"content"`
	}
	if json.Unmarshal(b.Extra, &extra) == nil {
		if extra.Source != "" {
			parts = append(parts, extra.Source)
		}
		for _, c := range extra.Content {
			if c.Type == core.BlockText {
				parts = append(parts, c.Text)
			}
		}
	}
	return strings.Join(parts, "\n")
}

func titled(title, text string) string {
	if title == "" {
		return text
	}
	return title + "\n\n" + text
}

func quoted(title string) string {
	if title == "" {
		return ""
	}
	return fmt.Sprintf(" %q", title)
}

func of(s *core.Source) string {
	switch {
	case s == nil:
		return ""
	case s.MediaType != "":
		return " (" + s.MediaType + ")"
	case s.URL != "":
		return " at " + s.URL
	}
	return ""
}

var callIDRefused = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// CallID makes a tool call's id fit vendors that take only [A-Za-z0-9_-]{1,64}: a session may go on
// with another vendor than the one whose id it is. Ids that fit stay; equal ids stay equal.
func CallID(id string) string {
	if id != "" && len(id) <= 64 && !callIDRefused.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:16])
}

// Object returns raw if it is a JSON object, and {} otherwise: vendors refuse anything else as the
// input of a call, and a refused history would end the session for good.
func Object(raw json.RawMessage) json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return json.RawMessage("{}")
	}
	return raw
}

// Schema returns a tool's input schema, or that of an object without members if it has none.
func Schema(raw json.RawMessage) json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return raw
}

// FailedCall begins the result of a failed call where the API has no mark for it.
const FailedCall = "The tool call failed."

// ResultText is a tool's result as plain text, never empty: some servers refuse an empty result.
func ResultText(r *core.ModelResult) string {
	text := TextOfAll(r.Content)
	switch {
	case r.IsError && text == "":
		return FailedCall
	case r.IsError:
		return FailedCall + "\n" + text
	case text == "":
		return "(no output)"
	}
	return text
}
