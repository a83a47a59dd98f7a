package turn

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxShownBytes is how much of files one request shows, before base64: vendors take about 32 MB. The newest come
// first; of the rest the model is told.
const maxShownBytes = 22 << 20

// shownFile is the content of a file that a block names, as this run has read it.
type shownFile struct {
	source *core.Source // nil: it cannot be shown
	name   string
	bytes  int64
}

// withFiles puts the files that blocks name into a request. The log and the transcript only have their ids.
func (v *run) withFiles(ctx context.Context, req core.ModelRequest) (core.ModelRequest, error) {
	if !slices.ContainsFunc(req.Messages, namesFiles) {
		return req, nil
	}
	req.Messages = slices.Clone(req.Messages)
	room := int64(maxShownBytes)
	for i, m := range slices.Backward(req.Messages) {
		if !namesFiles(m) {
			continue
		}
		m.Parts = slices.Clone(m.Parts)
		for j, p := range slices.Backward(m.Parts) {
			switch {
			case p.Block != nil && namesFile(*p.Block):
				b, err := v.fill(ctx, *p.Block, &room)
				if err != nil {
					return req, err
				}
				m.Parts[j].Block = &b
			case p.Result != nil && slices.ContainsFunc(p.Result.Content, namesFile):
				r := *p.Result
				r.Content = slices.Clone(r.Content)
				for k, b := range slices.Backward(r.Content) {
					if !namesFile(b) {
						continue
					}
					var err error
					if r.Content[k], err = v.fill(ctx, b, &room); err != nil {
						return req, err
					}
				}
				m.Parts[j].Result = &r
			}
		}
		req.Messages[i] = m
	}
	return req, nil
}

func namesFiles(m core.ModelMessage) bool {
	return slices.ContainsFunc(m.Parts, func(p core.ModelPart) bool {
		return p.Block != nil && namesFile(*p.Block) || p.Result != nil && slices.ContainsFunc(p.Result.Content, namesFile)
	})
}

func namesFile(b core.Block) bool { return b.Source != nil && b.Source.Type == "file" }

// fill returns a block with the content of its file, or one that says why it is not shown.
func (v *run) fill(ctx context.Context, b core.Block, room *int64) (core.Block, error) {
	f, known := v.shown[b.Source.File]
	if !known {
		var err error
		if f, err = v.readFile(ctx, b); err != nil {
			return b, err
		}
		if v.shown == nil {
			v.shown = map[string]shownFile{}
		}
		v.shown[b.Source.File] = f
	}
	switch {
	case f.source == nil:
		return note("[The file file_%s is not there any more.]", b.Source.File), nil
	case f.bytes > *room:
		return note("[The file %q is not shown: there are too many bytes of newer files.]", f.name), nil
	}
	*room -= f.bytes
	b.Source = f.source
	if b.Title == "" && b.Type == core.BlockDocument {
		b.Title = f.name
	}
	return b, nil
}

func note(format string, args ...any) core.Block {
	return core.Block{Type: core.BlockText, Text: fmt.Sprintf(format, args...)}
}

// readFile reads what a block names. A file that is gone by now is no error.
func (v *run) readFile(ctx context.Context, b core.Block) (shownFile, error) {
	if v.opts.Files == nil {
		return shownFile{}, nil
	}
	f, content, err := v.opts.Files.OpenFile(ctx, v.lease.Project, core.FileID(b.Source.File))
	if core.KindOf(err) == core.NotFound {
		return shownFile{}, nil
	}
	if err != nil {
		return shownFile{}, fmt.Errorf("read file %s for the model: %w", b.Source.File, err)
	}
	defer func() { _ = content.Close() }() // it was only read
	limit := core.BlockLimit(b.Type, f.MediaType)
	raw, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err != nil {
		return shownFile{}, fmt.Errorf("read file %s for the model: %w", b.Source.File, err)
	}
	if int64(len(raw)) > limit { // it was judged when it was sent; limits may have changed
		return shownFile{}, nil
	}
	s := shownFile{name: f.Name, bytes: f.Bytes}
	if b.Type == core.BlockDocument && core.IsText(f.MediaType) {
		s.source = &core.Source{Type: "text", MediaType: "text/plain", Data: strings.ToValidUTF8(string(raw), "\uFFFD")}
	} else {
		s.source = &core.Source{Type: "base64", MediaType: f.MediaType, Data: base64.StdEncoding.EncodeToString(raw)}
	}
	return s, nil
}
