package memory_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
)

func TestPathsHaveOneSpellingAndAreFileNames(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	long := "/" + strings.Repeat("a", 1023)
	for path, good := range map[string]bool{
		"/q": true, "/a/b.md": true, "/a b/ü/日本": true, "/..a/.b": true, long: true, "/" + strings.Repeat("s/", 19) + "s": true,
		"": false, "/": false, "b": false, "//b": false, "/b/": false, "/b//c": false, "/./b": false, "/b/..": false,
		long + "a": false, "/c" + strings.Repeat("/s", 20): false,
		"/b\n": false, "/b\x7f": false, "/b\u200d": false, "/b\u2028": false, "/b\u2029": false, "/b\x00": false,
		"/u\u0308": false, "/b\xff": false, "/\ufeffb": false,
	} {
		_, err := f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: path}, memory.ClaudeLimits)
		if good && err != nil {
			t.Errorf("%q: %v", path, err)
		} else if !good {
			wantError(t, err, core.Invalid, "invalid_field", "path")
		}
	}
}

func TestContentsAreBoundedInBytesAndKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	big := strings.Repeat("é", 51_200) // 102,400 bytes
	m := f.create(t, s, "/big", big)
	sum := sha256.Sum256([]byte(big))
	if m.SHA256 != hex.EncodeToString(sum[:]) || m.Bytes != 102_400 {
		t.Errorf("hash %s, %d bytes", m.SHA256, m.Bytes)
	}
	_, err := f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: "/b", Content: big + "x"}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, "invalid_field", "content")
	_, err = f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: "/b", Content: "\x00"}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, "invalid_field", "content")
	_, err = f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: "/b"}, memory.QoderLimits)
	wantError(t, err, core.Invalid, "invalid_field", "content")
	f.create(t, s, "/empty", "")
	f.create(t, s, "/decomposed", "u\u0308\r\n")
	got, err := f.MemoryAt(t.Context(), f.viewer, s.ID, "/decomposed")
	if err != nil || got.Content != "u\u0308\r\n" {
		t.Errorf("content = %q, %v", got.Content, err)
	}
}

func TestAStoreHoldsTwoThousandMemories(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	var first core.Memory
	if err := f.store.Tx(t.Context(), func(tx core.Store) error {
		for i := range 1999 {
			m := core.Memory{
				Project: s.Project, Store: s.ID, ID: core.NewID[core.MemoryID](), Path: fmt.Sprintf("/%d", i), Number: 1,
				Version: core.NewID[core.MemoryVersionID](),
			}
			if err := tx.WriteMemory(t.Context(), m, core.Actor{}); err != nil {
				return err
			}
			first = m
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f.create(t, s, "/last", "")
	_, err := f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: "/over"}, memory.ClaudeLimits)
	wantError(t, err, core.Invalid, memory.CodeFull, "")
	if err := f.Delete(t.Context(), f.member, s.ID, first.ID, memory.Precondition{}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	f.create(t, s, "/again", "")
}

func TestOnePathIsOneMemoryAndNoFileIsAFolder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m, other := f.create(t, s, "/a/b", "1"), f.create(t, s, "/c", "2")
	for path, blocking := range map[string]core.Memory{"/a/b": m, "/a": m, "/a/b/x/y": m, "/c/d": other} {
		_, err := f.Create(t.Context(), f.member, s.ID, memory.NewMemory{Path: path}, memory.ClaudeLimits)
		wantConflict(t, err, blocking)
	}
	_, err := f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Path: ptr("/c/d")}, memory.ClaudeLimits)
	wantConflict(t, err, other)
	for _, path := range []string{"/a", "/a/b/c", "/A/b"} { // its own old path is no hindrance
		if _, err := f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Path: &path}, memory.ClaudeLimits); err != nil {
			t.Errorf("rename to %s: %v", path, err)
		}
	}
	f.create(t, s, "/a/b", "free again")
}

func wantConflict(t *testing.T, err error, blocking core.Memory) {
	t.Helper()
	wantError(t, err, core.Conflict, memory.CodePathConflict, "")
	var conflict *memory.PathConflict
	if !errors.As(err, &conflict) || conflict.Memory != blocking.ID || conflict.Path != blocking.Path {
		t.Errorf("conflict = %+v, want %s at %s", conflict, blocking.ID, blocking.Path)
	}
}

