package blob

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// stageTime is how long a blob may be without an owner: the longest upload.
	stageTime = 24 * time.Hour
	// sweepEvery is how often strays are looked for, unless somebody wakes the depot.
	sweepEvery   = 10 * time.Minute
	sweepBatch   = 100
	maxFailed    = 1000
	closeTimeout = 30 * time.Second
)

// Depot writes blobs and deletes those that belong to nothing. It is used from several goroutines.
type Depot struct {
	store core.BlobStore
	blobs core.Blobs
	log   *slog.Logger
	now   func() time.Time
	woken chan struct{} // capacity 1: what finds it full is merged with the one inside
}

// Options may be zero.
type Options struct {
	Log *slog.Logger     // nil: slog.Default()
	Now func() time.Time // nil: the system clock
}

// NewDepot makes the depot. Nothing is swept before Run.
func NewDepot(store core.BlobStore, blobs core.Blobs, o Options) *Depot {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Depot{store: store, blobs: blobs, log: o.Log, now: o.Now, woken: make(chan struct{}, 1)}
}

// Stage writes all that r gives. The blob has no owner yet: within a day somebody must store one in a
// transaction, or Discard it.
//
// Errors: those of core.Blobs.Write; NotFound for an unknown project.
func (d *Depot) Stage(ctx context.Context, project core.ProjectID, r io.Reader, limit int64) (core.Blob, error) {
	stray := core.Stray{Project: project, Key: core.NewID[core.BlobKey](), DueAt: d.now().Add(stageTime)}
	if err := d.store.AddStray(ctx, stray); err != nil {
		return core.Blob{}, err
	}
	b, err := d.blobs.Write(ctx, stray.Key, r, limit)
	if err != nil {
		d.remove(ctx, stray)
		return core.Blob{}, err
	}
	return b, nil
}

// Open returns the content of a blob, to be closed by the caller. NotFound ("blob_not_found") means that its
// owner was deleted meanwhile.
func (d *Depot) Open(ctx context.Context, b core.Blob) (io.ReadSeekCloser, error) {
	return d.blobs.Open(ctx, b.Key)
}

// Discard deletes staged blobs that have found no owner; others it leaves alone. Nobody may be about to store
// an owner any more. What goes wrong is logged and left for Run.
func (d *Depot) Discard(ctx context.Context, project core.ProjectID, blobs ...core.Blob) {
	for _, b := range blobs {
		_, err := d.store.Stray(context.WithoutCancel(ctx), project, b.Key)
		switch {
		case err == nil:
			d.remove(ctx, core.Stray{Project: project, Key: b.Key})
		case core.KindOf(err) != core.NotFound:
			d.log.Error("a blob that nobody wants was not looked up", "key", b.Key, "err", err)
		}
	}
}

// remove deletes bytes and then their note, even if the caller is gone.
func (d *Depot) remove(ctx context.Context, s core.Stray) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := d.drop(ctx, s); err != nil {
		d.log.Error("a blob that nobody wants was not deleted; it will be tried again", "key", s.Key, "err", err)
	}
}

func (d *Depot) drop(ctx context.Context, s core.Stray) error {
	if err := d.blobs.Delete(ctx, s.Key); err != nil {
		return err
	}
	return d.store.DropStray(ctx, s.Project, s.Key)
}

// Wake tells Run that owners were deleted.
func (d *Depot) Wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// Run deletes blobs that belong to nothing until ctx ends; then it returns nil.
func (d *Depot) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if n, err := d.Sweep(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("sweep blobs", "err", err)
		} else if n > 0 {
			d.log.Debug("blobs were deleted", "count", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.woken:
		}
	}
}

// Sweep deletes every blob that is due now and returns how many. It goes on behind those that cannot be
// deleted, up to a number that says that none can, and returns the last error.
func (d *Depot) Sweep(ctx context.Context) (done int, last error) {
	failed := 0
	for {
		asked := sweepBatch + failed // those that failed come again
		batch, err := d.store.ClaimStrays(ctx, d.now(), asked)
		if err != nil {
			return done, err
		}
		failed, last = 0, nil
		for _, s := range batch {
			if err := d.drop(ctx, s); err != nil {
				failed++
				last = fmt.Errorf("delete blob %s: %w", s.Key, err)
				continue
			}
			done++
		}
		if len(batch) < asked || failed > maxFailed || ctx.Err() != nil {
			return done, last
		}
	}
}
