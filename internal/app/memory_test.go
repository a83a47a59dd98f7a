package app_test

import (
	"archive/zip"
	"bytes"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// remembering makes a session with a memory store attached, and watches it.
func remembering(t *testing.T, srv *apptest.Server, agent, access string) (sess *apptest.Session, store string) {
	t.Helper()
	store = srv.Must(t, "POST", "/v1/memory_stores", map[string]any{"name": "Team Notes!", "description": "What we agreed on."})["id"].(string)
	srv.Must(t, "POST", "/v1/memory_stores/"+store+"/memories", map[string]any{"path": "/style.md", "content": "be kind\n"})
	env := srv.Must(t, "POST", "/v1/environments", map[string]any{"name": "box"})["id"]
	made := srv.Must(t, "POST", "/v1/sessions", map[string]any{
		"agent": agent, "environment_id": env,
		"resources": []any{map[string]any{"type": "memory_store", "memory_store_id": store, "access": access, "instructions": "Look here first."}},
	})
	return srv.Reopen(t, made["id"].(string)), store
}

// memories are the contents of a store by path.
func memories(t *testing.T, srv *apptest.Server, store string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, m := range srv.Must(t, "GET", "/v1/memory_stores/"+store+"/memories?view=full", nil)["data"].([]any) {
		got[m.(map[string]any)["path"].(string)] = m.(map[string]any)["content"].(string)
	}
	return got
}

func said(events []apptest.Event) []string {
	var list []string
	for _, e := range apptest.Find(events, "agent.tool_result") {
		list = append(list, e.Say())
	}
	return list
}

func TestAnAgentReadsAndWritesMemories(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTool("bash", `{"command":"cat /mnt/memory/team-notes/style.md && echo 'be brief' >>/mnt/memory/team-notes/style.md && mkdir /mnt/memory/team-notes/new"}`),
		fake.CallTool("write", `{"file_path":"/mnt/memory/team-notes/new/plan.md","content":"first this\n"}`),
		fake.Say("Noted."),
		fake.CallTool("grep", `{"pattern":"be","path":"/mnt/memory"}`), fake.Say("Found."),
	)
	sess, store := remembering(t, srv, srv.NewAgent(t, nil), "read_write")
	sess.Send(t, "Remember this.")
	if diff := cmp.Diff("be kind\n", said(sess.UntilIdle(t))[0]); diff != "" {
		t.Errorf("bash (-want +got):\n%s", diff)
	}
	// The store has it as soon as the session is idle for its clients.
	want := map[string]string{"/style.md": "be kind\nbe brief\n", "/new/plan.md": "first this\n"}
	if diff := cmp.Diff(want, memories(t, srv, store)); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
	got := map[string]any{}
	for _, v := range srv.Must(t, "GET", "/v1/memory_stores/"+store+"/memory_versions?session_id="+sess.ID, nil)["data"].([]any) {
		v := v.(map[string]any)
		got[v["operation"].(string)+" "+v["path"].(string)] = v["created_by"]
	}
	actor := map[string]any{"type": "session_actor", "session_id": sess.ID}
	if diff := cmp.Diff(map[string]any{"modified /style.md": actor, "created /new/plan.md": actor}, got); diff != "" {
		t.Errorf("versions of the session (-want +got):\n%s", diff)
	}
	system := srv.Fake.Requests()[0].System
	for _, part := range []string{"Be brief.", "`/mnt/memory/team-notes`: Team Notes! (read and write)", "What we agreed on.", "Instructions: Look here first."} {
		if !strings.Contains(system, part) {
			t.Errorf("the system prompt lacks %q:\n%s", part, system)
		}
	}
	// What others write is there in the next turn.
	srv.Must(t, "POST", "/v1/memory_stores/"+store+"/memories", map[string]any{"path": "/late.md", "content": "be quick\n"})
	sess.Send(t, "And now?")
	if diff := cmp.Diff([]string{"/mnt/memory/team-notes/late.md:1:be quick\n/mnt/memory/team-notes/style.md:1:be kind\n/mnt/memory/team-notes/style.md:2:be brief"}, said(sess.UntilIdle(t))); diff != "" {
		t.Errorf("grep (-want +got):\n%s", diff)
	}
}

