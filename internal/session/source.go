package session

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxFileDocuments is how many documents of a session's first messages may come from files.
const MaxFileDocuments = 100

// fileBlock is a block that shows a file.
type fileBlock struct {
	field string // of the file's id, as the client spells it
	block core.Block
}

// fileBlocks lists the blocks of input that show files.
func fileBlocks(field string, in []Input) []fileBlock {
	var list []fileBlock
	for i, input := range in {
		for j, b := range input.content() {
			if b.Source != nil && b.Source.Type == "file" {
				list = append(list, fileBlock{fmt.Sprintf("%s[%d].content[%d].source.file_id", field, i, j), b})
			}
		}
	}
	return list
}

// content is what the input shows the model; nil: nothing.
func (in Input) content() []core.Block {
	switch {
	case in.Message != nil:
		return in.Message.Content
	case in.CustomResult != nil:
		return in.CustomResult.Content
	case in.ToolResult != nil:
		return in.ToolResult.Content
	}
	return nil
}

// checkSources judges the files that blocks of input show. Their bytes are read when the model is asked.
func (s *Service) checkSources(ctx context.Context, tx core.Store, project core.ProjectID, field string, in []Input) error {
	blocks := fileBlocks(field, in)
	if len(blocks) == 0 {
		return nil
	}
	ids := make([]core.FileID, len(blocks))
	for i, b := range blocks {
		ids[i] = core.FileID(b.block.Source.File)
	}
	found, err := filesOf(ctx, tx, project, ids, s.now())
	if err != nil {
		return err
	}
	for i, b := range blocks {
		f, there := found[ids[i]]
		if !there {
			return reference("file_not_found", b.field, "file file_%s was not found", ids[i])
		}
		switch most := core.BlockLimit(b.block.Type, f.MediaType); {
		case most == 0 && b.block.Type == core.BlockImage:
			return core.InvalidField(b.field, "the file is %s; an image must be JPEG, PNG, GIF or WebP", f.MediaType)
		case most == 0:
			return core.InvalidField(b.field, "the file is %s; a document must be PDF or text", f.MediaType)
		case f.Bytes > most:
			return core.InvalidField(b.field, "the file has %d bytes; at most %d of %s can be shown", f.Bytes, most, f.MediaType)
		}
	}
	return nil
}

// checkFileDocuments bounds the documents of a session's first messages that come from files.
func checkFileDocuments(in []Input) error {
	n := 0
	for _, b := range fileBlocks("initial_events", in) {
		if b.block.Type == core.BlockDocument {
			n++
		}
		if n > MaxFileDocuments {
			return core.InvalidField(b.field, "at most %d documents may come from files", MaxFileDocuments)
		}
	}
	return nil
}
