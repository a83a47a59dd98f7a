package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/config"
)

// node is a server in this process.
type node struct {
	app   *app.App
	base  string         // its URL, without a slash at the end
	data  string         // its data folder
	ln    []net.Listener // the first is the one that base names
	ended chan struct{}
	err   error // of Serve; read it when ended is closed
	stop  context.CancelFunc
}

// openNode listens and opens the data folder. The address is taken first: a first start shows its
// secrets once, so it must not fail behind that. The caller must run and close it.
func openNode(ctx context.Context, cfg config.Config, opts app.Options) (*node, error) {
	var lns []net.Listener
	for i, address := range append([]string{cfg.Listen}, cfg.ListenAlso...) {
		setting := "--listen"
		if i > 0 {
			setting = "--listen-also"
		}
		ln, err := listen(ctx, address, setting)
		if err != nil {
			return nil, errors.Join(err, closeAll(lns))
		}
		lns = append(lns, ln)
	}
	a, err := app.Open(ctx, cfg, opts)
	if err != nil {
		return nil, errors.Join(err, closeAll(lns))
	}
	return &node{app: a, base: "http://" + reachable(lns[0].Addr()), data: cfg.Data, ln: lns, stop: func() {}, ended: make(chan struct{})}, nil
}

// start serves until ctx ends or close is called, and returns when the server is ready. A ctx that ends
// before is ctx's error. The node must be closed in any case.
func (n *node) start(ctx context.Context) error {
	serving, stop := context.WithCancel(ctx)
	n.stop = stop
	go func() {
		defer close(n.ended)
		n.err = n.app.Serve(serving, n.ln...)
	}()
	return n.waitReady(ctx)
}

func closeAll(lns []net.Listener) error {
	var err error
	for _, ln := range lns {
		err = errors.Join(err, ln.Close())
	}
	return err
}

// listen takes an address; setting is the flag that names another one.
func listen(ctx context.Context, address, setting string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program serves on %s: stop it, or choose another address with %s", address, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not serve on %s: choose a port above 1023 with %s", address, setting)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln, nil
}

// reachable is where a person on this machine finds a listener.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
}

// waitReady asks the server itself until it says that it is ready.
func (n *node) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.base+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask whether the server is ready: %w", err)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.ended:
			if ctx.Err() != nil && n.err == nil {
				return ctx.Err()
			}
			return errors.Join(errors.New("the server stopped before it was ready"), n.err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not get ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// close stops the server in good order and gives the data folder back.
func (n *node) close() error {
	n.stop()
	<-n.ended
	return errors.Join(n.err, n.app.Close())
}

// newLog returns the structured log that the configuration asks for.
func (p *program) newLog(cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // not reached: the configuration was validated
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.errOut, opts))
	}
	return slog.New(slog.NewTextHandler(p.errOut, opts))
}

// temporaryNode starts a server with cfg on a fresh data folder and a free port of the loopback. The
// returned function stops it, and removes the folder unless keep is set.
func temporaryNode(ctx context.Context, cfg config.Config, opts app.Options, keep bool) (*node, func() error, error) {
	folder, err := os.MkdirTemp("", "reeve-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a temporary data folder: %w", err)
	}
	cfg.Data, cfg.Listen = folder, "127.0.0.1:0"
	remove := func() error {
		if keep {
			return nil
		}
		return os.RemoveAll(folder)
	}
	n, err := openNode(ctx, cfg, opts)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	if err := n.start(ctx); err != nil {
		return nil, nil, errors.Join(err, n.close(), remove())
	}
	return n, func() error { return errors.Join(n.close(), remove()) }, nil
}
