package app_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// upload uploads a file and returns its id.
func upload(t *testing.T, srv *apptest.Server, name, mediaType, content string) string {
	t.Helper()
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\nContent-Type: " + mediaType + "\r\n\r\n" + content + "\r\n--b--\r\n"
	return srv.Must(t, http.MethodPost, "/v1/files", form, "Content-Type", "multipart/form-data; boundary=b")["id"].(string)
}

// attached makes a session that has resources.
func attached(t *testing.T, srv *apptest.Server, resources ...any) *apptest.Session {
	t.Helper()
	env := srv.Must(t, http.MethodPost, "/v1/environments", map[string]any{"name": "box"})["id"]
	made := srv.Must(t, http.MethodPost, "/v1/sessions", map[string]any{
		"agent": srv.NewAgent(t, nil), "environment_id": env, "resources": resources,
	})
	return srv.Reopen(t, made["id"].(string))
}

// files lists the session's files as "name: content", newest first.
func files(t *testing.T, srv *apptest.Server, session string) []string {
	t.Helper()
	list := []string{}
	for _, f := range srv.Must(t, http.MethodGet, "/v1/files?scope_id="+session, nil)["data"].([]any) {
		f := f.(map[string]any)
		if scope := f["scope"].(map[string]any); scope["id"] != session || scope["type"] != "session" || f["downloadable"] != true {
			t.Errorf("file = %v", f)
		}
		content := srv.Do(t, http.MethodGet, "/v1/files/"+f["id"].(string)+"/content", nil)
		list = append(list, f["filename"].(string)+": "+string(content.Raw))
	}
	return list
}

func TestASandboxSeesAttachedFilesAndWhatItLeavesBecomesFiles(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTool("bash", `{"command":"cat /mnt/session/uploads/data/in.txt; echo changed > /mnt/session/uploads/data/in.txt; ls /mnt/session/uploads"}`),
		fake.CallTool("bash", `{"command":"mkdir -p /mnt/session/outputs/sub && tr a-z A-Z < /mnt/session/uploads/data/in.txt > /mnt/session/outputs/report.txt && ln -s /etc/passwd /mnt/session/outputs/link"}`),
		fake.Say("Done."),
		fake.CallTool("bash", `{"command":"cat /mnt/session/uploads/second.txt; ls /mnt/session/uploads"}`),
		fake.Say("Seen."),
		fake.CallTool("bash", `{"command":"ls -A /mnt/session/uploads; cat /mnt/session/outputs/report.txt"}`),
		fake.Say("Gone."),
	)
	id := upload(t, srv, "in.txt", "text/plain", "hello")
	sess := attached(t, srv, map[string]any{"type": "file", "file_id": id, "mount_path": "data/in.txt"})
	srv.Must(t, http.MethodDelete, "/v1/files/"+id, nil) // the session has its own
	sess.Send(t, "Shout.")
	results := apptest.Find(sess.UntilIdle(t), "agent.tool_result")
	if len(results) != 2 || !strings.HasPrefix(results[0].Say(), "hello") || !strings.Contains(results[0].Say(), "ead-only file system") {
		t.Fatalf("results = %v", results)
	}
	if d := cmp.Diff([]string{"report.txt: HELLO", "in.txt: hello"}, files(t, srv, sess.ID)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	// What is attached later appears in the same sandbox, and what is detached disappears.
	second := srv.Must(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/resources", map[string]any{
		"type": "file", "file_id": upload(t, srv, "x", "text/plain", "later\n"), "mount_path": "/second.txt",
	})
	sess.Send(t, "Look again.")
	results = apptest.Find(sess.UntilIdle(t), "agent.tool_result")
	if want := "later\ndata\nsecond.txt"; len(results) != 1 || !strings.Contains(results[0].Say(), want) {
		t.Errorf("results = %v", results)
	}
	for _, r := range sess.State(t)["resources"].([]any) {
		srv.Must(t, http.MethodDelete, "/v1/sessions/"+sess.ID+"/resources/"+r.(map[string]any)["id"].(string), nil)
	}
	if second["id"] == "" || len(sess.State(t)["resources"].([]any)) != 0 {
		t.Errorf("resources = %v", sess.State(t)["resources"])
	}
	sess.Send(t, "And now?")
	results = apptest.Find(sess.UntilIdle(t), "agent.tool_result")
	if len(results) != 1 || !strings.HasPrefix(strings.TrimSpace(results[0].Say()), "HELLO") {
		t.Errorf("results = %v", results)
	}
	if d := cmp.Diff([]string{"report.txt: HELLO"}, files(t, srv, sess.ID)); d != "" { // nothing twice
		t.Errorf("files (-want +got):\n%s", d)
	}
	// With the session everything goes.
	srv.Must(t, http.MethodDelete, "/v1/sessions/"+sess.ID, nil)
	if left := files(t, srv, sess.ID); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left, err := filepath.Glob(filepath.Join(srv.Data, "workspaces", "*", "*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestTheAgentIsToldWhatIsAttached(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("Hi."))
	sess := attached(t, srv,
		map[string]any{"type": "file", "file_id": upload(t, srv, "in.txt", "text/plain", "hello"), "mount_path": "data/in.txt"},
		map[string]any{"type": "github_repository", "url": "https://github.com/owner/name", "authorization_token": "ghp_secret"},
	)
	sess.Send(t, "Hello.")
	sess.UntilIdle(t)
	system := srv.Fake.Requests()[0].System
	for _, said := range []string{"- /mnt/session/uploads/data/in.txt", "- /workspace/name: https://github.com/owner/name", "/mnt/session/outputs"} {
		if !strings.Contains(system, said) {
			t.Errorf("%q is not in the system prompt: %s", said, system)
		}
	}
	// The token is in no row of the database and in no prompt.
	for _, name := range []string{"reeve.db", "reeve.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(srv.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "ghp_secret") {
			t.Errorf("%s holds the token", name)
		}
	}
	if strings.Contains(system, "ghp_secret") {
		t.Error("the prompt holds the token")
	}
}

