// Package layout draws the file system that a sandbox sees, as a list of entries that both ways of
// building it read: bubblewrap's arguments, and the guest's own mounts where bubblewrap is missing.
//
//	/usr, /bin, /lib …  read-only, from the host
//	/etc                read-only: a dozen files that programs need; passwd, group and hosts are made up
//	/workspace          the session's folder; also HOME
//	/mnt/…              folders that are brought into the session, read-only or not; some below /workspace
//	/tmp, /dev/shm      empty, in memory, of limited size
//	/proc, /dev         of the sandbox's own namespaces
//
// Everything else of the host (/root, /home, /var, /run, /opt, /sys …) is not there at all.
package layout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Places and names that are the same in every sandbox.
const (
	Workspace = "/workspace"
	Temp      = "/tmp"
	User      = "agent"
	UID       = 1000 // inside; outside it is the number that the driver chose
	GID       = 1000
	Hostname  = "sandbox"
	Path      = core.SandboxPath
)

// Kind says how an Entry comes to be.
type Kind string

const (
	ReadOnly  Kind = "ro"      // the host's Source, read-only, with what is mounted below it
	Writable  Kind = "rw"      // the host's Source
	Memory    Kind = "tmpfs"   // an empty file system in memory of at most Bytes
	Processes Kind = "proc"    // a new procfs
	Devices   Kind = "dev"     // null, zero, full, random, urandom, tty, pts
	Symlink   Kind = "symlink" // Target points at Source
	File      Kind = "file"    // a read-only file that holds Content
	Folder    Kind = "dir"     // an empty folder
	Sealed    Kind = "sealed"  // Target becomes read-only, without what is mounted below it
)

// Entry is one thing in the view. Entries are made in order.
type Entry struct {
	Kind    Kind   `json:"kind"`
	Source  string `json:"source,omitempty"`
	Target  string `json:"target"`
	Content string `json:"content,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Mode    uint32 `json:"mode,omitempty"` // of Memory; 0: 0755
}

// Spec is what differs between sandboxes.
type Spec struct {
	Folder    string   // host path that becomes /workspace
	Network   bool     // the host's network is shared: its resolver is shown
	TempBytes int64    // size of /tmp; /dev/shm gets the same
	ReadOnly  []string // more host paths to show, read-only, where they are
	Mounts    []core.Mount
}

// system are the host's folders with programs. On merged-usr systems all but /usr are symlinks.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"}

// etc are the files that programs miss when they are not there. Nothing in them is secret, and
// /etc/ssl/private is left out on purpose.
var etc = []string{
	"/etc/alternatives", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/debian_version", "/etc/fonts",
	"/etc/gai.conf", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/lsb-release",
	"/etc/magic", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release", "/etc/pki/ca-trust", "/etc/pki/tls/certs",
	"/etc/protocols", "/etc/services", "/etc/shells", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/terminfo", "/etc/timezone",
}

// Entries returns the view. Host paths that are missing are left out.
func Entries(s Spec) []Entry {
	out := []Entry{{Kind: Folder, Target: "/etc"}}
	for _, p := range system {
		out = append(out, fromHost(p)...)
	}
	for _, p := range etc {
		out = append(out, fromHost(p)...)
	}
	if s.Network {
		out = append(out, fromHost("/etc/resolv.conf")...)
	}
	out = append(out,
		Entry{Kind: File, Target: "/etc/passwd", Content: "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
			User + ":x:1000:1000:agent:" + Workspace + ":/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		Entry{Kind: File, Target: "/etc/group", Content: "root:x:0:\n" + User + ":x:1000:\nnogroup:x:65534:\n"},
		Entry{Kind: File, Target: "/etc/hosts", Content: "127.0.0.1 localhost " + Hostname + "\n::1 localhost\n"},
		Entry{Kind: File, Target: "/etc/hostname", Content: Hostname + "\n"},
		Entry{Kind: Processes, Target: "/proc"},
		Entry{Kind: Devices, Target: "/dev"},
		Entry{Kind: Memory, Target: "/dev/shm", Bytes: s.TempBytes, Mode: 0o1777},
		Entry{Kind: Sealed, Target: "/dev"},
		Entry{Kind: Memory, Target: Temp, Bytes: s.TempBytes, Mode: 0o1777},
		Entry{Kind: Folder, Target: "/run"},
		Entry{Kind: Folder, Target: "/var"},
		Entry{Kind: Symlink, Source: Temp, Target: "/var/tmp"},
	)
	for _, p := range s.ReadOnly {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			out = append(out, Entry{Kind: ReadOnly, Source: real, Target: filepath.Clean(p)})
		}
	}
	out = append(out, Entry{Kind: Writable, Source: s.Folder, Target: Workspace})
	for _, m := range s.Mounts {
		kind := Writable
		if m.ReadOnly {
			kind = ReadOnly
		}
		out = append(out, Entry{Kind: kind, Source: m.Host, Target: m.Path})
	}
	return append(out, Entry{Kind: Sealed, Target: "/"})
}

// HostPaths lists what a sandbox without a view of its own may read on the host: the same folders
// and files, and the real ones in place of those that are made up. Some may be missing.
func HostPaths(s Spec) []string {
	paths := append(slices.Clone(system), etc...)
	paths = append(paths, "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname")
	if s.Network {
		paths = append(paths, "/etc/resolv.conf")
	}
	return append(paths, s.ReadOnly...)
}

// fromHost shows a host path where it is: a relative symlink as a symlink, since what it points at
// is shown too; anything else bound read-only, symlinks resolved.
func fromHost(p string) []Entry {
	info, err := os.Lstat(p)
	if err != nil {
		return nil
	}
	if info.Mode()&os.ModeSymlink != 0 {
		if link, err := os.Readlink(p); err == nil && shown(filepath.Dir(p), link) {
			return []Entry{{Kind: Symlink, Source: link, Target: p}}
		}
	}
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil // it points nowhere
	}
	return []Entry{{Kind: ReadOnly, Source: real, Target: p}}
}

// shown reports whether a symlink's text leads into /usr, which is always there.
func shown(dir, link string) bool {
	if !filepath.IsAbs(link) {
		link = filepath.Join(dir, link)
	}
	return strings.HasPrefix(filepath.Clean(link)+"/", "/usr/")
}
