package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Options are what New can do without.
type Options struct {
	Now func() time.Time // nil: the system clock
	Log *slog.Logger     // nil: slog.Default()
	// AllowPrivate are the addresses that may be reached although they are not public. They may be told over
	// http; whether they are reached at all is up to the transport.
	AllowPrivate []netip.Prefix
}

// Service is used from several goroutines.
type Service struct {
	store   core.Store
	ring    *ring
	http    *http.Client
	now     func() time.Time
	log     *slog.Logger
	allowed []netip.Prefix
	hears   listeners
	lanes   lanes
	woken   chan struct{} // capacity 1: what finds it full is merged with the one inside
	running sync.WaitGroup
}

// New makes the service. secret is the installation's, of at least 32 bytes; way is how webhooks are reached,
// and must keep to addresses that may be reached. Nothing is sent before Run.
func New(store core.Store, secret []byte, way http.RoundTripper, o Options) (*Service, error) {
	ring, err := newRing(secret)
	if err != nil {
		return nil, err
	}
	s := &Service{store: store, ring: ring, now: o.Now, log: o.Log, allowed: o.AllowPrivate, woken: make(chan struct{}, 1)}
	s.http = &http.Client{
		Transport:     way,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a 3xx is an answer
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Load reads which projects listen. Until it was called once, every project is taken for one that does: that
// is right, and costs a read with every change.
func (s *Service) Load(ctx context.Context) error {
	if err := s.hears.load(ctx, s.store); err != nil {
		return fmt.Errorf("find the projects that listen: %w", err)
	}
	return nil
}

// wake tells Run that there may be something to send.
func (s *Service) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Run sends what is due, and forgets what is old, until ctx ends. Then attempts that are under way are broken
// off and given back; it returns nil when that is done. Every node runs it.
func (s *Service) Run(ctx context.Context) error {
	defer s.running.Wait()
	sweep, reload, prune := time.NewTicker(sweepEvery), time.NewTicker(reloadEvery), time.NewTicker(pruneEvery)
	defer sweep.Stop()
	defer reload.Stop()
	defer prune.Stop()
	for {
		if _, err := s.start(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("send webhooks", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.woken:
		case <-sweep.C:
		case <-reload.C:
			if err := s.Load(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("webhooks of other nodes may be unknown here", "err", err)
			}
		case <-prune.C:
			if _, err := s.Prune(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("prune deliveries", "err", err)
			}
		}
	}
}

// Prune deletes the deliveries that were kept for long enough, in small steps, and returns how many.
func (s *Service) Prune(ctx context.Context) (int, error) {
	for total := 0; ; {
		n, err := s.store.PruneDeliveries(ctx, s.clock().Add(-Retention), pruneSize)
		total += n
		if err != nil || n < pruneSize || ctx.Err() != nil {
			return total, err
		}
	}
}
