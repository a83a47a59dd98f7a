package skill_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/skill"
)

func TestUploadsArePackedIntoOneFolder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	md := about("pdf")
	for name, c := range map[string]struct {
		in     iter.Seq2[skill.Part, error]
		limits skill.Limits
		folder string
		want   map[string]string
	}{
		"files with a folder": {parts("My Skill/ref/a.md", "a", "My Skill/SKILL.md", md), skill.ClaudeLimits, "My Skill", map[string]string{"My Skill/SKILL.md": md, "My Skill/ref/a.md": "a"}},
		"files without":       {parts("SKILL.md", md, "./ref/a.md", "a"), skill.QoderLimits, "pdf", map[string]string{"pdf/SKILL.md": md, "pdf/ref/a.md": "a"}},
		"an archive with a folder": {archive(pack(t,
			entry{name: "x/", mode: fs.ModeDir | 0o755}, entry{name: "x/SKILL.md", content: md, mode: 0o644},
			entry{name: "x/bin/run", content: "#!", mode: 0o755})), skill.ClaudeLimits, "x", map[string]string{"x/SKILL.md": md, "x/bin/run*": "#!"}},
		"an archive without": {archive(zipped(t, "SKILL.md", md, "a/b/c.txt", "")), skill.ClaudeLimits, "pdf", map[string]string{"pdf/SKILL.md": md, "pdf/a/b/c.txt": ""}},
		"an archive of a desktop": {
			archive(zipped(t, "x/SKILL.md", md, "__MACOSX/x/._SKILL.md", "?", "x/.DS_Store", "?")), skill.ClaudeLimits, "x",
			map[string]string{"x/SKILL.md": md},
		},
		"a file that ends in .zip": {
			parts("x/SKILL.md", md, "x/data.zip", string(zipped(t, "../../evil", "x"))), skill.ClaudeLimits, "x",
			map[string]string{"x/SKILL.md": md, "x/data.zip": string(zipped(t, "../../evil", "x"))},
		},
	} {
		b := f.bundle(t, c.in, c.limits)
		if b.Name != "pdf" || b.Description != "Does things." || b.Directory != c.folder {
			t.Errorf("%s: bundle = %+v", name, b)
		}
		r, err := f.depot.Open(t.Context(), b.Blob)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, contents(t, r)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		var listed []string
		for _, file := range b.Files {
			path := c.folder + "/" + file.Path
			if file.Exec {
				path += "*"
			}
			listed = append(listed, path)
			if file.Bytes != int64(len(c.want[path])) {
				t.Errorf("%s: %s has %d bytes", name, path, file.Bytes)
			}
		}
		if d := cmp.Diff(sorted(c.want), listed); d != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, d)
		}
		f.Discard(t.Context(), f.admin, b)
	}
	if n := f.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	one := f.bundle(t, parts("s/SKILL.md", about("s"), "s/a", "1"), skill.ClaudeLimits)
	two := f.bundle(t, parts("s/a", "1", "s/SKILL.md", about("s")), skill.ClaudeLimits)
	three := f.bundle(t, archive(zipped(t, "s/a", "1", "s/SKILL.md", about("s"))), skill.ClaudeLimits)
	if one.SHA256 != two.SHA256 || one.SHA256 != three.SHA256 || one.Fingerprint() != two.Fingerprint() || one.Fingerprint() != three.Fingerprint() {
		t.Errorf("archives %s, %s, %s", one.SHA256, two.SHA256, three.SHA256)
	}
	if other := f.bundle(t, parts("s/SKILL.md", about("s"), "s/a", "2"), skill.ClaudeLimits); other.Fingerprint() == one.Fingerprint() {
		t.Error("other content has the same fingerprint")
	}
}

