package sandboxtest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// door is a gateway that greets whoever comes, and says when it has closed.
type door struct{ closed chan struct{} }

func (d door) Serve(l net.Listener) {
	defer close(d.closed)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintln(conn, "hello from outside")
		_ = conn.Close()
	}
}

// withNetwork: drivers with network namespaces have the gateway and nothing else; the others share the
// host's network if they are told to.
func (s suite) withNetwork(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	d := door{make(chan struct{})}
	p := s.open(t, func(spec *core.SandboxSpec) { spec.Network, spec.Gateway = true, d })
	direct := p.bash(fmt.Sprintf("(exec 5<>/dev/tcp/127.0.0.1/%d) 2>/dev/null && echo connected; true", listener.Addr().(*net.TCPAddr).Port)).Output
	if slices.Contains(s.except, View) { // no namespaces at all
		if direct != "connected\n" {
			t.Errorf("the host's network answers %q", direct)
		}
		return
	}
	if direct != "" {
		t.Errorf("the host's loopback is reached: %q", direct)
	}
	host, port, _ := strings.Cut(core.GatewayAddress, ":")
	for range 3 {
		p.says(fmt.Sprintf("exec 5<>/dev/tcp/%s/%s; cat <&5; exec 5<&-", host, port), "hello from outside\n")
	}
	p.says("(exec 5<>/dev/tcp/192.0.2.1/80) 2>/dev/null || echo no", "no\n")
	p.says("(echo x >/dev/udp/192.0.2.1/53) 2>/dev/null || echo no", "no\n")
	p.says("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ") // 3 is ls's own
	p.bash("pkill -9 -f sandbox; kill -9 -1 2>/dev/null") // nothing inside holds the gateway
	p.says(fmt.Sprintf("exec 5<>/dev/tcp/%s/%s; cat <&5; exec 5<&-", host, port), "hello from outside\n")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	<-d.closed
}
