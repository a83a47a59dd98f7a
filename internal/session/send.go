package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// Input is one thing that a client sends to a session: exactly one field is set.
type Input struct {
	Message      *core.Message
	Interrupt    *core.Interrupt
	Confirmation *core.ToolConfirmation
	CustomResult *core.ToolResult // the answer to a custom tool
	ToolResult   *core.ToolResult // a worker's answer to a built-in tool of a self-hosted session
	Outcome      *core.NewOutcome
	System       *core.Message // an instruction of the operator's; only text
}

// SendOptions vary Send by dialect.
type SendOptions struct {
	// RefuseBusy makes a message to a running session a Conflict ("session_busy") instead of queueing
	// it (Qoder, qoder.md section 3.5).
	RefuseBusy bool
}

// MaxMessageBlocks bounds the content of one message; MaxBlockText the text of one block, in bytes.
const (
	MaxMessageBlocks = 1000
	MaxBlockText     = 10 << 20
)

// accepted is what a transaction took in, for what follows the commit.
type accepted struct {
	events    []core.Event
	lease     core.Lease
	leased    bool
	interrupt int64              // Seq of the last interrupt in events; 0: none that has to be looked at
	work      core.EnvironmentID // whose queue got an item; empty: none did
	leases    []core.Lease       // of a coordinator's threads, besides lease
	rings     []ring             // the same for interrupt
}

