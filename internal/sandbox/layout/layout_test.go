package layout

import (
	"slices"
	"strings"
	"testing"
)

func TestNothingPrivateIsShown(t *testing.T) {
	t.Parallel()
	entries := Entries(Spec{Folder: "/srv/work", TempBytes: 1 << 20})
	for _, e := range entries {
		if e.Kind != ReadOnly && e.Kind != Writable {
			continue
		}
		for _, private := range []string{"/root", "/home", "/var", "/run", "/etc/ssl/private", "/etc/shadow", "/sys", "/opt"} {
			if e.Source == private || strings.HasPrefix(e.Source, private+"/") {
				t.Errorf("the view shows %s (as %s)", e.Source, e.Target)
			}
		}
	}
	writable := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Kind != Writable })
	if len(writable) != 1 || writable[0].Source != "/srv/work" || writable[0].Target != Workspace {
		t.Errorf("writable entries = %+v, want only the folder as %s", writable, Workspace)
	}
	if last := entries[len(entries)-1]; last.Kind != Sealed || last.Target != "/" {
		t.Errorf("the last entry is %+v, want the root sealed", last)
	}
}

func TestResolverIsShownOnlyWithNetwork(t *testing.T) {
	t.Parallel()
	has := func(network bool) bool {
		return slices.ContainsFunc(Entries(Spec{Folder: "/srv/work", Network: network}), func(e Entry) bool { return e.Target == "/etc/resolv.conf" })
	}
	if has(false) {
		t.Error("resolv.conf is shown without network")
	}
}

func TestSymlinkIntoUsrStaysASymlink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dir, link string
		want      bool
	}{
		{"/", "usr/bin", true},
		{"/etc", "../usr/lib/os-release", true},
		{"/etc", "/usr/share/zoneinfo/UTC", true},
		{"/etc", "../run/resolvconf/resolv.conf", false},
		{"/", "usr/../root", false},
		{"/", "usrx", false},
	} {
		if got := shown(c.dir, c.link); got != c.want {
			t.Errorf("shown(%q, %q) = %t, want %t", c.dir, c.link, got, c.want)
		}
	}
}
