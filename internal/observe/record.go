package observe

import (
	"context"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// MaxBatch is how many reports RecordAll takes at once.
const MaxBatch = 5000

// reportOverhead is what a report costs in memory beside its texts, in bytes.
const reportOverhead = 1 << 10

// Spend takes n reports from the allowance of the agent, all or nothing; n below 1 takes nothing. Record and
// RecordAll do not: the face calls it, before it parses anything, so that who floods with what is no report
// costs next to nothing either (reference otas.md, section 8, S8). It takes 1 for a single report before it
// reads the body, and in a batch so many as there are lines in each part of the body, as it reads them.
//
// Errors: Forbidden ("session_agent_mismatch"; no key that may report); RateLimited, with RetryAfter; TooLarge
// ("over_allowance"), for more than one agent may ever report at once.
func (s *Service) Spend(from Source, n int) error {
	if err := checkSource(from); err != nil {
		return err
	}
	return s.allowance.Spend(from.By, from.Agent, n)
}

// Record stores one call. When it returns nil, the call is committed. One whose ID the agent reported before
// is not stored again, and is no error. It takes the size of the report from the agent's allowance of bytes; the
// report itself the caller has taken before, with Spend.
//
// Errors: Forbidden ("project_mismatch", "session_agent_mismatch"; no key that may report); RateLimited;
// Invalid, naming the field; TooLarge ("event_too_large", "over_allowance"); NotFound ("session_not_found": it
// was deleted meanwhile); Unavailable ("busy").
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
// order. When the error is nil, they are committed. An error means that nothing was stored, except one of the
// store itself, which may come after the commit. It takes the sizes of all reports from the agent's allowance
// of bytes; the reports themselves the caller has taken before, with Spend.
//
// Errors: Forbidden ("session_agent_mismatch"; no key that may report); TooLarge ("too_many_events", over
// MaxBatch; "over_allowance"); RateLimited; NotFound ("session_not_found": it was deleted meanwhile);
// Unavailable ("busy").
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
	size := 0
	for i := range reports {
		size += int(reports[i].size())
	}
	if err := s.allowance.SpendBytes(from.By, from.Agent, size); err != nil {
		return nil, err
	}
	release, err := room(ctx, s.work, int64(size+len(reports)*reportOverhead))
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
	s.marks.changed(valid) // even if there is an error: it may have been committed
	if err != nil {
		return nil, fmt.Errorf("record captures: %w", err)
	}
	if err := s.forgetLate(ctx, from); err != nil {
		return nil, err
	}
	for i, isNew := range fresh {
		outcomes[places[i]].Duplicate = !isNew
	}
	return outcomes, nil
}

// forgetLate takes captures back whose session was deleted after the reporter's key and token were checked.
// Nobody could ask for them, and nobody would delete them.
func (s *Service) forgetLate(ctx context.Context, from Source) error {
	if _, gone := s.gone.GetIfPresent(sessionKey{from.By.Project, from.Session}); !gone {
		return nil
	}
	if err := s.Forget(context.WithoutCancel(ctx), from.By.Project, from.Session); err != nil {
		return err
	}
	return core.NotFoundError("session", core.FormatUUID(from.Session))
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
