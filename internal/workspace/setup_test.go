package workspace_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a session in a real store, with real files.
type house struct {
	db     *store.DB
	files  *file.Service
	by     core.Principal
	sess   core.Session
	folder string // of the part under test
	work   string
}

func build(t *testing.T) *house {
	t.Helper()
	root := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(root, "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	blobs, err := blob.OpenFolder(filepath.Join(root, "blobs"))
	need(t, err)
	files, err := file.New(db, blob.NewDepot(db, blobs, blob.Options{}), []byte(strings.Repeat("s", 32)), file.Options{})
	need(t, err)
	at := time.Now().UTC().Truncate(time.Microsecond)
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: at, UpdatedAt: at}
	need(t, db.CreateProject(t.Context(), p))
	h := &house{
		db: db, files: files, by: core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin},
		folder: t.TempDir(), work: filepath.Join(t.TempDir(), "work"),
	}
	h.sess = core.Session{
		Project: p.ID, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Snapshot: &core.AgentSpec{Name: "a"}, Metadata: map[string]string{},
		Status: core.StatusIdle, CreatedAt: at, UpdatedAt: at,
	}
	need(t, db.CreateSession(t.Context(), h.sess))
	return h
}

// upload makes a file and attaches it to the session at a path.
func (h *house) upload(t *testing.T, at, content string) core.Resource {
	t.Helper()
	b, err := h.files.Stage(t.Context(), h.by, strings.NewReader(content))
	need(t, err)
	f, err := h.files.Create(t.Context(), h.by, file.NewFile{Blob: b, Path: "x.txt", Session: h.sess.ID}, file.ClaudeLimits)
	need(t, err)
	r := core.Resource{ID: core.NewID[core.ResourceID](), Type: core.ResourceFile, File: f.ID, MountPath: core.UploadsFolder + "/" + at}
	h.sess.Resources = append(h.sess.Resources, r)
	return r
}

// kept lists the session's files as "name: content", oldest first.
func (h *house) kept(t *testing.T) []string {
	t.Helper()
	list, err := h.files.Files(t.Context(), h.by, core.FilePage{Limit: 100, Session: h.sess.ID})
	need(t, err)
	slices.SortFunc(list, func(a, b core.File) int { return a.CreatedAt.Compare(b.CreatedAt) })
	var out []string
	for _, f := range list {
		_, content, err := h.files.Open(t.Context(), h.by, f.ID)
		need(t, err)
		raw, err := io.ReadAll(content)
		need(t, err)
		need(t, content.Close())
		out = append(out, f.Name+": "+string(raw))
	}
	return out
}

func always(core.AgentSpec) bool { return true }
func never(core.AgentSpec) bool  { return false }

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stored is a session as it comes back from its row.
func stored(t *testing.T, sess core.Session) core.Session {
	t.Helper()
	raw, err := json.Marshal(sess.Resources)
	need(t, err)
	sess.Resources = nil
	need(t, json.Unmarshal(raw, &sess.Resources))
	return sess
}
