package managed_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestRecordedExchangesOfMemory(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory_claude", "memory_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{"token": s.token, "member": s.member})
		})
	}
}

// memoryStore makes a store and returns its path.
func (c client) memoryStore(t *testing.T) string {
	t.Helper()
	return "/memory_stores/" + c.must(t, "POST", "/memory_stores", `{"name":"Notes"}`)["id"].(string)
}

// remember makes a memory and returns its id.
func (c client) remember(t *testing.T, store, path, content string) string {
	t.Helper()
	return c.must(t, "POST", store+"/memories", `{"path":"`+path+`","content":"`+content+`"}`)["id"].(string)
}

func TestListsOfMemoryAreWalkedByTheirCursors(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		slash := map[string]string{"/v1": "/", "/api/v1/cloud": ""}[c.base]
		store := c.memoryStore(t)
		var memories []string
		for _, path := range []string{"a/1", "a/2", "b", "b-", "c/ü"} {
			memories = append(memories, c.remember(t, store, slash+path, path))
		}
		for range 4 {
			c.memoryStore(t)
		}
		all := func(path string) []string { return ids(c.must(t, "GET", path, "")) }
		if versions := all(store + "/memory_versions"); len(versions) != 5 || !slices.Equal(all(store+"/memory_versions?memory_id="+memories[4]), versions[:1]) {
			t.Errorf("versions = %v", versions)
		}
		if d := cmp.Diff(memories, all(store+"/memories")); d != "" {
			t.Errorf("memories by path (-want +got):\n%s", d)
		}
		for path, insert := range map[string]func(){
			store + "/memory_versions": func() { c.remember(t, store, slash+"0", "newest") },
			store + "/memories":        func() { c.remember(t, store, slash+"a/0", "before the cursor") },
			"/memory_stores":           func() { c.memoryStore(t) },
		} {
			want := all(path)
			got, pages := walk(t, c, path+"?limit=2", insert)
			if d := cmp.Diff(want, got); d != "" || pages != (len(want)+1)/2 {
				t.Errorf("%s%s: %d pages, ids (-want +got):\n%s", c.base, path, pages, d)
			}
		}
	}
}

func TestMemoriesCanBeReadBackwards(t *testing.T) {
	t.Parallel()
	c := qoder(start(t))
	store := c.memoryStore(t)
	var made []string
	for _, path := range []string{"a", "b", "c", "d"} {
		made = append(made, c.remember(t, store, path, path))
	}
	page := c.must(t, "GET", store+"/memories?limit=2&before_id="+made[3], "")
	if d := cmp.Diff(made[1:3], ids(page)); d != "" || page["has_more"] != true || page["next_page"] != made[2] {
		t.Errorf("page = %v (-want +got):\n%s", page, d)
	}
	page = c.must(t, "GET", store+"/memories?limit=2&before_id="+made[1], "")
	if d := cmp.Diff(made[:1], ids(page)); d != "" || page["has_more"] != false {
		t.Errorf("page = %v (-want +got):\n%s", page, d)
	}
	c.refused(t, c.do(t, "GET", store+"/memories?page="+made[0]+"&after_id="+made[0], ""), 400, "invalid_request_error")
	c.refused(t, c.do(t, "GET", store+"/memories?page=mem_00000000000000000000000000000001", ""), 400, "invalid_request_error")
}

func TestAPageWithContentsIsSmall(t *testing.T) {
	t.Parallel()
	c := claude(start(t))
	store := c.memoryStore(t)
	for i := range 21 {
		c.remember(t, store, fmt.Sprintf("/%02d", i), "x")
	}
	for _, list := range []string{"memories", "memory_versions"} {
		page := c.must(t, "GET", store+"/"+list+"?limit=100&view=full", "")
		if n := len(page["data"].([]any)); n != 20 || page["next_page"] == nil || dig(page, "data", 0, "content") != "x" {
			t.Errorf("%s: %d items, next_page %v", list, n, page["next_page"])
		}
		page = c.must(t, "GET", store+"/"+list+"?limit=100", "")
		if n := len(page["data"].([]any)); n != 21 || dig(page, "data", 0, "content") != nil {
			t.Errorf("%s: %d items without contents", list, n)
		}
	}
}

// TestBothFlavoursShareMemories: each sees what the other wrote, in its own spelling.
func TestBothFlavoursShareMemories(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, q := claude(s), qoder(s)
	store := q.memoryStore(t)
	made := q.must(t, "POST", store+"/memories", `{"path":"a/b.md","content":"one","metadata":{"k":"v"}}`)
	at := store + "/memories/" + made["id"].(string)
	if got := c.must(t, "GET", at, ""); got["path"] != "/a/b.md" || got["content_sha256"] != made["content_sha256"] {
		t.Errorf("Claude's = %v", got)
	}
	c.refused(t, c.do(t, "POST", store+"/memories", `{"path":"/a/b.md","content":"x"}`), 409, "memory_path_conflict_error")
	c.must(t, "POST", at, `{"path":"/c.md","content":"two"}`)
	got := q.must(t, "GET", at, "")
	if got["path"] != "c.md" || got["content"] != "two" || got["version"] != 2.0 || dig(got, "metadata", "k") != "v" {
		t.Errorf("Qoder's = %v", got)
	}
	if got := q.must(t, "GET", store, ""); got["entry_count"] != 1.0 || got["total_size"] != 3.0 {
		t.Errorf("store = %v", got)
	}
	other := c.as(s.foreign)
	c.refused(t, other.do(t, "GET", at, ""), 404, "not_found_error")
	c.refused(t, other.do(t, "DELETE", store, ""), 404, "not_found_error")
	viewer := c.as(s.viewer)
	c.refused(t, viewer.do(t, "POST", at, `{"content":"x"}`), 403, "permission_error")
}

// TestARepeatedCreateOfMemoryMakesOne, also when a crash has lost the first answer.
func TestARepeatedCreateOfMemoryMakesOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := qoder(s)
	store := c.memoryStore(t)
	for path, body := range map[string]string{"/memory_stores": `{"name":"n"}`, store + "/memories": `{"path":"a","content":"x"}`} {
		now := time.Now().UTC().Truncate(time.Microsecond)
		rec := core.Idempotency{
			Project: s.admin.Project, Caller: string(s.admin.Credential), Key: "key of " + path, Object: core.NewID[string](),
			Fingerprint: sha256.Sum256([]byte("POST\x00" + c.base + path + "\x00" + body)), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if _, fresh, err := s.db.ReserveIdempotency(t.Context(), rec, now); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		first := c.do(t, "POST", path, body, "Idempotency-Key", rec.Key)
		if err := s.db.FinishIdempotency(t.Context(), rec); err != nil { // the answer is forgotten
			t.Fatal(err)
		}
		again := c.do(t, "POST", path, body, "Idempotency-Key", rec.Key)
		if first.status != 201 || again.raw != first.raw {
			t.Errorf("first %d %s, then %d %s", first.status, first.raw, again.status, again.raw)
		}
	}
	c.refused(t, c.do(t, "POST", store+"/memories", `{"path":"a","content":"x"}`, "Idempotency-Key", "another"), 409, "invalid_request_error")
}
