package guest

import (
	"errors"
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// latest is the newest Landlock that the library knows; older kernels enforce what they can.
var latest = landlock.V11

// restrict holds this process and all that it starts to the rules, for good.
func (r LandlockRules) restrict(network bool) error {
	abi, err := ll.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		if r.Required {
			return errors.New("this kernel does not offer Landlock")
		}
		return nil
	}
	writable := landlock.RWDirs(r.Writable...).IgnoreIfMissing().WithIoctlDev()
	if abi >= 2 {
		// Without it files cannot move from one folder to another. Asking an older kernel for it
		// would make the library enforce nothing.
		writable = writable.WithRefer()
	}
	var dirs, plain []string // the kernel wants them apart: a file cannot be listed
	for _, p := range r.ReadOnly {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			plain = append(plain, p)
		} else {
			dirs = append(dirs, p)
		}
	}
	rules := []landlock.Rule{
		landlock.RODirs(dirs...).IgnoreIfMissing(),
		landlock.ROFiles(plain...).IgnoreIfMissing(),
		writable,
		landlock.RWFiles(r.Devices...).IgnoreIfMissing(),
	}
	if err := latest.BestEffort().RestrictPaths(rules...); err != nil {
		return fmt.Errorf("apply Landlock to files: %w", err)
	}
	if network {
		return nil
	}
	// No rule allows any port: TCP is shut from ABI 4 on, UDP from ABI 10.
	if err := latest.BestEffort().RestrictNet(); err != nil {
		return fmt.Errorf("apply Landlock to the network: %w", err)
	}
	return nil
}

// scopeThread keeps what the calling thread starts from then on from signalling processes and from
// reaching abstract sockets outside of what it starts, the guest included. It does nothing before
// Landlock ABI 6. It is for one thread only: before ABI 8 each thread gets a domain of its own, and a
// guest whose threads are scoped apart could not kill what another one of them started.
func scopeThread() error {
	if LandlockABI() < 6 {
		return nil
	}
	fd, err := ll.LandlockCreateRuleset(&ll.RulesetAttr{Scoped: ll.ScopeSignal | ll.ScopeAbstractUnixSocket}, 0)
	if err != nil {
		return fmt.Errorf("make a Landlock scope: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := ll.LandlockRestrictSelf(fd, 0); err != nil {
		return fmt.Errorf("apply a Landlock scope: %w", err)
	}
	return nil
}

// LandlockABI is what the kernel offers; 0: nothing.
func LandlockABI() int {
	abi, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return abi
}
