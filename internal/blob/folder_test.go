package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/blob"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored lists the files below a folder.
func stored(t *testing.T, root string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

func folder(t *testing.T) (*blob.Folder, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "blobs")
	f, err := blob.OpenFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	return f, root
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	f, root := folder(t)
	for _, size := range []int{0, 1, 100_000} {
		content := bytes.Repeat([]byte("x"), size)
		key := core.NewID[core.BlobKey]()
		b, err := f.Write(t.Context(), key, iotest.OneByteReader(bytes.NewReader(content)), int64(size))
		if want := (core.Blob{Key: key, Bytes: int64(size), SHA256: hash(content)}); err != nil || b != want {
			t.Fatalf("Write = %+v, %v, want %+v", b, err, want)
		}
		r, err := f.Open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Delete(t.Context(), key); err != nil { // who has it open reads on
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		_, err = f.Open(t.Context(), key)
		if core.CodeOf(err) != "blob_not_found" {
			t.Errorf("Open after Delete: %v", err)
		}
		if err := f.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete again: %v", err)
		}
	}
	if left := stored(t, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAWriteThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	f, root := folder(t)
	broken := errors.New("the line was cut")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		r    io.Reader
		want func(error) bool
	}{
		"larger than its limit": {t.Context(), strings.NewReader("12345"), func(err error) bool {
			return core.KindOf(err) == core.TooLarge && core.CodeOf(err) == "blob_too_large"
		}},
		"a broken reader": {t.Context(), io.MultiReader(strings.NewReader("123"), iotest.ErrReader(broken)), func(err error) bool { return errors.Is(err, broken) }},
		"a reader that says why": {t.Context(), iotest.ErrReader(core.InvalidField("f", "no")), func(err error) bool {
			return core.KindOf(err) == core.Invalid
		}},
		"a caller that is gone": {ended, strings.NewReader("1"), func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		key := core.NewID[core.BlobKey]()
		if _, err := f.Write(c.ctx, key, c.r, 4); !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Open(t.Context(), key); core.KindOf(err) != core.NotFound {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
	if left := stored(t, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNoKeyLeadsOutside(t *testing.T) {
	t.Parallel()
	f, root := folder(t)
	outside := filepath.Join(filepath.Dir(root), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []core.BlobKey{"", "x", "../outside", "../../outside", "..", core.BlobKey(strings.Repeat("../", 9) + "outside"), "blob_0198c1d2000070008000000000000001", "0198C1D2000070008000000000000001"} {
		if _, err := f.Write(t.Context(), key, strings.NewReader("x"), 9); err == nil {
			t.Errorf("Write(%q) worked", key)
		}
		if _, err := f.Open(t.Context(), key); err == nil || core.KindOf(err) == core.NotFound {
			t.Errorf("Open(%q): %v", key, err)
		}
		if err := f.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete(%q) worked", key)
		}
	}
	if raw, err := os.ReadFile(outside); err != nil || string(raw) != "secret" {
		t.Errorf("the file outside: %q, %v", raw, err)
	}
}

func TestOpeningRemovesWhatAnEarlierProcessLeft(t *testing.T) {
	t.Parallel()
	f, root := folder(t)
	key := core.NewID[core.BlobKey]()
	if _, err := f.Write(t.Context(), key, strings.NewReader("kept"), 9); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "unfinished", string(core.NewID[core.BlobKey]())+".123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := blob.OpenFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	if left := stored(t, root); len(left) != 1 || left[0] != string(key) {
		t.Errorf("stored = %v, want only %s", left, key)
	}
	r, err := again.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