func TestAReadOnlyStoreCannotBeWrittenByItsAgent(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTool("bash", `{"command":"cd /mnt/memory/team-notes && cat style.md; echo x >>style.md || echo refused; touch new 2>/dev/null || echo refused"}`),
		fake.CallTool("write", `{"file_path":"/mnt/memory/team-notes/new.md","content":"x"}`),
		fake.Say("I cannot."))
	sess, store := remembering(t, srv, srv.NewAgent(t, nil), "read_only")
	sess.Send(t, "Write.")
	got := said(sess.UntilIdle(t))
	if len(got) != 2 || !strings.HasPrefix(got[0], "be kind\n") || strings.Count(got[0], "refused") != 2 || !strings.Contains(got[1], "permission denied") {
		t.Errorf("results = %q", got)
	}
	if diff := cmp.Diff(map[string]string{"/style.md": "be kind\n"}, memories(t, srv, store)); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
}

// uploadSkill makes a skill of one archive.
func uploadSkill(t *testing.T, srv *apptest.Server) string {
	t.Helper()
	var archive, body bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, text := range map[string]string{
		"counting/SKILL.md": "---\nname: counting\ndescription: Counts what is there.\n---\nRun scripts/count.sh.\n", "counting/scripts/count.sh": "#!/bin/sh\necho counted \"$@\"\n",
	} {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("files", "counting.zip")
	if err == nil {
		_, err = part.Write(archive.Bytes())
	}
	if err != nil || form.Close() != nil {
		t.Fatal(err)
	}
	return srv.Must(t, "POST", "/v1/skills", body.Bytes(), "Content-Type", form.FormDataContentType())["id"].(string)
}

func TestAnAgentReadsItsSkills(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t,
		fake.CallTool("read", `{"file_path":"/mnt/skills/counting/SKILL.md"}`),
		fake.CallTool("bash", `{"command":"/mnt/skills/counting/scripts/count.sh me; touch /mnt/skills/counting/new 2>/dev/null || echo refused"}`),
		fake.Say("Done."))
	skill := uploadSkill(t, srv)
	sess := srv.NewSessionOf(t, srv.NewAgent(t, func(a map[string]any) {
		a["skills"] = []any{map[string]any{"type": "custom", "skill_id": skill}}
	}))
	sess.Send(t, "Count.")
	got := said(sess.UntilIdle(t))
	if len(got) != 2 || !strings.Contains(got[0], "Run scripts/count.sh.") || got[1] != "counted me\nrefused\n" {
		t.Errorf("results = %q", got)
	}
	if system := srv.Fake.Requests()[0].System; !strings.Contains(system, "- counting (`/mnt/skills/counting/SKILL.md`): Counts what is there.") || strings.Contains(system, "count.sh") {
		t.Errorf("the system prompt is\n%s", system)
	}
}

func TestASessionNeedsTheSkillsOfItsAgent(t *testing.T) {
	t.Parallel()
	srv := apptest.Start(t)
	env := srv.Must(t, "POST", "/v1/environments", map[string]any{"name": "box"})["id"]
	gone := uploadSkill(t, srv)
	with := func(skills ...any) string {
		return srv.NewAgent(t, func(a map[string]any) { a["skills"] = skills })
	}
	deleted := with(map[string]any{"type": "custom", "skill_id": gone})
	srv.Must(t, "DELETE", "/v1/skills/"+gone, nil)
	there := map[string]any{"type": "custom", "skill_id": uploadSkill(t, srv)}
	for name, c := range map[string]struct{ agent, field, message string }{
		"a vendor's own": {with(there, map[string]any{"type": "anthropic", "skill_id": "pdf"}), "agent.skills[1]", "pdf"},
		"a deleted one":  {deleted, "agent.skills[0]", "was not found"},
	} {
		a := srv.Do(t, "POST", "/v1/sessions", map[string]any{"agent": c.agent, "environment_id": env})
		fault, _ := a.Body["error"].(map[string]any)
		message, _ := fault["message"].(string)
		if a.Status != 400 || fault["type"] != "invalid_request_error" || !strings.Contains(message, c.field) || !strings.Contains(message, c.message) {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
	}
	// The newest version is meant where a session's own list names none.
	made := srv.Must(t, "POST", "/v1/sessions", map[string]any{
		"environment_id": env, "agent": map[string]any{"type": "agent_with_overrides", "id": srv.NewAgent(t, nil), "skills": []any{there}},
	})
	kept := made["agent"].(map[string]any)["skills"].([]any)[0].(map[string]any)
	if version, _ := kept["version"].(string); version == "" || strings.Trim(version, "0123456789") != "" {
		t.Errorf("the session's skill = %v", kept)
	}
}
