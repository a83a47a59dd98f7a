package sandbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Defaults of a Pool.
const (
	DefaultIdle = 10 * time.Minute
	DefaultMax  = 64
)

// Pool keeps one living sandbox for each session: started on first use, shared by all callers,
// started again when it has died, closed when nobody used it for a while. It is safe for concurrent use.
type Pool struct {
	driver core.SandboxDriver
	idle   time.Duration
	max    int

	mu      sync.Mutex
	tenants map[core.SessionID]*tenant
	changed chan struct{} // closed and replaced whenever a tenant becomes idle or leaves
	stopped bool
}

// tenant is one session's sandbox, from the moment its opening begins until it is closed. It stays in
// the pool while it closes: the next one must not start in the same folder before.
type tenant struct {
	session core.SessionID
	mounts  []core.Mount
	ready   chan struct{} // closed when sandbox or err is set
	sandbox core.Sandbox
	err     error
	gone    chan struct{} // closed when it has left the pool

	// Guarded by Pool.mu.
	active  int       // calls that run, and the opening
	used    time.Time // end of the last call
	leaving bool
}

// NewPool makes a pool over a driver. Zero idle and max take the defaults.
func NewPool(driver core.SandboxDriver, idle time.Duration, most int) *Pool {
	if idle <= 0 {
		idle = DefaultIdle
	}
	if most <= 0 {
		most = DefaultMax
	}
	return &Pool{driver: driver, idle: idle, max: most, tenants: map[core.SessionID]*tenant{}, changed: make(chan struct{})}
}

// Sandbox returns the session's sandbox and starts it if it is not alive. The value stays good when
// the sandbox is closed for being idle or dies: a later call starts the next one from the same spec.
// A spec counts only for the sandbox that it starts, but for its mounts: with others than those of the living
// sandbox a new one is started in its place as soon as no call runs in that. When the most sandboxes are alive, the
// one that is idle longest is closed; while none is idle, Sandbox waits.
//
// Errors: Unavailable; ctx's own.
func (p *Pool) Sandbox(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error) {
	_, release, err := p.acquire(ctx, spec)
	if err != nil {
		return nil, err
	}
	release()
	return handle{pool: p, spec: spec}, nil
}

// Alive is how many sandboxes exist now, those that are being opened included.
func (p *Pool) Alive() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tenants)
}

// Close ends a session's sandbox; calls that run in it get Unavailable. Without one it does nothing.
func (p *Pool) Close(session core.SessionID) error {
	leaving := p.take(func(t *tenant) bool { return t.session == session })
	var err error
	for _, t := range leaving {
		err = p.end(t)
	}
	return err
}

// Run closes idle sandboxes until ctx ends, then all of them, and returns nil.
func (p *Pool) Run(ctx context.Context) error {
	ticker := time.NewTicker(max(p.idle/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			p.endAll(p.take(func(t *tenant) bool { return t.active == 0 && now.Sub(t.used) >= p.idle }))
		case <-ctx.Done():
			p.mu.Lock()
			p.stopped = true
			p.mu.Unlock()
			p.endAll(p.take(func(*tenant) bool { return true }))
			return nil
		}
	}
}

// take marks the tenants that match as leaving. The caller ends each of them.
func (p *Pool) take(match func(*tenant) bool) []*tenant {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*tenant
	for _, t := range p.tenants {
		if !t.leaving && match(t) {
			t.leaving = true
			out = append(out, t)
		}
	}
	return out
}

func (p *Pool) endAll(leaving []*tenant) {
	var wg sync.WaitGroup
	for _, t := range leaving {
		wg.Go(func() { _ = p.end(t) }) // a sandbox that could not be closed has logged why
	}
	wg.Wait()
}

// end closes a tenant that was marked as leaving, and makes room for the next.
func (p *Pool) end(t *tenant) error {
	<-t.ready
	var err error
	if t.err == nil {
		err = t.sandbox.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tenants, t.session)
	close(t.gone)
	p.signal()
	return err
}

