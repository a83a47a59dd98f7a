package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// installed returns a folder in which install has run for these files of this package. It is kept in the
// user's cache for as long as the files stay the same, so a machine installs once.
//
// install runs in an empty folder that holds copies of the files, and is tried three times: registries fail.
func installed(t *testing.T, name string, files []string, install ...string) string {
	t.Helper()
	sum := sha256.New()
	_, _ = sum.Write([]byte(strings.Join(install, " ") + runtime.GOOS + runtime.GOARCH)) // a hash takes all
	texts := map[string][]byte{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(f)] = text
		_, _ = sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // no home: kept for as long as that lasts
	}
	cache = filepath.Join(cache, "reeve-compat")
	done := filepath.Join(cache, name+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(done); err == nil {
		return done
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(cache, name+"-new-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(work) }() // gone already, if all went well
	for base, text := range texts {
		if err := os.WriteFile(filepath.Join(work, base), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, work, install)
	// Two test runs may install at one time: the first one's folder stays.
	if err := os.Rename(work, done); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(done); there != nil {
			t.Fatal(err)
		}
	}
	return done
}

func run(t *testing.T, folder string, command []string) {
	t.Helper()
	began := time.Now()
	for try := 1; ; try++ {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Logf("%s: %s", strings.Join(command, " "), time.Since(began).Round(time.Millisecond))
			return
		}
		if try == 3 || t.Context().Err() != nil {
			t.Fatalf("%s: %v: this client has to be installed, and cannot be\n%s", strings.Join(command, " "), err, out)
		}
	}
}

// tool finds a program that the suite needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the suite needs %s: %v (tools/prepare.sh installs it)", name, err)
	}
	return path
}