func TestAPreconditionGuardsAWriteAndForgivesARepeatedOne(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m := f.create(t, s, "/a", "one")
	update := func(c memory.Change) (core.Memory, error) {
		return f.Update(t.Context(), f.member, s.ID, m.ID, c, memory.ClaudeLimits)
	}
	one, wrong := memory.Precondition{SHA256: &m.SHA256}, memory.Precondition{SHA256: ptr(strings.Repeat("0", 64))}
	_, err := update(memory.Change{Content: ptr("two"), If: wrong})
	wantError(t, err, core.Conflict, memory.CodePrecondition, "")
	second, err := update(memory.Change{Content: ptr("two"), Path: ptr("/b"), If: one})
	if err != nil || second.Number != 2 || second.Path != "/b" {
		t.Fatalf("update = %+v, %v", second, err)
	}
	again, err := update(memory.Change{Content: ptr("two"), Path: ptr("/b"), If: one}) // the answer was lost
	if err != nil || again.Version != second.Version {
		t.Errorf("repeated = %+v, %v", again, err)
	}
	for name, c := range map[string]memory.Change{
		"half of it is new": {Content: ptr("two"), Path: ptr("/c"), If: one},
		"nothing is asked":  {If: one},
		"other version":     {Content: ptr("three"), If: memory.Precondition{Number: 1}},
	} {
		if _, err := update(c); core.CodeOf(err) != memory.CodePrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = update(memory.Change{If: memory.Precondition{SHA256: ptr("ABC")}})
	wantError(t, err, core.Invalid, "invalid_field", "precondition.content_sha256")
	_, err = f.Update(t.Context(), f.member, s.ID, m.ID, memory.Change{Content: ptr("x"), If: memory.Precondition{SHA256: ptr("ABC")}}, memory.QoderLimits)
	wantError(t, err, core.Conflict, memory.CodePrecondition, "")
	remove := func(must memory.Precondition) error {
		return f.Delete(t.Context(), f.member, s.ID, m.ID, must, memory.ClaudeLimits)
	}
	wantError(t, remove(one), core.Conflict, memory.CodePrecondition, "")
	if err := remove(memory.Precondition{SHA256: &second.SHA256}); err != nil {
		t.Error(err)
	}
	wantError(t, remove(memory.Precondition{}), core.NotFound, "memory_not_found", "")
}

// TestOfManyWritersWithOnePreconditionOneWins: what optimistic locking is for.
func TestOfManyWritersWithOnePreconditionOneWins(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	m := f.create(t, s, "/a", "0")
	results := make([]error, 8)
	var writers sync.WaitGroup
	for i := range results {
		writers.Go(func() {
			_, results[i] = f.Update(t.Context(), f.member, s.ID, m.ID,
				memory.Change{Content: ptr(fmt.Sprint("by ", i)), If: memory.Precondition{SHA256: &m.SHA256}}, memory.ClaudeLimits)
		})
	}
	writers.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if core.CodeOf(err) != memory.CodePrecondition {
			t.Error(err)
		}
	}
	if versions := f.versions(t, s); won != 1 || len(versions) != 2 {
		t.Errorf("%d won, %d versions", won, len(versions))
	}
}

func TestEveryEffectiveChangeIsAVersionOfItsActor(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	user, session := f.member, f.member
	user.Kind, user.Credential = core.PrincipalUser, ""
	session.Session = core.NewID[core.SessionID]()
	m := f.create(t, s, "/a", "one")
	if _, err := f.Update(t.Context(), user, s.ID, m.ID, memory.Change{Content: ptr("two"), Path: ptr("/a")}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second has no effect
		if _, err := f.Write(t.Context(), session, s.ID, "/a", "three", memory.Precondition{}, memory.ClaudeLimits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Update(t.Context(), user, s.ID, m.ID, memory.Change{Metadata: &map[string]string{"k": "v"}}, memory.QoderLimits); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), session, s.ID, m.ID, memory.Precondition{}, memory.ClaudeLimits); err != nil {
		t.Fatal(err)
	}
	type change struct {
		Operation core.MemoryOperation
		Content   string
		By        core.Actor
	}
	byUser := core.Actor{Kind: core.ActorUser, ID: string(user.User)}
	bySession := core.Actor{Kind: core.ActorSession, ID: string(session.Session)}
	want := []change{
		{core.MemoryDeleted, "", bySession},
		{core.MemoryModified, "three", byUser},
		{core.MemoryModified, "three", bySession},
		{core.MemoryModified, "two", byUser},
		{core.MemoryCreated, "one", core.Actor{Kind: core.ActorCredential, ID: string(f.member.Credential)}},
	}
	var got []change
	for _, v := range f.versions(t, s) {
		got = append(got, change{v.Operation, v.Content, v.CreatedBy})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
}

func TestASessionWritesByPath(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	session := f.member
	session.Session = core.NewID[core.SessionID]()
	write := func(path, content string, must memory.Precondition) (core.Memory, error) {
		return f.Write(t.Context(), session, s.ID, path, content, must, memory.ClaudeLimits)
	}
	made, err := write("/a", "one", memory.Precondition{})
	if err != nil || made.Number != 1 {
		t.Fatalf("write = %+v, %v", made, err)
	}
	changed, err := write("/a", "two", memory.Precondition{SHA256: &made.SHA256})
	if err != nil || changed.ID != made.ID || changed.Number != 2 {
		t.Errorf("write = %+v, %v", changed, err)
	}
	_, err = write("/a", "three", memory.Precondition{SHA256: &made.SHA256})
	wantError(t, err, core.Conflict, memory.CodePrecondition, "")
	_, err = write("/gone", "x", memory.Precondition{SHA256: &made.SHA256})
	wantError(t, err, core.Conflict, memory.CodePrecondition, "")
	_, err = write("/a/b", "x", memory.Precondition{})
	wantConflict(t, err, changed)
	_, err = write("/../b", "x", memory.Precondition{})
	wantError(t, err, core.Invalid, "invalid_field", "path")
}

func ptr[T any](v T) *T { return &v }
