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

// shownFile is what this run knows of a file that a block names.
type shownFile struct {
	gone   bool         // it cannot be shown
	source *core.Source // nil: it was not read, because there was no room for it
	name   string
	bytes  int64
}

// showing is the files of one request.
type showing struct {
	room int64 // bytes that may still be shown
	// files is what blocks named until now, by type of block and id. It holds the content of no more than what the
	// request shows, so that what a run keeps of it has the same bound.
	files map[string]shownFile
}

// withFiles puts the files that blocks name into a request. The log and the transcript only have their ids.
func (v *run) withFiles(ctx context.Context, req core.ModelRequest) (core.ModelRequest, error) {
	if !slices.ContainsFunc(req.Messages, namesFiles) {
		return req, nil
	}
	req.Messages = slices.Clone(req.Messages)
	s := showing{maxShownBytes, map[string]shownFile{}}
	for i, m := range slices.Backward(req.Messages) {
		if !namesFiles(m) {
			continue
		}
		m.Parts = slices.Clone(m.Parts)
		for j, p := range slices.Backward(m.Parts) {
			switch {
			case p.Block != nil && namesFile(*p.Block):
				b, err := v.fill(ctx, *p.Block, &s)
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
					if r.Content[k], err = v.fill(ctx, b, &s); err != nil {
						return req, err
					}
				}
				m.Parts[j].Result = &r
			}
		}
		req.Messages[i] = m
	}
	v.shown = s.files // for the next request, which mostly names the same
	return req, nil
}

func namesFiles(m core.ModelMessage) bool {
	return slices.ContainsFunc(m.Parts, func(p core.ModelPart) bool {
		return p.Block != nil && namesFile(*p.Block) || p.Result != nil && slices.ContainsFunc(p.Result.Content, namesFile)
	})
}

func namesFile(b core.Block) bool { return b.Source != nil && b.Source.Type == "file" }

// fill returns a block with the content of its file, or one that says why it is not shown. A file for which there
// is no room is not read.
func (v *run) fill(ctx context.Context, b core.Block, s *showing) (core.Block, error) {
	key := string(b.Type) + " " + b.Source.File
	f, named := s.files[key]
	known := named
	if !known {
		f, known = v.shown[key]
	}
	if !known || !f.gone && f.source == nil && f.bytes <= s.room {
		var err error
		if f, err = v.readFile(ctx, b, s.room); err != nil {
			return b, err
		}
	}
	over := f.bytes > s.room
	if over && !named {
		f.source = nil // this request does not show it
	}
	s.files[key] = f
	switch {
	case f.gone:
		return note("[The file file_%s is not there any more.]", b.Source.File), nil
	case over:
		return note("[The file %q is not shown: there are too many bytes of newer files.]", f.name), nil
	}
	s.room -= f.bytes
	b.Source = f.source
	if b.Title == "" && b.Type == core.BlockDocument {
		b.Title = f.name
	}
	return b, nil
}

func note(format string, args ...any) core.Block {
	return core.Block{Type: core.BlockText, Text: fmt.Sprintf(format, args...)}
}

// readFile reads what a block names, if it has no more than room bytes. A file that is gone by now is no error.
func (v *run) readFile(ctx context.Context, b core.Block, room int64) (shownFile, error) {
	if v.opts.Files == nil {
		return shownFile{gone: true}, nil
	}
	f, content, err := v.opts.Files.OpenFile(ctx, v.lease.Project, core.FileID(b.Source.File))
	if core.KindOf(err) == core.NotFound {
		return shownFile{gone: true}, nil
	}
	if err != nil {
		return shownFile{}, fmt.Errorf("read file %s for the model: %w", b.Source.File, err)
	}
	defer func() { _ = content.Close() }() // it was only read
	s := shownFile{name: f.Name, bytes: f.Bytes}
	switch limit := core.BlockLimit(b.Type, f.MediaType); {
	case limit == 0 || f.Bytes > limit: // it was judged when it was sent; limits may have changed
		return shownFile{gone: true}, nil
	case f.Bytes > room:
		return s, nil
	}
	raw, err := io.ReadAll(io.LimitReader(content, f.Bytes+1))
	if err != nil {
		return shownFile{}, fmt.Errorf("read file %s for the model: %w", b.Source.File, err)
	}
	if int64(len(raw)) != f.Bytes {
		return shownFile{}, fmt.Errorf("read file %s for the model: its content has not the %d bytes that it was stored with", b.Source.File, f.Bytes)
	}
	if b.Type == core.BlockDocument && core.IsText(f.MediaType) {
		s.source = &core.Source{Type: "text", MediaType: "text/plain", Data: strings.ToValidUTF8(string(raw), "\uFFFD")}
	} else {
		s.source = &core.Source{Type: "base64", MediaType: f.MediaType, Data: base64.StdEncoding.EncodeToString(raw)}
	}
	return s, nil
}
