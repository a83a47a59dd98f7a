package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// Each of the others reports so often while one floods.
const otherEvery = 100 * time.Millisecond

// flood measures what agents that behave notice of one that does not.
func (o *otasBench) flood(ctx context.Context) error {
	others, err := o.reporters(ctx)
	if err != nil {
		return err
	}
	shots, err := o.singleShots(others)
	if err != nil {
		return err
	}
	flooder, err := o.newReporter(ctx, "Flooder")
	if err != nil {
		return err
	}
	flooding, err := o.singleShots([]reporter{flooder})
	if err != nil {
		return err
	}
	row, err := o.others(ctx, "others, nobody floods", shots, func(context.Context) error { return nil })
	if err != nil {
		return err
	}
	o.table.add(row)
	var flooded figures
	row, err = o.others(ctx, "others, one agent floods", shots, func(limited context.Context) (err error) {
		flooded, err = o.flooder(ctx, limited, flooding)
		return err
	})
	if err != nil {
		return err
	}
	o.table.add(row)
	o.table.add(flooded)
	o.table.out.line("")
	o.table.out.line("%s", o.table.out.faint(fmt.Sprintf("Of the flooder's %s requests %s were taken and %s answered 429 with Retry-After.",
		thousands(int64(flooded.Count)), thousands(int64(flooded.Count-flooded.Refused)), thousands(int64(flooded.Refused)))))
	return nil
}

// others has every agent but the flooder report at its steady rate, while beside runs.
func (o *otasBench) others(ctx context.Context, what string, shots []shot, beside func(limited context.Context) error) (figures, error) {
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, began.Add(o.flags.duration))
	defer cancel()
	failed := make(chan error, 1) // takes the one result at once
	go func() { failed <- beside(limited) }()
	all, err := crowd(limited, o.agents, func(limited context.Context, i int) ([]time.Duration, error) {
		mine := everyNth(shots, i, o.agents)
		return pace(ctx, limited, o.base, mine, otherEvery, time.Duration(i)*otherEvery/time.Duration(o.agents))
	})
	took := time.Since(began)
	cancel() // after a failure there is nothing left to measure
	if err = errors.Join(err, <-failed); err != nil {
		return figures{}, err
	}
	return newFigures(what, o.agents, 1, took, &all), nil
}

// everyNth returns the shots of one agent: neighbours belong to different ones.
func everyNth(shots []shot, i, n int) (mine []shot) {
	for part := range slices.Chunk(shots, n) {
		mine = append(mine, part[i])
	}
	return mine
}

// pace sends a shot in every interval, from a time on, until limited ends; at least one. What does not
// succeed is a failure: nobody may refuse those who behave.
func pace(ctx, limited context.Context, base string, shots []shot, every, offset time.Duration) (times []time.Duration, err error) {
	w := wire{base: base}
	defer w.close()
	due := time.NewTimer(offset)
	defer due.Stop()
	for i := 0; ; i++ {
		select {
		case <-due.C:
			due.Reset(every)
		case <-limited.Done():
			if i > 0 {
				return times, nil
			}
		}
		began := time.Now()
		if err := w.must(ctx, shots[i%len(shots)], nil); err != nil {
			return times, fmt.Errorf("an agent that behaves: %w", err)
		}
		times = append(times, time.Since(began))
	}
}

// flooder sends as fast as the largest number of clients can, whatever the answers are, and counts refusals.
func (o *otasBench) flooder(ctx, limited context.Context, shots []shot) (figures, error) {
	clients := slices.Max(o.flags.clients)
	var refused atomic.Int64
	began := time.Now()
	all, err := crowd(limited, clients, func(limited context.Context, _ int) (times []time.Duration, err error) {
		w := wire{base: o.base}
		defer w.close()
		for i := 0; i == 0 || limited.Err() == nil; i++ {
			s := shots[i%len(shots)]
			began := time.Now()
			a, err := w.send(ctx, s)
			if err != nil {
				return times, err
			}
			times = append(times, time.Since(began))
			if a.status != http.StatusTooManyRequests {
				if err := a.check(s); err != nil {
					return times, err
				}
				continue
			}
			if a.retryAfter == "" {
				return times, errors.New("a 429 does not say when to come back")
			}
			refused.Add(1)
		}
		return times, nil
	})
	if err != nil {
		return figures{}, err
	}
	row := newFigures("the flooder", clients, 1, time.Since(began), &all)
	row.Refused = int(refused.Load())
	return row, nil
}
