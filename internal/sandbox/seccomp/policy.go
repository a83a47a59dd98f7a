// Package seccomp writes and installs the system call filter of a sandbox.
//
// The filter is a second wall behind namespaces and Landlock: it takes away calls that no ordinary
// program needs and in which most kernel holes were found. Refused calls answer EPERM, clone3
// answers ENOSYS, so that libraries fall back to clone, whose flags a filter can see.
//
// System call numbers come from the tables of elastic/go-seccomp-bpf. Its assembler is not used,
// for three reasons seen in version 1.6.0: with "allow" as the default it lets every call of a
// foreign architecture through (int 0x80 on amd64); it compares arguments in 64 bits where the kernel
// looks at 32, so that socket(1<<32|AF_INET) passes a rule against AF_INET; and after a rule
// with arguments the accumulator no longer holds the call's number.
package seccomp

// Policy says what a filter refuses besides the fixed list.
type Policy struct {
	// Sockets limits socket(2) to these address families; nil allows all. socketpair(2) is not
	// touched: its two ends reach nobody else.
	Sockets []int `json:"sockets"`
	// LimitSockets switches the rule on: with it, an empty list allows no socket at all.
	LimitSockets bool `json:"limit_sockets,omitempty"`
}

// denied are the calls that answer EPERM whatever their arguments. A name that the machine's
// architecture does not have is skipped.
var denied = []string{
	// Mounts and roots: the file system view is finished when the filter goes in.
	"mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig",
	"fsmount", "fspick", "mount_setattr", "chroot",
	// New and foreign namespaces: a user namespace of its own opens most of the kernel again.
	"unshare", "setns",
	// Other processes' memory and descriptors.
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
	// Kernel keyrings are not divided by namespaces.
	"add_key", "request_key", "keyctl",
	// Programs and code in the kernel.
	"bpf", "perf_event_open", "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load",
	// Known helpers of kernel exploits.
	"userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "vmsplice", "modify_ldt",
	// File handles walk around mounts.
	"open_by_handle_at", "name_to_handle_at",
	// The machine itself.
	"reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime",
	"adjtimex", "iopl", "ioperm", "syslog", "vhangup", "nfsservctl", "lookup_dcookie", "uselib", "_sysctl", "sysfs",
	"sethostname", "setdomainname", "fanotify_init", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
}