// hostile are archives that unpack to something else than files in a folder, or to too much.
func hostile(t *testing.T) map[string]struct {
	raw  []byte
	kind core.Kind
	says string
} {
	t.Helper()
	md := entry{name: "s/SKILL.md", content: about("s"), mode: 0o644}
	file := func(name string) []byte { return pack(t, md, entry{name: name, content: "x", mode: 0o644}) }
	mode := func(m fs.FileMode) []byte {
		return pack(t, md, entry{name: "s/odd", content: "/etc/passwd", mode: m})
	}
	many := make([]entry, 2001)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("s/%d", i), mode: 0o644}
	}
	damaged := zipped(t, "s/SKILL.md", about("s"), "s/a", strings.Repeat("a", 1000))
	damaged[bytes.Index(damaged, []byte("s/a"))+len("s/a")+2] ^= 0xff
	lying := zipped(t, "s/SKILL.md", about("s"), "s/zero", strings.Repeat("\x00", 8<<20))
	for i := range len(lying) - 28 { // the central directory: uncompressed sizes of a few bytes
		if bytes.Equal(lying[i:i+4], []byte("PK\x01\x02")) && bytes.HasPrefix(lying[i+46:], []byte("s/zero")) {
			binary.LittleEndian.PutUint32(lying[i+24:], 5)
		}
	}
	return map[string]struct {
		raw  []byte
		kind core.Kind
		says string
	}{
		"parent":               {file("s/../../etc/passwd"), core.Invalid, "s/../../etc/passwd: the path has the part .."},
		"parent at the start":  {file("../s/x"), core.Invalid, "../s/x: the path has the part .."},
		"absolute":             {file("/etc/passwd"), core.Invalid, "/etc/passwd: the path is absolute"},
		"drive":                {file("C:/x"), core.Invalid, "C:/x: the path is absolute"},
		"backslash":            {file(`s\..\..\x`), core.Invalid, "backslash"},
		"empty part":           {file("s//x"), core.Invalid, "s//x: the path has an empty part"},
		"dot":                  {file("s/./x"), core.Invalid, "s/./x: the path has the part ."},
		"control character":    {file("s/a\nb"), core.Invalid, "control character"},
		"not UTF-8":            {file("s/\xff"), core.Invalid, "not valid UTF-8"},
		"long path":            {file("s/" + strings.Repeat("x/", 600) + "x"), core.Invalid, "too long"},
		"long name":            {file("s/" + strings.Repeat("x", 256)), core.Invalid, "too long"},
		"symbolic link":        {mode(fs.ModeSymlink | 0o777), core.Invalid, "s/odd: is a link or a device"},
		"device":               {mode(fs.ModeDevice | 0o644), core.Invalid, "s/odd: is a link or a device"},
		"pipe":                 {mode(fs.ModeNamedPipe | 0o644), core.Invalid, "s/odd: is a link or a device"},
		"encrypted":            {pack(t, md, entry{name: "s/x", content: "x", mode: 0o644, encrypted: true}), core.Invalid, "s/x: is encrypted"},
		"twice":                {file("s/SKILL.md"), core.Invalid, "s/SKILL.md: comes twice"},
		"another case":         {file("s/skill.MD"), core.Invalid, "only in case"},
		"another folder":       {file("S/x"), core.Invalid, "only in case"},
		"another composition":  {pack(t, md, entry{name: "s/\u00e9", mode: 0o644}, entry{name: "s/e\u0301", mode: 0o644}), core.Invalid, "composed"},
		"a file as a folder":   {file("s/SKILL.md/x"), core.Invalid, "which is a file"},
		"a folder as a file":   {pack(t, md, entry{name: "s/d/x", mode: 0o644}, entry{name: "s/d", mode: 0o644}), core.Invalid, "s/d a folder"},
		"too many":             {pack(t, many...), core.Invalid, "2001 entries"},
		"a bomb":               {pack(t, md, entry{name: "s/zero", content: strings.Repeat("\x00", 2<<20), mode: 0o644}), core.Invalid, "s/zero: unpacks to more than 200 times"},
		"a bomb that lies":     {lying, core.Invalid, "s/zero: cannot be unpacked"},
		"damaged":              {damaged, core.Invalid, "s/a: cannot be unpacked"},
		"half of it":           {zipped(t, "s/SKILL.md", about("s"))[:60], core.Invalid, "skill.zip: is not a zip archive that can be read"},
		"empty":                {pack(t), core.Invalid, "there is no SKILL.md"},
		"without SKILL.md":     {zipped(t, "s/README.md", "x"), core.Invalid, "there is no SKILL.md"},
		"SKILL.md too deep":    {zipped(t, "s/t/SKILL.md", about("s")), core.Invalid, "there is no SKILL.md"},
		"a vast SKILL.md":      {pack(t, entry{name: "s/SKILL.md", content: about("s") + noise(1<<20), mode: 0o644}), core.Invalid, "SKILL.md: is larger than 1048576 bytes"},
		"two folders":          {zipped(t, "s/SKILL.md", about("s"), "t/x", "x"), core.Invalid, "t/x: does not lie in the folder s"},
		"a file beside folder": {zipped(t, "s/SKILL.md", about("s"), "x", "x"), core.Invalid, "x: must lie in a folder"},
	}
}

