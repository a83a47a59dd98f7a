package managed

import (
	"encoding/base64"

	"github.com/reeve-ai/reeve/internal/core"
)

// Source types of images and documents (CMA section 4.1).
const (
	sourceBase64 = "base64"
	sourceText   = "text"
	sourceURL    = "url"
	sourceFile   = "file"
)

// content reads the member content: blocks, or, where the flavour has it, a plain string. search says
// whether search results are allowed: only results of tools hold them.
func (o *object) content(fl *Flavour, search bool) []core.Block {
	raw := o.raw("content")
	if isString(raw) {
		if !fl.stringContent {
			o.fail(core.InvalidField(o.field("content"), "must be an array of content blocks, not a string"))
			return nil
		}
		return core.Text(o.text("content"))
	}
	blocks := []core.Block{}
	for _, e := range o.objects("content") {
		blocks = append(blocks, e.block(search))
	}
	return blocks
}

// block reads one content block. Members that Reeve does not use are kept (core.Block.Extra).
func (o *object) block(search bool) core.Block {
	b := core.Block{Type: core.BlockType(o.text("type"))}
	switch {
	case b.Type == core.BlockText:
		b.Text = o.required("text")
	case b.Type == core.BlockImage:
		b.Source = o.source(sourceBase64, sourceURL, sourceFile)
	case b.Type == core.BlockDocument:
		b.Source = o.source(sourceBase64, sourceText, sourceURL, sourceFile)
		b.Title = o.text("title")
	case b.Type == core.BlockSearchResult && search:
		b.Title = o.required("title")
		o.searchResult()
	case b.Type == "redacted":
		o.fail(core.InvalidField(o.field("type"), "redacted blocks cannot be sent"))
	case b.Type == "":
		o.fail(core.InvalidField(o.field("type"), "is required"))
	default:
		o.fail(core.InvalidField(o.field("type"), "%q is not a content block that is allowed here", string(b.Type)))
	}
	b.Extra = o.rest()
	return b
}

// searchResult checks the members that stay in Extra, as they were sent.
func (o *object) searchResult() {
	if read[string](o, "source").V == "" {
		o.fail(core.InvalidField(o.field("source"), "is required"))
	}
	for _, part := range o.objects("content") {
		if part.text("type") != "text" {
			part.fail(core.InvalidField(part.field("type"), `must be "text"`))
		}
		part.required("text")
	}
	delete(o.known, "source")
	delete(o.known, "content")
}

// required reads a string that must be there; it may be empty.
func (o *object) required(name string) string {
	v := read[string](o, name)
	if !v.Set || v.Null {
		o.fail(core.InvalidField(o.field(name), "is required"))
	}
	return v.V
}

// source reads where an image or a document comes from.
func (o *object) source(allowed ...string) *core.Source {
	s := o.object("source")
	if s == nil {
		o.fail(core.InvalidField(o.field("source"), "is required"))
		return nil
	}
	src := &core.Source{Type: s.text("type")}
	for _, t := range allowed {
		if t != src.Type {
			continue
		}
		switch t {
		case sourceBase64:
			src.MediaType, src.Data = s.required("media_type"), s.required("data")
			if _, err := base64.StdEncoding.DecodeString(src.Data); err != nil {
				s.fail(core.InvalidField(s.field("data"), "is not valid base64"))
			}
		case sourceText:
			src.MediaType, src.Data = s.text("media_type"), s.required("data")
		case sourceURL:
			src.URL = s.required("url")
		case sourceFile:
			src.File = s.reference("file_id", "file")
		}
		return src
	}
	s.fail(core.InvalidField(s.field("type"), "must be one of %v", allowed))
	return src
}

// blocksWire writes content; the list is never null.
func blocksWire(blocks []core.Block) []any { return each(blocks, blockWire) }

func blockWire(b core.Block) any {
	m := map[string]any{"type": b.Type}
	switch b.Type {
	case core.BlockText:
		m["text"] = b.Text
	case core.BlockImage:
		m["source"] = sourceWire(b.Source)
	case core.BlockDocument:
		m["source"] = sourceWire(b.Source)
		if m["title"] = nil; b.Title != "" {
			m["title"] = b.Title
		}
	case core.BlockSearchResult:
		m["title"] = b.Title
	}
	merge(m, b.Extra)
	fill(m, b)
	return m
}

// fill adds the members that a block has on this wire even if nobody sent them.
func fill(m map[string]any, b core.Block) {
	var missing map[string]any
	switch b.Type {
	case core.BlockDocument:
		missing = map[string]any{"context": nil}
	case core.BlockSearchResult:
		missing = map[string]any{
			"source": "", "citations": map[string]bool{"enabled": false},
			"content": []any{map[string]string{"type": "text", "text": b.Text}},
		}
		if b.Source != nil {
			missing["source"] = b.Source.URL
		}
	}
	for name, v := range missing {
		if _, told := m[name]; !told {
			m[name] = v
		}
	}
}

func sourceWire(s *core.Source) any {
	if s == nil {
		return nil
	}
	m := map[string]string{"type": s.Type}
	switch s.Type {
	case sourceBase64:
		m["media_type"], m["data"] = s.MediaType, s.Data
	case sourceText:
		if m["media_type"], m["data"] = s.MediaType, s.Data; s.MediaType == "" {
			m["media_type"] = "text/plain"
		}
	case sourceURL:
		m["url"] = s.URL
	case sourceFile:
		m["file_id"] = filePrefix + s.File
	}
	return m
}