// signal wakes those that wait for a change. p.mu is held.
func (p *Pool) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// dead reports whether a tenant could not be opened or its sandbox has ended. t.ready is closed.
func (t *tenant) dead() bool {
	if t.err != nil {
		return true
	}
	d, ok := t.sandbox.(interface{ Done() <-chan struct{} })
	if !ok {
		return false
	}
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// acquire returns the session's living sandbox and counts the caller as active until release.
func (p *Pool) acquire(ctx context.Context, spec core.SandboxSpec) (s core.Sandbox, release func(), err error) {
	for {
		t, first, wait, err := p.enter(spec)
		if err != nil {
			return nil, nil, err
		}
		if wait != nil {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
		if first {
			t.sandbox, t.err = p.driver.Open(ctx, spec)
			close(t.ready)
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			p.release(t)
			return nil, nil, ctx.Err()
		}
		if !t.dead() {
			return t.sandbox, func() { p.release(t) }, nil
		}
		p.release(t)
		p.endAll(p.take(func(o *tenant) bool { return o == t }))
		// An opening that failed because its own caller left is no answer for the others.
		if t.err != nil && (first || !errors.Is(t.err, context.Canceled) && !errors.Is(t.err, context.DeadlineExceeded)) {
			return nil, nil, t.err
		}
	}
}

// enter joins the session's tenant or makes one, which the caller then opens (first). A wait channel
// means: try again when it closes.
func (p *Pool) enter(spec core.SandboxSpec) (t *tenant, first bool, wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, false, nil, core.Errorf(core.Unavailable, "shutting_down", "the server is stopping")
	}
	if t = p.tenants[spec.Session]; t != nil {
		if t.leaving {
			return nil, false, t.gone, nil
		}
		if t.active == 0 && !slices.Equal(t.mounts, spec.Mounts) {
			old := t
			old.leaving = true
			go func() { _ = p.end(old) }() // a sandbox that could not be closed has logged why
			return nil, false, old.gone, nil
		}
		t.active++
		return t, false, nil, nil
	}
	if len(p.tenants) >= p.max {
		oldest := p.longestIdle()
		if oldest == nil {
			return nil, false, p.changed, nil
		}
		oldest.leaving = true
		go func() { _ = p.end(oldest) }()
		return nil, false, oldest.gone, nil
	}
	t = &tenant{session: spec.Session, mounts: slices.Clone(spec.Mounts), ready: make(chan struct{}), gone: make(chan struct{}), active: 1, used: time.Now()}
	p.tenants[spec.Session] = t
	return t, true, nil, nil
}

// longestIdle is the tenant to close when room is needed; nil if all are in use or leaving. p.mu is held.
func (p *Pool) longestIdle() *tenant {
	var oldest *tenant
	for _, t := range p.tenants {
		if t.active == 0 && !t.leaving && (oldest == nil || t.used.Before(oldest.used)) {
			oldest = t
		}
	}
	return oldest
}

func (p *Pool) release(t *tenant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.active--
	t.used = time.Now()
	if t.active == 0 {
		p.signal()
	}
}

// handle is what callers hold: each call finds the living sandbox anew.
type handle struct {
	pool *Pool
	spec core.SandboxSpec
}

func (h handle) Bash(ctx context.Context, cmd core.BashCommand) (core.BashResult, error) {
	s, release, err := h.pool.acquire(ctx, h.spec)
	if err != nil {
		return core.BashResult{}, err
	}
	defer release()
	return s.Bash(ctx, cmd)
}

func (h handle) ReadFile(ctx context.Context, path string, maxBytes int64) ([]byte, error) {
	s, release, err := h.pool.acquire(ctx, h.spec)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.ReadFile(ctx, path, maxBytes)
}

func (h handle) WriteFile(ctx context.Context, path string, data []byte) (bool, error) {
	s, release, err := h.pool.acquire(ctx, h.spec)
	if err != nil {
		return false, err
	}
	defer release()
	return s.WriteFile(ctx, path, data)
}

func (h handle) Glob(ctx context.Context, root, pattern string, limit int) ([]string, bool, error) {
	s, release, err := h.pool.acquire(ctx, h.spec)
	if err != nil {
		return nil, false, err
	}
	defer release()
	return s.Glob(ctx, root, pattern, limit)
}

func (h handle) Grep(ctx context.Context, root, pattern string, maxBytes int) ([]string, bool, error) {
	s, release, err := h.pool.acquire(ctx, h.spec)
	if err != nil {
		return nil, false, err
	}
	defer release()
	return s.Grep(ctx, root, pattern, maxBytes)
}

func (h handle) Close() error { return h.pool.Close(h.spec.Session) }
