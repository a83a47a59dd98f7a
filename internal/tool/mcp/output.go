package mcp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	maxMedia      = 5 << 20 // bytes of one picture or document, in base64: what vendors take
	maxMediaTotal = 15 << 20
)

// output makes a result what the model reads. What it cannot read is named instead.
func output(res *sdk.CallToolResult, scrub func(string) string) core.ToolOutput {
	b := builder{scrub: scrub}
	for _, c := range res.Content {
		b.content(c)
	}
	if len(b.out) == 0 && b.over == 0 && res.StructuredContent != nil {
		if raw, err := json.Marshal(res.StructuredContent); err == nil {
			b.say(string(raw))
		}
	}
	return core.ToolOutput{Content: b.blocks(), IsError: res.IsError}
}

// builder puts a result together within its limits.
type builder struct {
	scrub func(string) string
	text
	media int // bytes so far
}

func (b *builder) content(c sdk.Content) {
	switch c := c.(type) {
	case *sdk.TextContent:
		b.say(c.Text)
	case *sdk.ImageContent:
		b.picture(c.MIMEType, c.Data)
	case *sdk.AudioContent:
		b.unread(c.MIMEType, c.Data)
	case *sdk.ResourceLink:
		b.say(strings.TrimSpace(fmt.Sprintf("[resource %s] %s\n%s", c.URI, c.Name, c.Description)))
	case *sdk.EmbeddedResource:
		switch r := c.Resource; {
		case r == nil:
		case r.Blob == nil:
			b.say(fmt.Sprintf("[resource %s]\n%s", r.URI, r.Text))
		default:
			b.picture(r.MIMEType, r.Blob)
		}
	}
}

func (b *builder) say(s string) { b.add(b.scrub(s)) }

// picture adds what models can look at.
func (b *builder) picture(kind string, data []byte) {
	block := core.Block{Type: core.BlockImage}
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
	case "application/pdf":
		block.Type = core.BlockDocument
	default:
		b.unread(kind, data)
		return
	}
	size := base64.StdEncoding.EncodedLen(len(data))
	if size == 0 || size > maxMedia || b.media+size > maxMediaTotal {
		b.unread(kind, data)
		return
	}
	b.media += size
	block.Source = &core.Source{Type: "base64", MediaType: kind, Data: base64.StdEncoding.EncodeToString(data)}
	b.out = append(b.out, block)
}

func (b *builder) unread(kind string, data []byte) {
	b.say(fmt.Sprintf("[%d bytes of %q, which cannot be shown here]", len(data), clip(kind, 100)))
}

// text collects blocks whose texts together have at most core.MaxMCPResult characters.
type text struct {
	out  []core.Block
	used int // characters
	over int // characters that were left out
}

func (t *text) add(s string) {
	s = clean(s)
	if s == "" {
		return // vendors refuse empty blocks
	}
	n := utf8.RuneCountInString(s)
	if room := core.MaxMCPResult - t.used; n > room {
		t.over += n - room
		s, n = clip(s, room), room
	}
	t.used += n
	if s != "" {
		t.out = append(t.out, core.Block{Type: core.BlockText, Text: s})
	}
}

// blocks are what was collected, with a note if something was left out. It is never nil.
func (t *text) blocks() []core.Block {
	out := append([]core.Block{}, t.out...)
	if t.over > 0 {
		out = append(out, core.Block{Type: core.BlockText, Text: fmt.Sprintf("[… %d of %d characters are left out: a result may have %d]", t.over, t.used+t.over, core.MaxMCPResult)})
	}
	return out
}

func refuse(format string, args ...any) core.ToolOutput {
	return core.ToolOutput{Content: core.Text(fmt.Sprintf(format, args...)), IsError: true}
}

// clip cuts a text to at most n characters.
func clip(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// clean makes a text storable everywhere: valid UTF-8 without NUL, which PostgreSQL refuses.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
