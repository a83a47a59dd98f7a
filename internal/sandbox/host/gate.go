package host

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/reeve-ai/reeve/internal/core"
)

// gate is how a sandbox's gateway comes out of its network namespace: the guest listens inside, before
// anything of the agent runs, and hands the listening socket to the host through a pair of sockets.
type gate struct {
	ours, theirs *os.File
	listener     net.Listener  // nil: not open
	served       chan struct{} // closed when the gateway has nothing left to do; nil: not open
}

func newGate() (*gate, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make the gate's sockets: %w", err)
	}
	return &gate{ours: os.NewFile(uintptr(pair[0]), "gate"), theirs: os.NewFile(uintptr(pair[1]), "gate of the guest")}, nil
}

// open takes the socket that the guest has sent before it said that it is ready, and has the gateway serve it.
func (g *gate) open(gateway core.Gateway) error {
	fd, err := g.receive()
	if err != nil {
		return fmt.Errorf("take the gateway's socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "gateway")
	defer func() { _ = f.Close() }() // the listener has its own
	if err := listensOnTCP(fd); err != nil {
		return fmt.Errorf("look at the gateway's socket: %w", err)
	}
	if g.listener, err = net.FileListener(f); err != nil {
		return fmt.Errorf("listen on the gateway's socket: %w", err)
	}
	g.served = make(chan struct{})
	go func() {
		defer close(g.served)
		gateway.Serve(g.listener)
	}()
	return nil
}

func (g *gate) receive() (fd int, err error) {
	raw, err := g.ours.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	rights := make([]byte, unix.CmsgSpace(4))
	if ctlErr := raw.Control(func(s uintptr) {
		_, n, _, _, err = unix.Recvmsg(int(s), make([]byte, 1), rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}); ctlErr != nil {
		return 0, ctlErr
	}
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return 0, err
	}
	var fds []int
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return 0, err
		}
		fds = append(fds, got...)
	}
	if len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return 0, fmt.Errorf("%d descriptors came", len(fds))
	}
	return fds[0], nil
}

// listensOnTCP makes sure that nothing else came.
func listensOnTCP(fd int) error {
	for option, want := range map[int]int{unix.SO_DOMAIN: unix.AF_INET, unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_ACCEPTCONN: 1} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		if got != want {
			return errors.New("it does not listen on TCP")
		}
	}
	return nil
}

// close ends the gateway and waits until it has. The nil gate may be closed.
func (g *gate) close() {
	if g == nil {
		return
	}
	_ = g.ours.Close()
	if g.listener != nil {
		_ = g.listener.Close()
		<-g.served
	}
}
