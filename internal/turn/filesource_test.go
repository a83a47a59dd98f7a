package turn_test

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/session"
	"github.com/reeve-ai/reeve/internal/turn"
)

// measured is a source of files that counts the bytes that are read.
type measured struct {
	core.FileSource
	read atomic.Int64
}

func (m *measured) OpenFile(ctx context.Context, project core.ProjectID, id core.FileID) (core.File, io.ReadSeekCloser, error) {
	f, content, err := m.FileSource.OpenFile(ctx, project, id)
	if err != nil {
		return f, nil, err
	}
	return f, measuring{content, &m.read}, nil
}

type measuring struct {
	io.ReadSeekCloser
	read *atomic.Int64
}

func (m measuring) Read(p []byte) (int, error) {
	n, err := m.ReadSeekCloser.Read(p)
	m.read.Add(int64(n))
	return n, err
}

func TestFilesForWhichThereIsNoRoomAreNotRead(t *testing.T) {
	t.Parallel()
	const size = 9 << 20 // of which a request shows two
	h := build(t, fake.New(fake.CallTool("look", `{}`), fake.Say("seen")), toolset{{name: "look"}})
	blobs, err := blob.OpenFolder(filepath.Join(t.TempDir(), "blobs"))
	need(t, err)
	files, err := file.New(h.db, blob.NewDepot(h.db, blobs, blob.Options{}), []byte(strings.Repeat("s", 32)), file.Options{Now: h.now})
	need(t, err)
	var content []core.Block
	for _, name := range []string{"a", "b", "c", "d"} {
		staged, err := files.Stage(t.Context(), h.by, strings.NewReader(strings.Repeat(name, size)))
		need(t, err)
		f, err := files.Create(t.Context(), h.by, file.NewFile{Blob: staged, Path: name + ".txt", Declared: "text/plain"}, file.ClaudeLimits)
		need(t, err)
		content = append(content, core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "file", File: string(f.ID)}})
	}
	source := &measured{FileSource: files}
	n := h.open(h.db, turn.Options{Files: source})
	stop := n.run(t)
	defer stop()
	_, err = n.Send(t.Context(), h.by, h.sess.ID, []session.Input{{Message: &core.Message{Content: content}}}, session.SendOptions{})
	need(t, err)
	n.untilIdle(t, 0)
	want := []string{
		`[The file "a.txt" is not shown: there are too many bytes of newer files.]`,
		`[The file "b.txt" is not shown: there are too many bytes of newer files.]`,
		"c.txt c", "d.txt d",
	}
	asked := h.fake.Requests()
	if len(asked) != 2 {
		t.Fatalf("%d requests, want 2", len(asked))
	}
	for i, req := range asked {
		var got []string
		for _, p := range req.Messages[0].Parts {
			switch b := p.Block; {
			case b.Source == nil:
				got = append(got, b.Text)
			case len(b.Source.Data) == size:
				got = append(got, b.Title+" "+b.Source.Data[:1])
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("request %d shows (-want +got):\n%s", i, d)
		}
	}
	if got := source.read.Load(); got != 2*size { // the second request shows what the first one read
		t.Errorf("%d bytes were read, want the %d of the two files that are shown", got, 2*size)
	}
}
