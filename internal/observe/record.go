package observe

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxBatch is how many reports RecordAll takes at once.
const MaxBatch = 5000

const (
	// maxInFlight bounds the bytes of reports in work, and by itself the bytes of bodies that are read.
	maxInFlight = 64 << 20
	// roomWait is how long a report waits for others to finish.
	roomWait = 2 * time.Second
	// roomRetry is what a client that waited in vain is told.
	roomRetry = time.Second
	// reportOverhead is what a report costs beside its texts, in bytes.
	reportOverhead = 1 << 10
)

// Admit makes room for a body of at most size bytes, before a face reads it. The caller calls release once,
// when the reports in it are recorded or given up. A size of 0 or less, or beyond all room, takes all room.
//
// Errors: Unavailable ("busy"), after 2 seconds; ctx's own.
func (s *Service) Admit(ctx context.Context, size int64) (release func(), err error) {
	if size <= 0 {
		size = maxInFlight
	}
	return room(ctx, s.bodies, size)
}

// room waits for its turn: those who wait are served in order, so that a large one is not passed by for ever.
func room(ctx context.Context, all *semaphore.Weighted, size int64) (release func(), err error) {
	size = min(size, maxInFlight)
	wait, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	if err := all.Acquire(wait, size); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for room: %w", ctx.Err())
		}
		return nil, &core.Error{
			Kind: core.Unavailable, Code: "busy", RetryAfter: roomRetry,
			Message: "too many events are being recorded at this moment",
		}
	}
	return func() { all.Release(size) }, nil
}

// Record stores one call. When it returns nil, the call is committed. One whose ID the agent reported before
// is not stored again, and is no error.
//
// Errors: Forbidden ("project_mismatch", "session_agent_mismatch"; no key that may report); RateLimited;
// Invalid, naming the field; TooLarge ("event_too_large"); Unavailable ("busy").
func (s *Service) Record(ctx context.Context, from Source, r Report) (core.CaptureID, error) {
	outcomes, err := s.RecordAll(ctx, from, []Report{r})
	if err != nil {
		return "", err
	}
	return outcomes[0].ID, outcomes[0].Err
}

// Outcome is what became of one report.
type Outcome struct {
	ID        core.CaptureID // empty if Err
	Duplicate bool           // the agent reported this ID before: it is not stored again
	Err       error          // Forbidden, Invalid or TooLarge, as of Record
}

// RecordAll stores those calls that are valid, all at once, and returns one Outcome for each report, in their
// order. When the error is nil, they are committed. An error means that nothing was stored.
//
// Errors: Forbidden ("session_agent_mismatch"; no key that may report); TooLarge ("too_many_events", over
// MaxBatch; or what the allowance says); RateLimited; Unavailable ("busy").
func (s *Service) RecordAll(ctx context.Context, from Source, reports []Report) ([]Outcome, error) {
	if err := checkSource(from); err != nil {
		return nil, err
	}
	if len(reports) > MaxBatch {
		return nil, core.Errorf(core.TooLarge, "too_many_events", "at most %d events can be reported at once", MaxBatch)
	}
	if len(reports) == 0 {
		return []Outcome{}, nil
	}
	// First of all, so that who floods costs next to nothing (reference otas.md, section 8, S8).
	if err := s.allowance.Spend(from.By, from.Agent, len(reports)); err != nil {
		return nil, err
	}
	size := int64(len(reports)) * reportOverhead
	for i := range reports {
		size += reports[i].size()
	}
	release, err := room(ctx, s.work, size)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.record(ctx, from, reports)
}

func (s *Service) record(ctx context.Context, from Source, reports []Report) ([]Outcome, error) {
	outcomes := make([]Outcome, len(reports))
	valid := make([]core.Capture, 0, len(reports))
	places := make([]int, 0, len(reports)) // of the valid ones among the outcomes
	hide, now := newCensor(from.Secrets), s.clock()
	for i, r := range reports {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("record captures: %w", ctx.Err())
		}
		c, err := s.capture(from, r, now, hide)
		if err != nil {
			outcomes[i].Err = err
			continue
		}
		outcomes[i].ID = c.ID
		valid, places = append(valid, c), append(places, i)
	}
	if len(valid) == 0 {
		return outcomes, nil
	}
	fresh, err := s.store.AppendCaptures(ctx, valid)
	if err != nil {
		return nil, fmt.Errorf("record captures: %w", err)
	}
	for i, isNew := range fresh {
		outcomes[places[i]].Duplicate = !isNew
	}
	return outcomes, nil
}

func checkSource(from Source) error {
	by := from.By
	if by.Project == "" || from.Agent == "" || from.Session == "" || by.Kind != core.PrincipalAgent && by.Kind != core.PrincipalSDK {
		return core.Errorf(core.Forbidden, "forbidden", "events are reported with an agent key or an SDK key, and the token of a session")
	}
	if by.Kind == core.PrincipalAgent && by.Agent != from.Agent {
		return core.Errorf(core.Forbidden, "session_agent_mismatch", "the session is not one of this agent")
	}
	return nil
}
