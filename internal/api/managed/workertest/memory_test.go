package workertest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/lib/environments"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// memory makes a store with a memory in it.
func (w *world) memory(t *testing.T, name, path, content string) string {
	t.Helper()
	id := w.Must(t, "POST", "/v1/memory_stores", map[string]any{"name": name})["id"].(string)
	w.Must(t, "POST", "/v1/memory_stores/"+id+"/memories", map[string]any{"path": path, "content": content})
	return id
}

// moved has a worker see memory stores below a folder of the test's own, since it would make folders in the
// machine's /mnt. With the first token that comes along for a memory it runs try.
func moved(t *testing.T, to string, try func(token string)) option.RequestOption {
	t.Helper()
	var once sync.Once
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/v1/memory_stores/") {
			once.Do(func() { try(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) })
		}
		res, err := next(r)
		if err != nil || r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/v1/sessions/") || strings.Contains(r.URL.Path, "/events") {
			return res, err
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte("/mnt/memory/"), []byte(to+"/"))
		if err := res.Body.Close(); err != nil {
			return nil, err
		}
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return res, nil
	})
}

func TestTheSDKsWorkerKeepsTheMemoriesOfASession(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := start(t,
		fake.CallTool("bash", `{"command":"cat `+folder+`/notes/a.md `+folder+`/rules/r.md && echo more >>`+folder+`/notes/a.md && echo made >`+folder+`/notes/b.md && echo no >>`+folder+`/rules/r.md"}`),
		fake.Say("Kept."))
	notes, rules, other := w.memory(t, "Notes", "/a.md", "one\n"), w.memory(t, "Rules", "/r.md", "be kind\n"), w.memory(t, "Other", "/secret.md", "not yours\n")
	id := w.Must(t, "POST", "/v1/sessions", map[string]any{
		"agent": w.NewAgent(t, nil), "environment_id": w.env,
		"resources": []any{
			map[string]any{"type": "memory_store", "memory_store_id": notes},
			map[string]any{"type": "memory_store", "memory_store_id": rules, "access": "read_only"},
		},
	})["id"].(string)
	s := w.Reopen(t, id)
	idle := 300 * time.Millisecond
	// as asks with a credential and returns the status.
	as := func(token, method, path string, body any) int {
		return w.Do(t, method, path, body, "Authorization", "Bearer "+token, "Anthropic-Version", "2023-06-01").Status
	}
	got := map[string]int{}
	w.worker(t, func(o *environments.EnvironmentWorkerOptions) {
		o.MaxIdle = &idle
		o.RequestOptions = append(o.RequestOptions, moved(t, folder, func(token string) {
			got["an attached one"] = as(token, "GET", "/v1/memory_stores/"+notes+"/memories", nil)
			got["another one"] = as(token, "GET", "/v1/memory_stores/"+other+"/memories", nil)
			got["a write to another one"] = as(token, "POST", "/v1/memory_stores/"+other+"/memories", map[string]any{"path": "/x", "content": "x"})
			got["a write to one that is read only"] = as(token, "POST", "/v1/memory_stores/"+rules+"/memories", map[string]any{"path": "/x", "content": "x"})
			got["the list of stores"] = as(token, "GET", "/v1/memory_stores", nil)
			got["deleting the store"] = as(token, "DELETE", "/v1/memory_stores/"+notes, nil)
			got["the environment's key"] = as(w.key, "GET", "/v1/memory_stores/"+notes+"/memories", nil)
		}))
	})
	s.Send(t, "Remember.")
	if events := answers(rest(t, s, "end_turn")); len(events) < 2 || !strings.HasPrefix(events[1], "user.tool_result: one\nbe kind\n") {
		t.Errorf("events = %q", events)
	}
	w.await(t, "stopped") // the worker has written what is new
	if diff := cmp.Diff(map[string]int{
		"an attached one": 200, "another one": 404, "a write to another one": 404, "a write to one that is read only": 403,
		"the list of stores": 403, "deleting the store": 403, "the environment's key": 403,
	}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"/a.md": "one\nmore\n", "/b.md": "made\n"}, w.contents(t, notes)); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"/r.md": "be kind\n"}, w.contents(t, rules)); diff != "" {
		t.Errorf("the store to be read (-want +got):\n%s", diff)
	}
	versions := w.Must(t, "GET", "/v1/memory_stores/"+notes+"/memory_versions?session_id="+id, nil)["data"].([]any)
	if len(versions) != 2 {
		t.Errorf("versions of the session = %v", versions)
	}
	system := w.Fake.Requests()[0].System
	if !strings.Contains(system, "`/mnt/memory/notes`: Notes (read and write)") || !strings.Contains(system, "`/mnt/memory/rules`: Rules (read only)") {
		t.Errorf("the system prompt is\n%s", system)
	}
}

func (w *world) contents(t *testing.T, store string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, m := range w.Must(t, "GET", "/v1/memory_stores/"+store+"/memories?view=full", nil)["data"].([]any) {
		got[m.(map[string]any)["path"].(string)] = m.(map[string]any)["content"].(string)
	}
	return got
}
