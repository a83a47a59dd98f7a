package managed_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheDeprecatedUpdateMakesAVersion(t *testing.T) {
	t.Parallel()
	s := start(t)
	q := qoder(s)
	id := q.skill(t, part{"files", "x/SKILL.md", skillMD}, part{"files", "x/a/b.md", "b"})
	put := func(c client, fields map[string]string) answer {
		t.Helper()
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return c.do(t, "PUT", "/skills/"+id, string(body))
	}
	holds := func(want map[string]string) {
		t.Helper()
		_, raw := q.fetch(t, "/skills/"+id+"/versions/latest/content")
		if d := cmp.Diff(want, unzipped(t, raw)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	before := q.must(t, "GET", "/skills/"+id, "")["latest_version"]
	text := "---\nname: pdf\ndescription: Reads more.\n---\nDo it better.\n"
	a := put(q, map[string]string{"content": text})
	if a.status != 200 || a.header.Get("Deprecation") != "true" || a.body["id"] != id || a.body["latest_version"] == before {
		t.Errorf("a text = %d %s, %v", a.status, a.raw, a.header)
	}
	holds(map[string]string{"x/SKILL.md": text, "x/a/b.md": "b"})
	if got := q.must(t, "GET", "/skills/"+id+"/versions/latest", "")["description"]; got != "Reads more." {
		t.Errorf("description = %v", got)
	}
	put(q, map[string]string{"content": base64.StdEncoding.EncodeToString([]byte(skillMD)), "content_encoding": "base64"})
	holds(map[string]string{"x/SKILL.md": skillMD, "x/a/b.md": "b"})
	archive := zipped(t, "y/SKILL.md", skillMD, "y/c", "c")
	put(q, map[string]string{"content": base64.StdEncoding.EncodeToString([]byte(archive)), "content_encoding": "base64"})
	holds(map[string]string{"y/SKILL.md": skillMD, "y/c": "c"})

	blobs := s.blobs(t)
	for name, c := range map[string]struct {
		fields map[string]string
		field  string
	}{
		"no content":       {map[string]string{}, "content"},
		"no front matter":  {map[string]string{"content": "Do it."}, "content"},
		"not base64":       {map[string]string{"content": "%", "content_encoding": "base64"}, "content"},
		"unknown encoding": {map[string]string{"content": skillMD, "content_encoding": "hex"}, "content_encoding"},
		"a broken archive": {map[string]string{"content": base64.StdEncoding.EncodeToString([]byte(archive[:40])), "content_encoding": "base64"}, "content"},
	} {
		a := put(q, c.fields)
		if a.header.Get("Deprecation") != "true" {
			t.Errorf("%s: %v", name, a.header)
		}
		if message := q.refused(t, a, 400, "invalid_request_error"); len(message) < len(c.field) || message[:len(c.field)] != c.field {
			t.Errorf("%s: %q does not begin with %s", name, message, c.field)
		}
	}
	q.refused(t, put(q.as(s.member), map[string]string{"content": skillMD}), 403, "permission_error")
	q.refused(t, q.do(t, "PUT", "/skills/skill_0198c1d2000070008000000000000001", `{"content":"x"}`), 404, "not_found_error")
	claude(s).refused(t, put(claude(s), map[string]string{"content": skillMD}), 405, "invalid_request_error")
	if n := s.blobs(t); n != blobs || n != 4 {
		t.Errorf("%d blobs, want 4", n)
	}
}

func TestListsTakeTheOldSpellingsOfCursors(t *testing.T) {
	t.Parallel()
	s := start(t)
	q := qoder(s)
	for path, create := range map[string]func(){
		"/skills": func() { q.skill(t, part{"files", "SKILL.md", skillMD}) },
		"/files":  func() { q.upload(t, "f", "x") },
		"/vaults": func() { q.must(t, "POST", "/vaults", `{"display_name":"v"}`) },
	} {
		for range 3 {
			create()
		}
		all := ids(q.must(t, "GET", path, ""))
		if d := cmp.Diff(all[2:], ids(q.must(t, "GET", path+"?after="+all[1], ""))); d != "" {
			t.Errorf("%s after (-want +got):\n%s", path, d)
		}
		if d := cmp.Diff(all[:1], ids(q.must(t, "GET", path+"?before="+all[1], ""))); d != "" {
			t.Errorf("%s before (-want +got):\n%s", path, d)
		}
		q.refused(t, q.do(t, "GET", path+"?after="+all[1]+"&after_id="+all[1], ""), 400, "invalid_request_error")
		q.refused(t, q.do(t, "GET", path+"?before=x", ""), 400, "invalid_request_error")
		c := claude(s)
		if d := cmp.Diff(ids(c.must(t, "GET", path, "")), ids(c.must(t, "GET", path+"?after="+all[1], ""))); d != "" {
			t.Errorf("%s with the other dialect (-want +got):\n%s", path, d)
		}
	}
	agents := []string{q.agent(t, ""), q.agent(t, "")}
	if got := ids(q.must(t, "GET", "/agents?after="+agents[1], "")); len(got) != 2 {
		t.Errorf("agents = %q: that list never had the old spellings", got)
	}
}