func TestTheModelIsShownTheFilesThatBlocksName(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t, fake.Say("A note and a picture."), fake.Say("One is gone."))
	text, picture := upload(t, srv, "note.md", "text/markdown", "# Note"), upload(t, srv, "p.png", "image/png", "\x89PNG")
	sess := srv.NewSession(t)
	block := func(kind, id string) map[string]any {
		return map[string]any{"type": kind, "source": map[string]any{"type": "file", "file_id": id}}
	}
	sess.Post(t, map[string]any{"type": "user.message", "content": []any{block("document", text), block("image", picture)}})
	sess.UntilIdle(t)
	want := []core.Block{
		{Type: core.BlockDocument, Title: "note.md", Source: &core.Source{Type: "text", MediaType: "text/plain", Data: "# Note"}},
		{Type: core.BlockImage, Source: &core.Source{Type: "base64", MediaType: "image/png", Data: base64.StdEncoding.EncodeToString([]byte("\x89PNG"))}},
	}
	shown := func(request int) []core.Block {
		var got []core.Block
		for _, p := range srv.Fake.Requests()[request].Messages[0].Parts {
			got = append(got, *p.Block)
		}
		return got
	}
	if d := cmp.Diff(want, shown(0)); d != "" {
		t.Errorf("blocks (-want +got):\n%s", d)
	}
	// The log has their ids, as they were sent.
	content := sess.Log(t)[0].Data["content"].([]any)
	if got := content[0].(map[string]any)["source"]; !cmp.Equal(got, any(map[string]any{"type": "file", "file_id": text})) {
		t.Errorf("source = %v", got)
	}
	srv.Must(t, http.MethodDelete, "/v1/files/"+text, nil)
	sess.Send(t, "And now?")
	sess.UntilIdle(t)
	want[0] = core.Block{Type: core.BlockText, Text: "[The file " + text + " is not there any more.]"}
	if d := cmp.Diff(want, shown(1)); d != "" {
		t.Errorf("blocks (-want +got):\n%s", d)
	}
	for name, b := range map[string]map[string]any{
		"is not there any": block("document", text), "must be JPEG": block("image", upload(t, srv, "x.txt", "text/plain", "x")),
		"must be PDF or text": block("document", upload(t, srv, "x.zip", "application/zip", "x")),
	} {
		a := srv.Do(t, http.MethodPost, "/v1/sessions/"+sess.ID+"/events", map[string]any{"events": []any{map[string]any{"type": "user.message", "content": []any{b}}}})
		message, _ := a.Body["error"].(map[string]any)["message"].(string)
		if a.Status != http.StatusBadRequest || !strings.HasPrefix(message, "events[0].content[0].source.file_id: ") || name != "is not there any" && !strings.Contains(message, name) {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
	}
}