// Send appends the caller's input and marks that its thread owes a turn. One transaction does both: if
// Send returns nil, a turn will run. The accepted events come back in the order of in.
//
// A message to a running session waits in its queue. A confirmation or a result must answer a tool use
// that waits for it, or will once the turn has come that far; when the last one is answered, the turn goes on.
// A worker may send to the sessions that it serves, but confirm nothing: what asks for a person's word is not
// for the machine that runs it.
//
// Errors: NotFound; Invalid (no input, a bad block, an answer that nothing waits for,
// "session_archived", "session_observed"); Conflict ("session_busy"); RateLimited; Forbidden.
func (s *Service) Send(ctx context.Context, by core.Principal, id core.SessionID, in []Input, opts SendOptions) ([]core.Event, error) {
	if !by.IsWorker() {
		if err := by.Require(core.RoleMember); err != nil {
			return nil, err
		}
	} else if slices.ContainsFunc(in, func(i Input) bool { return i.Confirmation != nil }) {
		return nil, core.Errorf(core.Forbidden, "forbidden", "a worker may not confirm tool uses")
	}
	if len(in) == 0 || len(in) > MaxInputs {
		return nil, core.InvalidField("events", "1 to %d events", MaxInputs)
	}
	for i := range in {
		if err := checkInput(indexed("events", i), in[i]); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(in, func(i Input) bool { return i.Interrupt == nil }) { // a full node is no reason to let a turn go on
		if err := s.dispatch.Admit(); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(oneOutcome("events", in), placedSystem("events", in)); err != nil {
		return nil, err
	}
	in, err := s.withRubrics(ctx, by.Project, "events", in)
	if err != nil {
		return nil, err
	}
	var took accepted
	err = s.store.Tx(ctx, func(tx core.Store) error {
		sess, err := open(ctx, tx, by, id, core.RoleMember)
		if err != nil {
			return err
		}
		if err := s.checkSources(ctx, tx, sess.Project, "events", in); err != nil {
			return err
		}
		took, err = s.accept(ctx, tx, &sess, in, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.announce(id, took)
	return took.events, nil
}

// announce does what may only follow the commit.
func (s *Service) announce(id core.SessionID, took accepted) {
	switch {
	case took.leased:
		s.dispatch.Start(took.lease) // this run looks for interrupts before all
	case took.interrupt > 0:
		s.dispatch.Interrupt(core.PrimaryThread(id), took.interrupt)
	}
	for _, lease := range took.leases {
		s.dispatch.Start(lease)
	}
	for _, r := range took.rings {
		s.dispatch.Interrupt(r.thread, r.seq)
	}
	if len(took.events) > 0 {
		s.bus.Wake(id)
	}
	if took.work != "" && s.workReady != nil {
		s.workReady(took.work)
	}
}

// accept appends the input to a session that tx holds, and owes a turn if one is due.
func (s *Service) accept(ctx context.Context, tx core.Store, sess *core.Session, in []Input, opts SendOptions) (accepted, error) {
	if err := takes(*sess, in, opts); err != nil {
		return accepted{}, err
	}
	if sess.Coordinates() {
		return s.acceptTeam(ctx, tx, sess, in)
	}
	return s.take(ctx, tx, sess, soloDesk(*sess), in)
}

// take is accept for the input of one thread.
func (s *Service) take(ctx context.Context, tx core.Store, sess *core.Session, at desk, in []Input) (accepted, error) {
	now, thread := s.now(), at.thread
	elsewhere, err := selfHosted(ctx, tx, *sess)
	if err != nil {
		return accepted{}, err
	}
	waiting := waitingFor(at.own)
	idle := at.own.Status == core.StatusIdle
	if err := s.takesSystem(*sess, "events", in, waiting); err != nil {
		return accepted{}, err
	}
	halted := halted(at.own) || idle && thread == core.PrimaryThread(sess.ID) && sess.ActiveOutcome() != nil // work is left
	moot := idle && len(waiting) == 0 && !halted                                                             // nothing runs and nothing waits: an interrupt is done with at once
	drafts := make([]core.Draft, 0, len(in)+3)
	var taken, placed []core.EventID // placed: confirmations that no turn takes up, because a worker runs the tool
	due, interrupted := false, -1    // the last interrupt in in that is not moot
	for i, input := range in {
		a := asked{tx, at.own, thread, at.field(i), elsewhere, &waiting, &taken}
		d, err := a.draft(ctx, input)
		if err != nil {
			return accepted{}, err
		}
		d.Thread, d.Shared = thread, thread != core.PrimaryThread(sess.ID) && at.places[i] >= 0
		if input.Confirmation != nil && !d.Queued {
			placed = append(placed, d.ID)
		}
		if input.Interrupt != nil && !moot {
			d.Queued, interrupted = true, i
		}
		drafts = append(drafts, d)
		due = due || input.Message != nil || input.Outcome != nil || input.Interrupt != nil && (len(waiting) > 0 || halted)
	}
	defined, err := defineOutcomes(sess, at.field, drafts)
	if err != nil {
		return accepted{}, err
	}
	if len(placed) > 0 {
		drafts = append(drafts, core.NewDraft(thread, "", core.EventInputProcessed, core.InputProcessed{Events: placed}))
	}
	answered := len(waitingFor(at.own)) - len(waiting)
	// While tool uses wait for the client, messages wait too: every vendor wants the results first.
	due = idle && (answered > 0 && len(waiting) == 0 || due && (len(waiting) == 0 || interrupted >= 0))
	switch {
	case due:
		drafts = append(drafts, at.start(sess)...)
	case answered > 0, len(placed) > 0: // some of several, or one that a worker runs now: say again which are left
		drafts = append(drafts, at.wait(sess, waiting)...)
	}
	if len(drafts) > len(in) || defined {
		sess.UpdatedAt = now
		if err := tx.UpdateSession(ctx, *sess); err != nil {
			return accepted{}, err
		}
	}
	events, err := tx.Append(ctx, sess.Project, sess.ID, now, drafts...)
	if err != nil {
		return accepted{}, err
	}
	sess.LastSeq = events[len(events)-1].Seq
	took := accepted{events: events[:len(in)]}
	if interrupted >= 0 {
		took.interrupt = events[interrupted].Seq
	}
	if due {
		if took.lease, took.leased, err = tx.OweTurn(ctx, sess.Project, sess.ID, thread, s.dispatch.Node(), now, s.dispatch.LeaseUntil(now)); err != nil {
			return took, err
		}
	}
	if elsewhere && (!moot || slices.ContainsFunc(in, func(i Input) bool { return i.Interrupt == nil })) {
		took.work, err = offerWork(ctx, tx, *sess, now)
	}
	return took, err
}

// takes says whether the session takes this input at all.
func takes(sess core.Session, in []Input, opts SendOptions) error {
	switch {
	case sess.Origin != core.OriginManaged:
		return core.Errorf(core.Invalid, "session_observed", "the agent of this session runs elsewhere: nothing can be sent to it")
	case !sess.ArchivedAt.IsZero():
		return errArchived
	case sess.Status == core.StatusTerminated:
		return core.Errorf(core.Invalid, "session_terminated", "the session is terminated")
	}
	if sess.Budget.Reached(sess.Usage) && !settles(in) {
		return errAtBudget
	}
	if opts.RefuseBusy && busy(sess) && slices.ContainsFunc(in, Input.asks) {
		return core.Errorf(core.Conflict, "session_busy", "the session is running: wait for it to be idle, or cancel it")
	}
	return nil
}

// waitingFor returns the tool uses that wait for the client, oldest first.
func waitingFor(sess core.Session) []core.EventID {
	if sess.Status != core.StatusIdle || sess.StopReason == nil || sess.StopReason.Type != core.StopRequiresAction {
		return nil
	}
	return slices.Clone(sess.StopReason.Events)
}

func checkInput(field string, in Input) error {
	switch {
	case in.Message != nil:
		if len(in.Message.Content) == 0 {
			return core.InvalidField(field+".content", "must not be empty")
		}
		return checkBlocks(field+".content", in.Message.Content)
	case in.Outcome != nil:
		return checkOutcome(field, in.Outcome)
	case in.System != nil:
		return checkSystem(field, in.System)
	case in.CustomResult != nil:
		return checkBlocks(field+".content", in.CustomResult.Content)
	case in.ToolResult != nil:
		return checkBlocks(field+".content", in.ToolResult.Content)
	case in.Confirmation != nil:
		if in.Confirmation.Allow && in.Confirmation.Reason != "" {
			return core.InvalidField(field+".deny_message", "goes only with a refusal")
		}
		return nil
	case in.Interrupt != nil:
		return nil
	}
	return core.InvalidField(field+".type", "unknown event type")
}

func checkBlocks(field string, blocks []core.Block) error {
	if len(blocks) > MaxMessageBlocks {
		return core.InvalidField(field, "at most %d blocks", MaxMessageBlocks)
	}
	for i, b := range blocks {
		at := indexed(field, i)
		switch b.Type {
		case core.BlockText, core.BlockSearchResult:
			if len(b.Text) > MaxBlockText {
				return core.InvalidField(at+".text", "at most %d bytes", MaxBlockText)
			}
		case core.BlockImage, core.BlockDocument:
			if b.Source == nil {
				return core.InvalidField(at+".source", "is required")
			}
		default:
			return core.InvalidField(at+".type", "unknown block type %q", b.Type)
		}
	}
	return nil
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// Cancel interrupts the session's turn. It reports whether there was one.
//
// Errors: NotFound; Invalid ("session_archived", "session_observed"); Forbidden.
func (s *Service) Cancel(ctx context.Context, by core.Principal, id core.SessionID) (bool, error) {
	if by.IsWorker() {
		return false, by.Require(core.RoleMember)
	}
	sess, err := s.Session(ctx, by, id)
	if err != nil {
		return false, err
	}
	if !busy(sess) && len(waitingFor(sess)) == 0 {
		return false, by.Require(core.RoleMember)
	}
	_, err = s.Send(ctx, by, id, []Input{{Interrupt: &core.Interrupt{}}}, SendOptions{})
	return err == nil, err
}
