package turn

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Dispatcher holds the leases of this node and runs their turns. It is the session service's
// Dispatcher.
type Dispatcher struct {
	runner *Runner
	slots  chan struct{} // capacity MaxRunning; a turn that finds it full waits with its lease kept alive

	extended time.Time // when the leases were last seen to; only Run's goroutine uses it

	mu      sync.Mutex
	active  map[core.ThreadID]*job
	base    context.Context // of all turns; nil before Run
	early   []core.Lease    // taken before Run
	stopped bool
	wg      sync.WaitGroup
}

// job is one lease that this node works on.
type job struct {
	lease  core.Lease
	alarm  alarm
	cancel context.CancelCauseFunc
}

// NewDispatcher returns a dispatcher that does nothing before Run.
func NewDispatcher(runner *Runner) *Dispatcher {
	d := &Dispatcher{runner: runner, slots: make(chan struct{}, runner.opts.MaxRunning), active: map[core.ThreadID]*job{}}
	runner.start = d.Start
	return d
}

// Node is the name under which this node takes leases.
func (d *Dispatcher) Node() string { return d.runner.opts.Node }

// LeaseUntil is the end of a lease taken now.
func (d *Dispatcher) LeaseUntil(now time.Time) time.Time { return now.Add(d.runner.opts.LeaseTTL) }

// Admit reports RateLimited when this node holds as many turns as it may.
func (d *Dispatcher) Admit() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.active) >= d.runner.opts.MaxWaiting {
		return &core.Error{
			Kind: core.RateLimited, Code: "too_many_turns", RetryAfter: time.Second,
			Message: "this server runs as many turns as it can hold: try again in a second",
		}
	}
	return nil
}

// Running returns how many turns this node holds.
func (d *Dispatcher) Running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.active)
}

// Interrupt makes this node's run of the thread, if there is one, look at once at the interrupt with
// this Seq. A run on another node sees it before its next step.
func (d *Dispatcher) Interrupt(id core.ThreadID, seq int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j := d.active[id]; j != nil {
		j.alarm.ring(seq)
	}
}

// Start takes over a lease. After the stop it leaves the lease alone: it is given back by Run, or runs out.
func (d *Dispatcher) Start(lease core.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopped:
		return
	case d.base == nil:
		d.early = append(d.early, lease)
		return
	}
	d.start(lease)
}

// start needs d.mu.
func (d *Dispatcher) start(lease core.Lease) {
	if old := d.active[lease.Thread]; old != nil {
		if old.lease.Epoch >= lease.Epoch {
			return
		}
		old.cancel(core.ErrLeaseLost) // the thread was lost and won again: the old run may not write any more
	}
	ctx, cancel := context.WithCancelCause(d.base)
	j := &job{lease: lease, cancel: cancel}
	d.active[lease.Thread] = j
	d.wg.Go(func() {
		defer cancel(nil)
		d.drive(ctx, j)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.active[lease.Thread] == j {
			delete(d.active, lease.Thread)
		}
	})
}

// drive runs one lease to its end and gives back what it could not finish.
func (d *Dispatcher) drive(ctx context.Context, j *job) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		d.giveBack(ctx, j.lease)
		return
	}
	log := d.runner.log.With("session", j.lease.Session, "epoch", j.lease.Epoch)
	err := d.attempt(ctx, j)
	var broken brokenError
	switch {
	case err == nil:
	case errors.Is(err, core.ErrLeaseLost), errors.Is(context.Cause(ctx), core.ErrLeaseLost):
		log.Info("lease lost: another run has the turn")
	case core.KindOf(err) == core.NotFound:
		log.Info("session is gone: its turn ends here")
	case ctx.Err() != nil:
		d.giveBack(ctx, j.lease)
	case errors.As(err, &broken):
		log.Error("turn cannot be run", "err", err)
		if err := d.runner.abandon(ctx, j.lease); err != nil {
			log.Error("turn could not be settled", "err", err)
		}
		d.runner.bus.Wake(j.lease.Session)
	default:
		// Most likely the database: the turn stays owed, and is claimed again when the lease runs out.
		log.Error("turn stopped: it will be taken up again", "err", err)
	}
}

