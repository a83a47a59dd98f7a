package memory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
)

// session makes one that has stores attached, and returns it as one that acts for itself.
func (f fixture) session(t *testing.T, attached ...core.Resource) core.Principal {
	t.Helper()
	for i := range attached {
		attached[i].Type, attached[i].ID = core.ResourceMemoryStore, core.NewID[core.ResourceID]()
	}
	s := core.Session{
		Project: f.admin.Project, ID: core.NewID[core.SessionID](), Origin: core.OriginManaged, Metadata: map[string]string{},
		Status: core.StatusIdle, Resources: attached,
	}
	if err := f.store.CreateSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return core.Acting(s)
}

// operations are all that a service does with a store, by name.
func (f fixture) operations(t *testing.T, store core.MemoryStoreID, m core.Memory) map[string]func(core.Principal) error {
	ctx, l := t.Context(), memory.ClaudeLimits
	text := "changed"
	return map[string]func(core.Principal) error{
		"read store":  func(p core.Principal) error { _, err := f.Store(ctx, p, store); return err },
		"read memory": func(p core.Principal) error { _, err := f.Memory(ctx, p, store, m.ID); return err },
		"read path":   func(p core.Principal) error { _, err := f.MemoryAt(ctx, p, store, m.Path); return err },
		"read list": func(p core.Principal) error {
			_, err := f.List(ctx, p, store, core.MemoryPage{Limit: 1}, false)
			return err
		},
		"read raw": func(p core.Principal) error {
			_, err := f.Memories(ctx, p, store, core.MemoryPage{Limit: 1})
			return err
		},

		"write new": func(p core.Principal) error {
			_, err := f.Create(ctx, p, store, memory.NewMemory{Path: "/" + string(core.NewID[core.MemoryID]())}, l)
			return err
		},
		"write change": func(p core.Principal) error {
			_, err := f.Update(ctx, p, store, m.ID, memory.Change{Content: &text}, l)
			return err
		},
		"write path": func(p core.Principal) error {
			_, err := f.Write(ctx, p, store, "/p", text, memory.Precondition{}, l)
			return err
		},
		"write put": func(p core.Principal) error {
			_, err := f.Put(ctx, p, core.Memory{Store: store, Path: "/q"})
			return err
		},
		"write remove": func(p core.Principal) error { return f.Remove(ctx, p, m) },

		"other stores": func(p core.Principal) error { _, err := f.Stores(ctx, p, core.MemoryStorePage{Limit: 1}); return err },
		"other new store": func(p core.Principal) error {
			_, err := f.CreateStore(ctx, p, core.MemoryStore{Name: "n"}, l)
			return err
		},
		"other rename": func(p core.Principal) error {
			_, err := f.UpdateStore(ctx, p, store, l, func(*core.MemoryStore) error { return nil })
			return err
		},
		"other archive":      func(p core.Principal) error { _, err := f.ArchiveStore(ctx, p, store); return err },
		"other delete store": func(p core.Principal) error { return f.DeleteStore(ctx, p, store) },
		"other versions": func(p core.Principal) error {
			_, err := f.Versions(ctx, p, store, core.MemoryVersionPage{Limit: 1})
			return err
		},
		"other version": func(p core.Principal) error { _, err := f.Version(ctx, p, store, m.Version); return err },
		"other redact":  func(p core.Principal) error { _, err := f.Redact(ctx, p, store, m.Version); return err },
	}
}

func TestASessionMayDoWhatItsAttachmentSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who  func(fixture, *testing.T, core.MemoryStoreID) core.Principal
		want map[string]string // by the first word of the operation
	}{
		"it is attached": {
			func(f fixture, t *testing.T, s core.MemoryStoreID) core.Principal {
				return f.session(t, core.Resource{Store: f.newStore(t).ID}, core.Resource{Store: s})
			},
			map[string]string{"read": "", "write": "", "other": "forbidden"},
		},
		"it is attached to read only": {
			func(f fixture, t *testing.T, s core.MemoryStoreID) core.Principal {
				return f.session(t, core.Resource{Store: s, ReadOnly: true})
			},
			map[string]string{"read": "", "write": "memory_store_read_only", "other": "forbidden"},
		},
		"another one is attached": {
			func(f fixture, t *testing.T, _ core.MemoryStoreID) core.Principal {
				return f.session(t, core.Resource{Store: f.newStore(t).ID})
			},
			map[string]string{"read": "memory_store_not_found", "write": "memory_store_not_found", "other": "forbidden"},
		},
		"its work item was stopped": {
			func(f fixture, t *testing.T, s core.MemoryStoreID) core.Principal {
				p := f.session(t, core.Resource{Store: s})
				p.Session = ""
				return p
			},
			map[string]string{"read": "forbidden", "write": "forbidden", "other": "forbidden"},
		},
		"it is a key of an environment": {
			func(f fixture, t *testing.T, s core.MemoryStoreID) core.Principal {
				p := f.session(t, core.Resource{Store: s})
				return core.Principal{Kind: core.PrincipalEnvironment, Project: p.Project, Environment: "e", Credential: "c"}
			},
			map[string]string{"read": "forbidden", "write": "forbidden", "other": "forbidden"},
		},
		"it is of another project": {
			func(f fixture, t *testing.T, s core.MemoryStoreID) core.Principal {
				p := f.session(t, core.Resource{Store: s})
				p.Project = f.other.Project
				return p
			},
			map[string]string{"read": "session_not_found", "write": "session_not_found", "other": "forbidden"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			s := f.newStore(t)
			for op := range f.operations(t, s.ID, core.Memory{}) {
				m := f.create(t, s, "/m", "x")
				by := c.who(f, t, s.ID)
				err := f.operations(t, s.ID, m)[op](by)
				want := ""
				for word, code := range c.want {
					if op[:len(word)] == word {
						want = code
					}
				}
				got := ""
				if err != nil {
					got = core.CodeOf(err)
				}
				if got != want {
					t.Errorf("%s = %v (%s), want %q", op, err, got, want)
				}
				if list, err := f.Memories(t.Context(), f.admin, s.ID, core.MemoryPage{Limit: 100}); err != nil {
					t.Fatal(err)
				} else {
					for _, left := range list {
						if err := f.Remove(t.Context(), f.admin, left); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

func TestPutKnowsWhatItReplaces(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.newStore(t)
	by := f.session(t, core.Resource{Store: s.ID})
	first, err := f.Put(t.Context(), by, core.Memory{Store: s.ID, Path: "/a", Content: "one"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Put(t.Context(), by, core.Memory{Store: s.ID, Path: "/a", Content: "again"})
	wantError(t, err, core.Conflict, memory.CodePathConflict, "")
	second := first
	second.Content = "two"
	if second, err = f.Put(t.Context(), by, second); err != nil || second.Number != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	stale := first
	stale.Content = "late"
	_, err = f.Put(t.Context(), by, stale)
	wantError(t, err, core.Conflict, memory.CodePrecondition, "")
	wantError(t, f.Remove(t.Context(), by, first), core.Conflict, memory.CodePrecondition, "")
	if err := f.Remove(t.Context(), by, second); err != nil {
		t.Fatal(err)
	}
	var actors []core.Actor
	for _, v := range f.versions(t, s) {
		actors = append(actors, v.CreatedBy)
	}
	me := core.Actor{Kind: core.ActorSession, ID: string(by.Session)}
	if diff := cmp.Diff([]core.Actor{me, me, me}, actors); diff != "" {
		t.Errorf("actors (-want +got):\n%s", diff)
	}
}
