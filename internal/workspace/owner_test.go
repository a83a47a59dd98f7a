package workspace_test

import (
	"os"
	"syscall"
	"testing"
)

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	need(t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid)
}
