package managed_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
)

func TestRecordedExchangesOfSkills(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"skill_claude", "skill_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign,
			})
		})
	}
}

const skillMD = "---\nname: pdf\ndescription: Reads PDF.\n---\nDo it.\n"

// zipped packs files by name and content.
func zipped(t *testing.T, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		out, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(out, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unzipped(t *testing.T, raw string) map[string]string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader([]byte(raw)), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		_ = in.Close()
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	return files
}

// skill makes a skill and returns its id.
func (c client) skill(t *testing.T, parts ...part) string {
	t.Helper()
	a := c.post(t, "/skills", parts)
	if a.status/100 != 2 {
		t.Fatalf("create answered %d: %s", a.status, a.raw)
	}
	return a.body["id"].(string)
}

func TestSkillsComeBackAsOneArchive(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := map[string]string{"x/SKILL.md": skillMD, "x/a/b.md": "b"}
	archive := zipped(t, "x/SKILL.md", skillMD, "x/a/b.md", "b")
	for name, upload := range map[string][]part{
		"loose":     {{"files[]", "x/a/b.md", "b"}, {"files[]", "x/SKILL.md", skillMD}},
		"plain":     {{"files", "x/a/b.md", "b"}, {"files", "x/SKILL.md", skillMD}},
		"zipped":    {{"files[]", "skill.zip", archive}},
		"no name":   {{"files[]", "", archive}},
		"with more": {{"display_title", "", "PDF"}, {"files[]", "skill.zip", archive}},
	} {
		for _, c := range []client{claude(s), qoder(s)} {
			id := c.skill(t, upload...)
			res, raw := c.fetch(t, "/skills/"+id+"/versions/latest/content")
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/zip" || res.Header.Get("Content-Disposition") != "attachment; filename=pdf.zip" {
				t.Errorf("%s %s: %d %v", c.base, name, res.StatusCode, res.Header)
			}
			if d := cmp.Diff(want, unzipped(t, raw)); d != "" {
				t.Errorf("%s %s (-want +got):\n%s", c.base, name, d)
			}
		}
	}
	q := qoder(s)
	a := q.post(t, "/skills", []part{{"name", "", "ignored"}, {"type", "", "ignored"}, {"file", "skill.zip", archive}})
	if a.status != 201 || a.header.Get("Deprecation") != "true" {
		t.Errorf("the older form = %d %s, %v", a.status, a.raw, a.header)
	}
}

func TestRefusedSkillsLeaveNoBytes(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	for _, parts := range [][]part{
		{{"files[]", "skill.zip", zipped(t, "x/SKILL.md", skillMD, "x/../../evil", "x")}},
		{{"files[]", "x/SKILL.md", skillMD}, {"file", "x/y", "x"}},
		{{"files[]", "x/SKILL.md", skillMD}, {"display_name", "", "a\nb"}},
		{{"display_name", "", "no files"}},
	} {
		c.refused(t, c.post(t, "/skills", parts), 400, "invalid_request_error")
	}
	good := []part{{"files[]", "x/SKILL.md", skillMD}}
	c.refused(t, c.post(t, "/skills/skill_0198c1d2000070008000000000000001/versions", good), 404, "not_found_error")
	c.refused(t, c.post(t, "/skills/x/versions", good), 404, "not_found_error")
	c.refused(t, c.as(s.member).post(t, "/skills", good), 403, "permission_error")
	if n := s.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestSkillsAndTheirVersionsArePaged(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		var made, versions []string
		for range 4 {
			made = append([]string{c.skill(t, part{"files", "x/SKILL.md", skillMD})}, made...)
		}
		got, pages := walk(t, c, "/skills?limit=3", func() { c.skill(t, part{"files", "x/SKILL.md", skillMD}) })
		if d := cmp.Diff(made, got); d != "" || pages != 2 {
			t.Errorf("%s: %d pages, skills (-want +got):\n%s", c.base, pages, d)
		}
		path := "/skills/" + made[0] + "/versions"
		versions = ids(c.must(t, "GET", path, ""))
		add := func() string {
			return c.post(t, path, []part{{"files", "x/SKILL.md", skillMD}}).body["id"].(string)
		}
		for range 4 {
			versions = append([]string{add()}, versions...)
		}
		got, pages = walk(t, c, path+"?limit=2", func() { add() })
		if d := cmp.Diff(versions, got); d != "" || pages != 3 {
			t.Errorf("%s: %d pages, versions (-want +got):\n%s", c.base, pages, d)
		}
	}
	s := start(t)
	q := qoder(s)
	id := q.skill(t, part{"files", "SKILL.md", skillMD})
	path := "/skills/" + id + "/versions"
	for range 3 {
		q.post(t, path, []part{{"files", "SKILL.md", skillMD}})
	}
	all := ids(q.must(t, "GET", path, ""))
	if d := cmp.Diff(all[1:3], ids(q.must(t, "GET", path+"?limit=2&before_id="+all[3], ""))); d != "" {
		t.Errorf("back (-want +got):\n%s", d)
	}
	number := q.must(t, "GET", path+"/"+all[1], "")["version"].(string)
	if d := cmp.Diff(all[2:], ids(q.must(t, "GET", path+"?after_id="+number, ""))); d != "" {
		t.Errorf("after a number (-want +got):\n%s", d)
	}
}

// TestAVersionIsMadeOnce: the same upload under one Idempotency-Key, packed in another way.
func TestAVersionIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	q := qoder(s)
	path := "/skills/" + q.skill(t, part{"files", "SKILL.md", skillMD}) + "/versions"
	first := q.post(t, path, []part{{"files", "x/a", "1"}, {"files", "x/SKILL.md", skillMD}}, "Idempotency-Key", "k")
	again := q.post(t, path, []part{{"files", "skill.zip", zipped(t, "x/SKILL.md", skillMD, "x/a", "1")}}, "Idempotency-Key", "k")
	if first.status != 201 || again.raw != first.raw || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first = %d %s, again = %d %s", first.status, first.raw, again.status, again.raw)
	}
	q.refused(t, q.post(t, path, []part{{"files", "x/SKILL.md", skillMD}}, "Idempotency-Key", "k"), 409, "conflict_error")
	if n := len(ids(q.must(t, "GET", path, ""))); n != 2 || s.blobs(t) != 2 {
		t.Errorf("%d versions, %d blobs, want 2 of each", n, s.blobs(t))
	}
}