// noise is text that does not shrink much.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = "0123456789abcdef"[x>>28]
	}
	return string(b)
}

func TestHostileArchivesAreRefusedByName(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			_, err := f.Pack(t.Context(), f.admin, archive(c.raw), skill.ClaudeLimits)
			wantError(t, err, c.kind, c.says)
		})
	}
	if n := f.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestTheWholeMayNotBeTooLarge(t *testing.T) {
	t.Parallel()
	f := setup(t)
	chunk := strings.Repeat(noise(8<<10), 13<<7) // 13 MB
	_, err := f.Pack(t.Context(), f.admin, parts("s/SKILL.md", about("s"), "s/1", chunk, "s/2", chunk, "s/3", chunk, "s/4", chunk), skill.ClaudeLimits)
	wantError(t, err, core.TooLarge, "larger than 50 MB together")
	_, err = f.Pack(t.Context(), f.admin, archive(zipped(t, "s/SKILL.md", about("s"), "s/1", chunk, "s/2", chunk, "s/3", chunk, "s/4", chunk)), skill.ClaudeLimits)
	wantError(t, err, core.TooLarge, "larger than 50 MB together") // although it comes in less
	b := f.bundle(t, archive(zipped(t, "s/SKILL.md", about("s"), "s/1", chunk, "s/2", chunk, "s/3", chunk)), skill.ClaudeLimits)
	f.Discard(t.Context(), f.admin, b)
	if n := f.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	cut := errors.New("cut")
	for name, in := range map[string]iter.Seq2[skill.Part, error]{
		"between files": func(yield func(skill.Part, error) bool) {
			_ = yield(skill.Part{Name: "s/SKILL.md", Body: strings.NewReader(about("s"))}, nil) && yield(skill.Part{}, cut)
		},
		"in a file": func(yield func(skill.Part, error) bool) {
			yield(skill.Part{Name: "s/SKILL.md", Body: io.MultiReader(strings.NewReader("---"), iotest.ErrReader(cut))}, nil)
		},
	} {
		if _, err := f.Pack(t.Context(), f.admin, in, skill.ClaudeLimits); !errors.Is(err, cut) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := f.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	_, err := f.Pack(t.Context(), f.as(core.RoleMember), parts("s/SKILL.md", about("s")), skill.ClaudeLimits)
	wantError(t, err, core.Forbidden, "admin")
}

func TestFrontMatter(t *testing.T) {
	t.Parallel()
	f := setup(t)
	plain, newer, qoder := skill.ClaudeLimits, skill.ClaudeNewLimits, skill.QoderLimits
	type row struct {
		name, text string
		limits     skill.Limits
		says       string // "": it is good
		want       string // then the name
	}
	front := func(yaml string) string { return "---\n" + yaml + "\n---\n" }
	rows := []row{
		{"more members", front("name: a\ndescription: |\n  two\n  lines\nlicense: MIT\nmetadata: {x: [1]}"), plain, "", "a"},
		{"byte order mark and CRLF", "\uFEFF---\r\nname: a\r\ndescription: b\r\n---\r\n", plain, "", "a"},
		{"no line behind the end", "---\nname: a\ndescription: b\n---", plain, "", "a"},
		{"a name in quotes", front("name: \"a-1\"\ndescription: 'b: c'"), plain, "", "a-1"},
		{"a name that is a number", front("name: 123\ndescription: b"), plain, "", "123"},
		{"64 characters", front("name: " + strings.Repeat("a", 64) + "\ndescription: " + strings.Repeat("é", 1024)), plain, "", strings.Repeat("a", 64)},
		{"underscores", front("name: a_b\ndescription: b"), qoder, "", "a_b"},
		{"a comparison is no tag", front("name: a\ndescription: if x < 3 and y > 4"), plain, "", "a"},
		{"the folder's name", front("description: b"), newer, "", "folder"},
		{"tags with Qoder", front("name: a\ndescription: <b>x</b>"), qoder, "", "a"},
		{"underscores with Claude", front("name: a_b\ndescription: b"), plain, "must be 1 to 64 characters", ""},
		{"no name", front("description: b"), plain, "must have a name", ""},
		{"capitals", front("name: Pdf\ndescription: b"), plain, "must be 1 to 64 characters", ""},
		{"65 characters", front("name: " + strings.Repeat("a", 65) + "\ndescription: b"), plain, "must be 1 to 64 characters", ""},
		{"a name that is a path", front("name: ../a\ndescription: b"), plain, "must be 1 to 64 characters", ""},
		{"a name that is a list", front("name: [a]\ndescription: b"), plain, "not valid YAML", ""},
		{"a blank description", front("name: a\ndescription: '  '"), plain, "must have a description", ""},
		{"1025 characters", front("name: a\ndescription: " + strings.Repeat("é", 1025)), plain, "1025 characters", ""},
		{"a tag", front("name: a\ndescription: 'x <system>y'"), plain, "XML tags", ""},
		{"a control character", front("name: a\ndescription: \"a\\eb\""), plain, "control character", ""},
		{"no front matter", "# Skill", plain, "must begin with front matter", ""},
		{"an empty line first", "\n---\nname: a\n---", plain, "must begin with front matter", ""},
		{"no end", "---\nname: a\ndescription: b\n", plain, "has no end", ""},
		{"empty", front(""), plain, "must have a name", ""},
		{"no YAML", front("name: [a"), plain, "not valid YAML", ""},
		{"a text", front("just text"), plain, "not valid YAML", ""},
		{"vast", front("name: a\ndescription: b\nx: " + strings.Repeat("y", 16<<10)), plain, "larger than 16384 bytes", ""},
		{"not UTF-8", "---\nname: \xff\n---\n", plain, "is not text", ""},
		{"NUL", "---\nname: a\ndescription: b\n---\n\x00", plain, "is not text", ""},
		{"laughs", front(laughs()), plain, "must have a description", ""},
		{"deep brackets", front("name: a\nx: " + strings.Repeat("[", 10_000)), plain, "nests deeper", ""},
		{"deep items", front("name: a\nx:\n  " + strings.Repeat("- ", 5_000) + "y"), plain, "nests deeper", ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b, err := f.Pack(t.Context(), f.admin, parts("folder/SKILL.md", r.text), r.limits)
			if r.says != "" {
				wantError(t, err, core.Invalid, r.says)
				return
			}
			if err != nil || b.Name != r.want {
				t.Errorf("bundle = %+v, %v, want the name %q", b, err, r.want)
			}
		})
	}
}

// laughs is YAML that would unfold to a billion words.
func laughs() string {
	lines := []string{"name: a", "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"}
	for i := range 9 {
		lines = append(lines, fmt.Sprintf("x%d: &x%d [%s]", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i), 10), ", ")))
	}
	return strings.Join(lines, "\n")
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("---\nname: a\ndescription: b\n---\n"))
	f.Add([]byte("---\nname: &a [*a]\n? {x: y}\n---\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := setup(t)
		b, err := s.Pack(t.Context(), s.admin, parts("s/SKILL.md", string(raw)), skill.QoderLimits)
		if kind := core.KindOf(err); err != nil && kind != core.Invalid && kind != core.TooLarge {
			t.Fatal(err)
		}
		if err == nil && (b.Name == "" || b.Description == "") {
			t.Fatalf("bundle = %+v", b)
		}
	})
}