func (d *Dispatcher) attempt(ctx context.Context, j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = brokenError{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return d.runner.Run(ctx, j.lease, &j.alarm)
}

// giveBack leaves the turn owed and frees the lease, so that any node goes on at once.
func (d *Dispatcher) giveBack(ctx context.Context, lease core.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.runner.store.ReleaseLease(ctx, lease); err != nil && !errors.Is(err, core.ErrLeaseLost) {
		d.runner.log.Warn("give lease back", "session", lease.Session, "err", err)
	}
}

// Run frees what this node's former life held, then runs turns until ctx ends. Then it claims no more,
// lets running turns end for SoftStop, and hands back the rest.
func (d *Dispatcher) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	freed, err := d.runner.store.FreeLeases(ctx, d.Node())
	if err != nil && ctx.Err() != nil {
		return nil // told to stop before it began: the next life frees them
	}
	if err != nil {
		return fmt.Errorf("free the leases of node %s: %w", d.Node(), err)
	}
	if freed > 0 {
		d.runner.log.Info("turns of a former life are taken up again", "count", freed)
	}
	d.runner.recent = newMemory()
	defer d.runner.recent.close()
	d.mu.Lock()
	d.base = base
	for _, lease := range d.early {
		d.start(lease)
	}
	d.early = nil
	d.mu.Unlock()

	sweep := time.NewTicker(d.runner.opts.Sweep)
	defer sweep.Stop()
	extend := time.NewTicker(d.runner.opts.LeaseTTL / 3)
	defer extend.Stop()
	for d.claim(ctx); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-sweep.C:
			d.claim(ctx)
		case <-extend.C:
			d.extend(ctx)
		}
	}
	d.stop(base, cancel, extend)
	return nil
}

// claim leases threads that owe a turn and that nobody runs. A node that was stopped for a while, or
// whose clock was put forward, finds the leases of its own runs over: they are extended first, because
// a claim would end those runs and begin them again.
func (d *Dispatcher) claim(ctx context.Context) {
	room := d.runner.opts.MaxRunning - d.Running()
	if room <= 0 {
		return
	}
	if d.runner.now().Sub(d.extended) >= d.runner.opts.LeaseTTL/2 && !d.extend(ctx) {
		return
	}
	now := d.runner.now()
	leases, err := d.runner.store.ClaimTurns(ctx, d.Node(), now, d.LeaseUntil(now), room)
	if err != nil && ctx.Err() == nil {
		d.runner.log.Error("claim turns", "err", err)
	}
	for _, lease := range leases {
		d.Start(lease)
	}
}

// extend keeps the leases of running turns alive, and stops the runs of those that are lost. It reports
// whether it could.
func (d *Dispatcher) extend(ctx context.Context) bool {
	now := d.runner.now()
	d.mu.Lock()
	leases := make([]core.Lease, 0, len(d.active))
	for _, j := range d.active {
		leases = append(leases, j.lease)
	}
	d.mu.Unlock()
	lost, err := d.runner.store.ExtendLeases(ctx, leases, d.LeaseUntil(now))
	if err != nil {
		d.runner.log.Error("extend leases", "count", len(leases), "err", err)
		return false
	}
	d.extended = now
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, lease := range lost {
		if j := d.active[lease.Thread]; j != nil && j.lease.Epoch == lease.Epoch {
			j.cancel(core.ErrLeaseLost)
		}
	}
	return true
}

// stop waits for the running turns, first patiently, then not.
func (d *Dispatcher) stop(base context.Context, cancel func(), extend *time.Ticker) {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		d.wg.Wait()
		close(idle)
	}()
	soft := time.NewTimer(d.runner.opts.SoftStop)
	defer soft.Stop()
	for {
		select {
		case <-idle:
			return
		case <-extend.C:
			d.extend(base)
		case <-soft.C:
			cancel()
			<-idle
			return
		}
	}
}
