package session

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestPathsLieBelowTheirRoots(t *testing.T) {
	t.Parallel()
	upload := func(given string) (string, error) { return uploadPath("f", given, "0123") }
	repository := func(given string) (string, error) { return repositoryPath("f", given, "name") }
	for _, row := range []struct {
		name  string
		of    func(string) (string, error)
		given string
		want  string // empty: refused
	}{
		{"default", upload, "", "/mnt/session/uploads/file_0123"},
		{"relative", upload, "a/b.txt", "/mnt/session/uploads/a/b.txt"},
		{"absolute", upload, "/data/b.txt", "/mnt/session/uploads/data/b.txt"},
		{"there already", upload, "/mnt/session/uploads/b.txt", "/mnt/session/uploads/b.txt"},
		{"a neighbour's name", upload, "/mnt/session/uploads2/b", "/mnt/session/uploads/mnt/session/uploads2/b"},
		{"untidy", upload, "//a/./b/", "/mnt/session/uploads/a/b"},
		{"the root", upload, "/mnt/session/uploads/", ""},
		{"nothing", upload, "/", ""},
		{"up", upload, "a/../../b", ""},
		{"up inside the root", upload, "/mnt/session/uploads/../b", ""},
		{"a line end", upload, "a\nb", ""},
		{"no UTF-8", upload, "a\xff", ""},
		{"a long name", upload, strings.Repeat("x", 256), ""},
		{"a long path", upload, strings.Repeat("x/", 300), ""},
		{"repository", repository, "", "/workspace/name"},
		{"repository, relative", repository, "src/x", "/workspace/src/x"},
		{"repository, absolute", repository, "/workspace/x", "/workspace/x"},
		{"repository in the root", repository, "/workspace", ""},
		{"repository elsewhere", repository, "/etc/x", ""},
		{"repository beside", repository, "/workspace2/x", ""},
	} {
		got, err := row.of(row.given)
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%s: %q, %v", row.name, got, err)
		}
		if err != nil && core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestURLsOfRepositoriesAreHTTPSAndPlain(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://github.com/owner/name":            "name",
		"https://git.example.com:8443/group/sub/r": "r",
		"http://github.com/owner/name":             "",
		"ext::sh -c id":                            "",
		"file:///etc":                              "",
		"https://github.com/name":                  "",
		"https://github.com/owner/name/":           "",
		"https://github.com/owner/..":              "",
		"https://github.com/owner/n%2f..":          "",
		"https://github.com/owner/name?x=1":        "",
		"https://github.com/owner/name#x":          "",
		"https://u@github.com/owner/name":          "",
		"https:///owner/name":                      "",
		"--upload-pack=x":                          "",
	} {
		if got, err := checkURL("url", raw); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

func TestNamesOfBranches(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"main": true, "feature/a-b_c.d": true, "v1.2#3": true,
		"": false, "-x": false, "a..b": false, "a b": false, "a~1": false, "a.lock": false, "a/": false, "a//b": false, "a/.b": false, "a@{1}": false, "a\nb": false, "a:b": false,
	} {
		if err := checkBranch("name", name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTheFolderOfAMemoryStoreFollowsItsName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Team notes!": "team-notes", "  A -- B  ": "a-b", "café": "caf", "日本": "id", strings.Repeat("x", 99): strings.Repeat("x", 64),
	} {
		if got := slug(core.MemoryStore{ID: "id", Name: name}); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestResourcesHaveLimits(t *testing.T) {
	t.Parallel()
	many := func(n int, r core.Resource) []core.Resource {
		list := make([]core.Resource, n)
		for i := range list {
			list[i] = r
			list[i].Source, list[i].Store = core.NewID[core.FileID](), core.NewID[core.MemoryStoreID]()
			if r.Type == core.ResourceRepository {
				list[i].MountPath = core.NewID[string]()
			}
		}
		return list
	}
	for _, row := range []struct {
		kind core.Resource
		most int
	}{
		{core.Resource{Type: core.ResourceFile}, MaxFiles},
		{core.Resource{Type: core.ResourceMemoryStore}, MaxMemoryStores},
		{core.Resource{Type: core.ResourceRepository, URL: "https://github.com/o/r"}, MaxRepositories},
	} {
		if _, err := planned("resources", many(row.most, row.kind), false); err != nil {
			t.Errorf("%d of %s: %v", row.most, row.kind.Type, err)
		}
		if _, err := planned("resources", many(row.most+1, row.kind), false); core.KindOf(err) != core.Invalid {
			t.Errorf("%d of %s: %v", row.most+1, row.kind.Type, err)
		}
	}
	plan := []attaching{{field: "resources[0]", file: core.File{Blob: core.Blob{Bytes: MaxFileBytes}}}, {field: "resources[1]", file: core.File{Blob: core.Blob{Bytes: 1}}}}
	if err := checkSize(plan, 0); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "resources[1].file_id") {
		t.Errorf("too many bytes: %v", err)
	}
	if err := checkSize(plan[:1], 0); err != nil {
		t.Errorf("as many bytes as can be: %v", err)
	}
}

func TestAtMostAHundredDocumentsComeFromFiles(t *testing.T) {
	t.Parallel()
	in := func(n int) []Input {
		m := core.Message{}
		for range n {
			m.Content = append(m.Content, core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "file", File: "f"}})
		}
		return []Input{{Message: &m}}
	}
	if err := checkFileDocuments(in(100)); err != nil {
		t.Error(err)
	}
	if err := checkFileDocuments(in(101)); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "initial_events[0].content[100].source.file_id") {
		t.Errorf("101 documents: %v", err)
	}
}
