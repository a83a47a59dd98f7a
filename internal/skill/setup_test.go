package skill_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
	"github.com/reeve-ai/reeve/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is the service over a fresh database and folder with two projects.
type fixture struct {
	*skill.Service
	db    *store.DB
	depot *blob.Depot
	root  string         // of the blobs
	admin core.Principal // of the first project
	other core.Principal // an admin of the second
	ticks *atomic.Int64
}

// setup's clock moves on by a second with every reading, unless it is stopped.
func setup(t *testing.T) fixture {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	f := fixture{db: db, root: filepath.Join(t.TempDir(), "blobs"), ticks: &atomic.Int64{}}
	folder, err := blob.OpenFolder(f.root)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 4, 16, 10, 0, 0, 123456789, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(f.ticks.Add(1)) * time.Second) }
	f.depot = blob.NewDepot(db, folder, blob.Options{Now: now})
	f.Service = skill.New(db, f.depot, now)
	for _, p := range []*core.Principal{&f.admin, &f.other} {
		*p = core.Principal{Kind: core.PrincipalToken, Role: core.RoleAdmin, Project: core.NewID[core.ProjectID]()}
		if err := db.CreateProject(t.Context(), core.Project{ID: p.Project, Name: "p", Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f fixture) as(r core.Role) core.Principal {
	p := f.admin
	p.Role = r
	return p
}

// blobs counts what lies in the folder.
func (f fixture) blobs(t *testing.T) (n int) {
	t.Helper()
	if err := filepath.WalkDir(f.root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// about is a SKILL.md.
func about(name string) string {
	return "---\nname: " + name + "\ndescription: Does things.\n---\nDo it.\n"
}

// parts are files that come one by one.
func parts(files ...string) iter.Seq2[skill.Part, error] {
	return func(yield func(skill.Part, error) bool) {
		for i := 0; i < len(files); i += 2 {
			if !yield(skill.Part{Name: files[i], Body: strings.NewReader(files[i+1])}, nil) {
				return
			}
		}
	}
}

// archive is one zip archive that comes alone.
func archive(raw []byte) iter.Seq2[skill.Part, error] { return parts("skill.zip", string(raw)) }

// zipped packs files by name and content.
func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var entries []entry
	for i := 0; i < len(files); i += 2 {
		entries = append(entries, entry{name: files[i], content: files[i+1], mode: 0o644})
	}
	return pack(t, entries...)
}

// entry is one entry of an archive, however odd.
type entry struct {
	name, content string
	mode          fs.FileMode
	encrypted     bool
}

func pack(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		if e.encrypted {
			h.Flags |= 1
		}
		out, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(out, e.content)
		}
		if err != nil && !strings.HasSuffix(e.name, "/") {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bundle packs an upload that must be good.
func (f fixture) bundle(t *testing.T, in iter.Seq2[skill.Part, error], l skill.Limits) *skill.Bundle {
	t.Helper()
	b, err := f.Pack(t.Context(), f.admin, in, l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f fixture) create(t *testing.T) core.Skill {
	t.Helper()
	s, err := f.Create(t.Context(), f.admin, skill.NewSkill{Bundle: f.bundle(t, parts("s/SKILL.md", about("s")), skill.ClaudeLimits)}, skill.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contents reads an archive: path to content, with a * behind those that can be run.
func contents(t *testing.T, r io.ReadSeekCloser) map[string]string {
	t.Helper()
	raw, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range z.File {
		in, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
		if !e.Mode().IsRegular() {
			t.Errorf("%s is no regular file", e.Name)
		}
		name := e.Name
		if e.Mode()&0o100 != 0 {
			name += "*"
		}
		files[name] = string(text)
	}
	return files
}

func wantError(t *testing.T, err error, kind core.Kind, says string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, says) {
		t.Errorf("error = %v, want %v that says %q", err, kind, says)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
