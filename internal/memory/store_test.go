package memory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
)

func TestStoresAreHeldAgainstTheLimitsOfTheirDialect(t *testing.T) {
	t.Parallel()
	f := setup(t)
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		name   string
		in     core.MemoryStore
		limits memory.Limits
		field  string // "": good
	}{
		{"longest", core.MemoryStore{Name: strings.Repeat("é", 255), Description: strings.Repeat("é", 1024)}, memory.ClaudeLimits, ""},
		{"no name", core.MemoryStore{}, memory.ClaudeLimits, "name"},
		{"name", core.MemoryStore{Name: strings.Repeat("é", 256)}, memory.ClaudeLimits, "name"},
		{"control character", core.MemoryStore{Name: "a\tb"}, memory.ClaudeLimits, "name"},
		{"description", core.MemoryStore{Name: "n", Description: strings.Repeat("é", 1025)}, memory.ClaudeLimits, "description"},
		{"pairs", core.MemoryStore{Name: "n", Metadata: many}, memory.ClaudeLimits, "metadata"},
		{"key", core.MemoryStore{Name: "n", Metadata: map[string]string{strings.Repeat("k", 65): ""}}, memory.ClaudeLimits, "metadata"},
		{"empty key", core.MemoryStore{Name: "n", Metadata: map[string]string{"": ""}}, memory.ClaudeLimits, "metadata"},
		{"value", core.MemoryStore{Name: "n", Metadata: map[string]string{"k": strings.Repeat("v", 513)}}, memory.ClaudeLimits, "metadata.k"},
		{"longest of Qoder", core.MemoryStore{Name: " " + strings.Repeat("n", 64) + " "}, memory.QoderLimits, ""},
		{"name of Qoder", core.MemoryStore{Name: strings.Repeat("n", 65)}, memory.QoderLimits, "name"},
		{"blank name of Qoder", core.MemoryStore{Name: "  "}, memory.QoderLimits, "name"},
		{"id", core.MemoryStore{Name: "n", ID: "x"}, memory.ClaudeLimits, "id"},
	} {
		_, err := f.CreateStore(t.Context(), f.member, c.in, c.limits)
		if c.field != "" {
			wantError(t, err, core.Invalid, "invalid_field", c.field)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAnUpdateIsJudgedByWhatItChanges(t *testing.T) {
	t.Parallel()
	f := setup(t)
	long := strings.Repeat("n", 200) // too long for the other dialect
	s, err := f.CreateStore(t.Context(), f.member, core.MemoryStore{Name: long}, memory.ClaudeLimits)
	if err != nil {
		t.Fatal(err)
	}
	update := func(change func(*core.MemoryStore)) (core.MemoryStore, error) {
		return f.UpdateStore(t.Context(), f.member, s.ID, memory.QoderLimits, func(m *core.MemoryStore) error { change(m); return nil })
	}
	got, err := update(func(m *core.MemoryStore) {
		m.Metadata["k"] = "v"
		m.Project, m.ArchivedAt, m.Entries = "x", time.Now(), 99
	})
	want := s
	want.Metadata, want.UpdatedAt = map[string]string{"k": "v"}, got.UpdatedAt
	if d := cmp.Diff(want, got); err != nil || d != "" || !got.UpdatedAt.After(s.UpdatedAt) {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	same, err := update(func(m *core.MemoryStore) { m.Metadata = map[string]string{"k": "v"} })
	if err != nil || !same.UpdatedAt.Equal(got.UpdatedAt) {
		t.Errorf("without an effect: %v, %v", same.UpdatedAt, err)
	}
	_, err = update(func(m *core.MemoryStore) { m.Description = "d" })
	wantError(t, err, core.Invalid, "invalid_field", "name")
}

func TestAnArchivedStoreIsReadAndEmptiedOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m := f.create(t, s, "/a", "one")
	if _, err := f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Content: ptr("two")}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	archived, err := f.ArchiveStore(t.Context(), f.member, s.ID)
	if err != nil || archived.ArchivedAt.IsZero() || !archived.UpdatedAt.Equal(archived.ArchivedAt) {
		t.Fatalf("archived = %+v, %v", archived, err)
	}
	again, err := f.ArchiveStore(t.Context(), f.member, s.ID)
	if err != nil || !again.ArchivedAt.Equal(archived.ArchivedAt) {
		t.Errorf("again = %+v, %v", again, err)
	}
	_, err = f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: "/b"}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, memory.CodeArchived, "")
	_, err = f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Content: ptr("three")}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, memory.CodeArchived, "")
	_, err = f.Write(t.Context(), f.member, s.ID, "/a", "three", memory.Precondition{}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, memory.CodeArchived, "")
	_, err = f.UpdateStore(t.Context(), f.member, s.ID, memory.ClaudeLimits, func(*core.MemoryStore) error { return nil })
	wantError(t, err, core.Invalid, memory.CodeArchived, "")
	if got, err := f.Memory(t.Context(), f.viewer, s.ID, m.ID); err != nil || got.Content != "two" {
		t.Errorf("memory = %+v, %v", got, err)
	}
	if _, err := f.Redact(t.Context(), f.admin, s.ID, m.Version); err != nil {
		t.Error(err)
	}
	if err := f.Delete(t.Context(), f.member, s.ID, m.ID, memory.Precondition{}, memory.ClaudeLimits); err != nil {
		t.Error(err)
	}
	if err := f.DeleteStore(t.Context(), f.admin, s.ID); err != nil {
		t.Error(err)
	}
	_, err = f.Store(t.Context(), f.viewer, s.ID)
	wantError(t, err, core.NotFound, "memory_store_not_found", "")
}

