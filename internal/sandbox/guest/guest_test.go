package guest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFramesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	want := Request{ID: 7, Op: OpWrite, Path: "a\x00b", Limit: -1, Restart: true}
	if err := WriteFrame(&buf, want, []byte("body\x00")); err != nil {
		t.Fatal(err)
	}
	if err := WriteFrame(&buf, Reply{ID: 8}, nil); err != nil {
		t.Fatal(err)
	}
	five := func() int { return 5 }
	var got Request
	body, err := ReadFrame(&buf, &got, five)
	if d := cmp.Diff(want, got); err != nil || d != "" || string(body) != "body\x00" {
		t.Errorf("body %q, %v, diff %s", body, err, d)
	}
	var reply Reply
	if body, err := ReadFrame(&buf, &reply, five); err != nil || reply.ID != 8 || len(body) != 0 {
		t.Errorf("second frame = %+v, %q, %v", reply, body, err)
	}
	if _, err := ReadFrame(&buf, &reply, five); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string]string{
		"huge header": "\xff\xff\xff\xff\x00\x00\x00\x00",
		"huge body":   "\x00\x00\x00\x02\x00\x00\x00\x06{}123456",
		"cut header":  "\x00\x00\x00\x08\x00\x00\x00\x00{}",
		"cut lengths": "\x00\x00\x00",
		"no JSON":     "\x00\x00\x00\x02\x00\x00\x00\x00xx",
	} {
		var r Reply
		if _, err := ReadFrame(strings.NewReader(frame), &r, func() int { return 5 }); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want an error that is not a clean end", name, err)
		}
	}
	if err := WriteFrame(io.Discard, Reply{Lines: []string{strings.Repeat("x", maxHeader)}}, nil); !errors.Is(err, errHeaderTooLarge) {
		t.Errorf("a header that is too large: %v", err)
	}
}

func TestPathsAreTranslatedBothWays(t *testing.T) {
	t.Parallel()
	f := files{folder: "/srv/one", temp: "/var/t"}
	for in, want := range map[string]string{
		"a": "/srv/one/a", "/workspace": "/srv/one", "/workspace/": "/srv/one", "/workspace/a/../b": "/srv/one/b", ".": "/srv/one",
		"../etc/passwd": "/etc/passwd", "/workspace/../../x": "/x", "/workspacex": "/workspacex", "/tmp/x": "/var/t/x", "/tmpx": "/tmpx", "/usr": "/usr",
	} {
		if got, err := f.real(in); err != nil || got != want {
			t.Errorf("real(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{"/srv/one/a": "/workspace/a", "/srv/one": "/workspace", "/srv/onex": "/srv/onex", "/var/t/x": "/tmp/x"} {
		if got := f.seen(in); got != want {
			t.Errorf("seen(%q) = %q, want %q", in, got, want)
		}
	}
	same := files{folder: "/workspace", temp: "/tmp"}
	if got, err := same.real("/tmp/x"); err != nil || got != "/tmp/x" {
		t.Errorf("real in a view of its own = %q, %v", got, err)
	}
}

func TestCommandsAreQuotedWhole(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "'": `''\'''`, "$x `y` \\": "'$x `y` \\'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// kill(-1) in the wrong place would end every process of the machine.
func TestKillModesAreCheckedBeforeUse(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Kill: KillNamespace}, {Kill: KillUser, UID: os.Getuid() + 1}, {Kill: KillUser, UID: 0}, {Kill: "all"}, {},
	} {
		if _, err := newKiller(c); err == nil {
			t.Errorf("kill mode %q with uid %d is accepted in a test", c.Kill, c.UID)
		}
	}
}

func TestDescendantsAreFoundBelowTheirAncestorOnly(t *testing.T) {
	t.Parallel()
	if parent, ok := parentOf(os.Getpid()); !ok || parent != os.Getppid() {
		t.Errorf("parentOf(self) = %d, %t, want %d", parent, ok, os.Getppid())
	}
	if got := descendants(1 << 30); got != nil {
		t.Errorf("descendants of nobody = %v", got)
	}
}

func TestAFailedReplaceLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replace(filepath.Join(dir, "taken"), []byte("x"), 0o644); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLinesAreShortenedBetweenCharacters(t *testing.T) {
	t.Parallel()
	if got := string(shorten([]byte("short"))); got != "short" {
		t.Errorf("shorten = %q", got)
	}
	got := string(shorten([]byte("x" + strings.Repeat("é", 600))))
	if want := "x" + strings.Repeat("é", 499) + "… (202 more bytes)"; got != want {
		t.Errorf("shorten = %q, want %q", got, want)
	}
}
