package guest

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
)

// waiting is how many connections wait for the host to take them up.
const waiting = 128

// openGate listens at core.GatewayAddress and hands the listening socket to the host, through the socket at
// fd. From then on the host alone takes connections up, in this network namespace, and nothing inside has to
// pass bytes on. Both descriptors are closed here.
func openGate(fd int) error {
	defer func() { _ = unix.Close(fd) }()
	at := netip.MustParseAddrPort(core.GatewayAddress)
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make the gateway's socket: %w", err)
	}
	defer func() { _ = unix.Close(l) }()
	if err := unix.Bind(l, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return fmt.Errorf("bind the gateway to %s: %w", at, err)
	}
	if err := unix.Listen(l, waiting); err != nil {
		return fmt.Errorf("listen for the gateway: %w", err)
	}
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(l), nil, 0); err != nil {
		return fmt.Errorf("hand the gateway to the host: %w", err)
	}
	return nil
}