func TestRedactionErasesHistoryButNotThePresent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m := f.create(t, s, "/secret", "secret")
	_, err := f.Redact(t.Context(), f.admin, s.ID, m.Version)
	wantError(t, err, core.Invalid, memory.CodeLive, "")
	if _, err := f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Path: ptr("/fine"), Content: ptr("fine")}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	session := f.admin
	session.Session = core.NewID[core.SessionID]()
	_, err = f.Redact(t.Context(), session, s.ID, m.Version)
	wantError(t, err, core.Forbidden, "forbidden", "")
	v, err := f.Redact(t.Context(), f.admin, s.ID, m.Version)
	by := core.Actor{Kind: core.ActorCredential, ID: string(f.admin.Credential)}
	want := core.MemoryVersion{
		Project: s.Project, Store: s.ID, ID: m.Version, Memory: m.ID, Number: 1, Operation: core.MemoryCreated,
		CreatedBy: by, CreatedAt: m.CreatedAt, RedactedBy: by, RedactedAt: v.RedactedAt,
	}
	if d := cmp.Diff(want, v); err != nil || d != "" || v.RedactedAt.IsZero() {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	again, err := f.Redact(t.Context(), f.admin, s.ID, m.Version)
	if d := cmp.Diff(v, again); err != nil || d != "" {
		t.Errorf("again: %v (-want +got):\n%s", err, d)
	}
	if err := f.Delete(t.Context(), f.member, s.ID, m.ID, memory.Precondition{}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	for _, v := range f.versions(t, s) { // now the last ones, too
		if _, err := f.Redact(t.Context(), f.admin, s.ID, v.ID); err != nil {
			t.Errorf("%s: %v", v.Operation, err)
		}
	}
	for _, v := range f.versions(t, s) {
		if v.Path+v.Content+v.SHA256 != "" || v.RedactedAt.IsZero() {
			t.Errorf("left: %+v", v)
		}
	}
}

func TestListsRollFoldersUpInPagesOfAnySize(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	for _, path := range []string{"/a/1", "/a/2", "/a/b/3", "/a-", "/a0", "/c", "/d/e/f", "/d/e/g", "/d/h"} {
		f.create(t, s, path, path)
	}
	for _, c := range []struct {
		prefix  string
		folders bool
		want    []string
	}{
		{"", false, []string{"/a-", "/a/1", "/a/2", "/a/b/3", "/a0", "/c", "/d/e/f", "/d/e/g", "/d/h"}},
		{"", true, []string{"/a-", "/a/", "/a0", "/c", "/d/"}},
		{"/", true, []string{"/a-", "/a/", "/a0", "/c", "/d/"}},
		{"/a/", false, []string{"/a/1", "/a/2", "/a/b/3"}},
		{"/a/", true, []string{"/a/1", "/a/2", "/a/b/"}},
		{"/d/", true, []string{"/d/e/", "/d/h"}},
		{"/none/", true, nil},
	} {
		for limit := 1; limit <= 10; limit++ {
			var got []string
			page := core.MemoryPage{Prefix: c.prefix, Limit: limit, Contents: true}
			for {
				list, err := f.List(t.Context(), f.viewer, s.ID, page, c.folders)
				if err != nil {
					t.Fatal(err)
				}
				if len(list.Entries) > limit || list.More != (list.Next != "") || list.More && len(list.Entries) == 0 {
					t.Fatalf("page = %+v", list)
				}
				for _, e := range list.Entries {
					if got = append(got, e.Folder+e.Memory.Path); e.Folder == "" && e.Memory.Content != e.Memory.Path {
						t.Errorf("content of %s = %q", e.Memory.Path, e.Memory.Content)
					}
				}
				if !list.More {
					break
				}
				page.From = list.Next
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%q, folders %v, pages of %d (-want +got):\n%s", c.prefix, c.folders, limit, d)
			}
		}
	}
	back, err := f.List(t.Context(), f.viewer, s.ID, core.MemoryPage{Before: "/a0", Limit: 2}, false)
	if err != nil || len(back.Entries) != 2 || back.Entries[0].Memory.Path != "/a/2" || !back.More || back.Next != "" {
		t.Errorf("backwards = %+v, %v", back, err)
	}
}

func TestRolesAndProjectsAreHeldApart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m := f.create(t, s, "/a", "one")
	ctx, l := t.Context(), memory.ClaudeLimits
	calls := map[string]struct {
		role core.Role
		call func(ctx context.Context, by core.Principal) error
	}{
		"Store": {core.RoleViewer, func(ctx context.Context, by core.Principal) error { _, err := f.Store(ctx, by, s.ID); return err }},
		"Memory": {core.RoleViewer, func(ctx context.Context, by core.Principal) error {
			_, err := f.Memory(ctx, by, s.ID, m.ID)
			return err
		}},
		"MemoryAt": {core.RoleViewer, func(ctx context.Context, by core.Principal) error {
			_, err := f.MemoryAt(ctx, by, s.ID, "/a")
			return err
		}},
		"List": {core.RoleViewer, func(ctx context.Context, by core.Principal) error {
			_, err := f.List(ctx, by, s.ID, core.MemoryPage{Limit: 1}, false)
			return err
		}},
		"Version": {core.RoleViewer, func(ctx context.Context, by core.Principal) error {
			_, err := f.Version(ctx, by, s.ID, m.Version)
			return err
		}},
		"Versions": {core.RoleViewer, func(ctx context.Context, by core.Principal) error {
			_, err := f.Versions(ctx, by, s.ID, core.MemoryVersionPage{Limit: 1})
			return err
		}},
		"Create": {core.RoleMember, func(ctx context.Context, by core.Principal) error {
			_, err := f.Create(ctx, by, s.ID, memory.NewMemory{Path: "/" + string(by.Role)}, l)
			return err
		}},
		"Write": {core.RoleMember, func(ctx context.Context, by core.Principal) error {
			_, err := f.Write(ctx, by, s.ID, "/a", "x", memory.Precondition{}, l)
			return err
		}},
		"Update": {core.RoleMember, func(ctx context.Context, by core.Principal) error {
			_, err := f.Update(ctx, by, s.ID, m.ID, memory.Change{Content: ptr("y")}, l)
			return err
		}},
		"UpdateStore": {core.RoleMember, func(ctx context.Context, by core.Principal) error {
			_, err := f.UpdateStore(ctx, by, s.ID, l, func(*core.MemoryStore) error { return nil })
			return err
		}},
		"Redact": {core.RoleAdmin, func(ctx context.Context, by core.Principal) error {
			_, err := f.Redact(ctx, by, s.ID, m.Version)
			return err
		}},
	}
	for name, c := range calls {
		for _, by := range []core.Principal{f.viewer, f.member, {}} {
			allowed := by.Require(c.role) == nil
			if err := c.call(ctx, by); (core.KindOf(err) == core.Forbidden) == allowed {
				t.Errorf("%s by %q: %v", name, by.Role, err)
			}
		}
		if err := c.call(ctx, f.other); core.CodeOf(err) != "memory_store_not_found" {
			t.Errorf("%s of another project: %v", name, err)
		}
	}
	for _, by := range []core.Principal{f.viewer, f.other} {
		kind := map[core.ProjectID]core.Kind{f.viewer.Project: core.Forbidden, f.other.Project: core.NotFound}[by.Project]
		if err := f.Delete(ctx, by, s.ID, m.ID, memory.Precondition{}, l); core.KindOf(err) != kind {
			t.Errorf("Delete: %v", err)
		}
		if err := f.DeleteStore(ctx, by, s.ID); core.KindOf(err) != kind {
			t.Errorf("DeleteStore: %v", err)
		}
		if _, err := f.ArchiveStore(ctx, by, s.ID); core.KindOf(err) != kind {
			t.Errorf("ArchiveStore: %v", err)
		}
	}
	if _, err := f.CreateStore(ctx, f.viewer, core.MemoryStore{Name: "n"}, l); core.KindOf(err) != core.Forbidden {
		t.Errorf("CreateStore: %v", err)
	}
	wantError(t, f.DeleteStore(ctx, f.member, s.ID), core.Forbidden, "forbidden", "")
	if list, err := f.Stores(ctx, f.other, core.MemoryStorePage{Limit: 9}); err != nil || len(list) != 0 {
		t.Errorf("Stores = %v, %v", list, err)
	}
}
