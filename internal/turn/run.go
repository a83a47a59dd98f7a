package turn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/thread"
)

// run is one runner's work on one thread: from its lease to the settled turn.
type run struct {
	*Runner
	lease core.Lease
	log   *slog.Logger
	alarm *alarm

	sess  core.Session   // as stored; Status and Usage are kept up by this run, after the commit
	spec  core.AgentSpec // of the thread's agent
	tools toolbox

	// Only of a coordinator's session (state.go), and but for team under mu.
	team   bool
	thread core.Thread  // this run's, as last committed
	book   *thread.Book // of the transaction that is under way
	leases []core.Lease // that it took
	said   []core.Block // the last words of the answer that it stores
	self   bool         // self-hosted environment
	waits  bool         // the last decision was to wait for a worker
	env    core.EnvironmentConfig
	brief  string // what the workspace adds to the system prompt

	touched atomic.Bool          // a tool of this run used the sandbox
	shown   map[string]shownFile // what blocks name, by id; nil: nothing was read yet
	squeeze compactor

	remotes []*remote   // the agent's MCP servers
	reached core.TurnID // the turn in which they were reached; empty: none yet

	mu sync.Mutex // tools finish side by side: guards t, and holds from a commit until t has it
	t  *transcript
}

// action is what a step found to be next.
type action int

const (
	done         action = iota + 1 // the turn is settled
	again                          // look again: the state changed
	askModel                       // the model owes an answer; its span is open
	runTools                       // tool uses wait for this server
	reachServers                   // what comes next may need the agent's MCP servers
	tidy                           // the turn is over but for what its tools left in the workspace
	gradeOutcome                   // the turn would be over: the outcome is to be graded; its span is open
	compactFirst                   // the conversation is to be summed up before the model is asked
	keepResults                    // results of clients are too long for the model
)

// Run drives the turns of one leased thread until none is owed. A nil error means that the turn is
// settled. core.ErrLeaseLost means that somebody else has it; ctx's error that it was told to stop
// and still holds the lease.
func (r *Runner) Run(ctx context.Context, lease core.Lease, a *alarm) error {
	v := &run{Runner: r, lease: lease, alarm: a, log: r.log.With("session", lease.Session, "epoch", lease.Epoch)}
	if err := v.load(ctx); err != nil {
		return err
	}
	defer v.leave()
	for {
		next, err := v.next(ctx)
		if err != nil {
			return err
		}
		switch next {
		case done:
			v.recent.keep(lease.Thread, v.t)
			return nil
		case askModel:
			settled, err := v.ask(ctx)
			if err != nil {
				return err
			}
			if settled {
				v.recent.keep(lease.Thread, v.t)
				return nil
			}
		case runTools:
			if err := v.runTools(ctx); err != nil {
				return err
			}
			if err := v.relist(ctx); err != nil {
				return err
			}
		case tidy:
			v.tidy(ctx)
		case gradeOutcome:
			if err := v.grade(ctx); err != nil {
				return err
			}
		case compactFirst, keepResults:
			if err := v.makeRoom(ctx, next); err != nil {
				return err
			}
		case reachServers:
			if err := v.reach(ctx); err != nil {
				return err
			}
		}
	}
}

// load reads what the run starts from. A model request that an earlier run left open is closed first:
// it will be made again.
func (v *run) load(ctx context.Context) error {
	var err error
	if v.sess, err = v.store.Session(ctx, v.lease.Project, v.lease.Session); err != nil {
		return fmt.Errorf("load session %s: %w", v.lease.Session, err)
	}
	v.alarm.hear(v.sess.LastSeq) // the run looks at what waits before it does anything that can be interrupted
	if v.sess.Snapshot == nil {
		return brokenError{fmt.Errorf("session %s has no agent", v.sess.ID)}
	}
	v.spec = *v.sess.Snapshot
	if v.team = v.sess.Coordinates(); v.team {
		if err := v.loadThread(ctx); err != nil {
			return err
		}
	}
	env, err := v.store.Environment(ctx, v.lease.Project, v.sess.Environment)
	if err != nil && core.KindOf(err) != core.NotFound {
		return fmt.Errorf("load environment of session %s: %w", v.sess.ID, err)
	}
	v.self = env.Config.SelfHosted
	v.sess.Elsewhere = v.self
	if v.env = env.Config; err != nil {
		v.env.Networking.Limited = true // no recipe: no network
	}
	v.remotes = remotesOf(v.spec)
	v.equip()
	if v.opts.Workspaces != nil {
		if v.brief, err = v.opts.Workspaces.Brief(ctx, v.described()); err != nil {
			return fmt.Errorf("describe the workspace of session %s: %w", v.sess.ID, err)
		}
	}
	if v.t = v.recent.take(v.lease.Thread); v.t == nil {
		v.t = newTranscript()
	}
	if err := v.t.readOn(ctx, v.store, v.lease); err != nil {
		return err
	}
	if v.t.openSpan == "" {
		return nil
	}
	return v.write(ctx, func(core.Store) ([]core.Draft, error) {
		return []core.Draft{v.spanEnd(true, "", core.Usage{})}, nil
	})
}

// equip works out what the agent may call now.
func (v *run) equip() {
	v.tools = newToolbox(v.spec, v.registry, v.self, v.remotes)
	switch {
	case v.team && v.thread.Parent == "":
		v.tools.addTeam(v.sess)
	case v.team:
		v.tools.prompts = append(v.tools.prompts, memberPrompt)
	}
}

// draft makes an event of this turn.
func (v *run) draft(t core.EventType, payload any) core.Draft {
	return core.NewDraft(v.lease.Thread, v.t.turn, t, payload)
}

func (v *run) spanEnd(isError bool, stop core.Stop, u core.Usage) core.Draft {
	return v.draft(core.EventModelRequestEnd, core.ModelRequestEnd{
		Start: v.t.openSpan, IsError: isError, Stop: string(stop), Usage: u, TookMS: v.now().Sub(v.t.openedAt).Milliseconds(),
	})
}

// write is the one way in which a run appends: in a transaction that holds the lease. What decide does
// to the run must be repeatable, because a transaction may be run twice; the transcript changes only
// after the commit, and only then are watchers told. Writes of tools that end together go one after the
// other: else the transcript would hear of them in another order than the log has.
func (v *run) write(ctx context.Context, decide func(tx core.Store) ([]core.Draft, error)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var events []core.Event
	err := v.store.Tx(ctx, func(tx core.Store) error {
		events = nil
		if err := v.begin(ctx, tx); err != nil {
			return err
		}
		drafts, err := decide(tx)
		if err == nil {
			drafts, err = v.end(ctx, drafts)
		}
		if err != nil || len(drafts) == 0 {
			return err
		}
		events, err = tx.Append(ctx, v.lease.Project, v.lease.Session, v.now(), drafts...)
		return err
	})
	if err != nil {
		return err
	}
	v.committed()
	for _, e := range events {
		if e.Thread != v.lease.Thread {
			continue
		}
		if err := v.t.apply(e); err != nil {
			return err
		}
	}
	if len(events) > 0 {
		v.bus.Wake(v.lease.Session)
	}
	return nil
}

// next takes up what came in and decides what to do, in one transaction.
func (v *run) next(ctx context.Context) (action, error) {
	var act action
	var heard int64
	var work bool // a work item was queued
	err := v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
		work = false
		if err := v.hearResults(ctx, tx); err != nil {
			return nil, err
		}
		queue, err := tx.QueuedEvents(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
		if err != nil {
			return nil, err
		}
		v.t.await(queue)
		heard = newestInterrupt(queue)
		var drafts []core.Draft
		act, drafts, err = v.decide(ctx, tx, queue)
		if err == nil && act == done && v.waits {
			work, err = tx.QueueWork(ctx, core.NewWork(v.sess, v.now()))
		}
		return drafts, err
	})
	if err != nil {
		return 0, err
	}
	if work && v.opts.WorkReady != nil {
		v.opts.WorkReady(v.sess.Environment)
	}
	v.alarm.hear(heard) // what came after the queue was read has a greater Seq, and rings
	switch act {
	case again:
		v.sess, err = v.store.Session(ctx, v.lease.Project, v.lease.Session)
	case askModel:
		if !v.team {
			v.sess.Status = core.StatusRunning
		}
	}
	return act, err
}

// decide is the order of things: an interrupt before all, then answers to tool uses, then the tools,
// then messages, then the model.
func (v *run) decide(ctx context.Context, tx core.Store, queue []core.Event) (action, []core.Draft, error) {
	v.waits = false
	q := sortQueue(queue, v.t.begun)
	if len(q.interrupts) > 0 {
		if v.touched.Load() {
			return tidy, nil, nil
		}
		return v.interrupted(ctx, tx, q)
	}
	if len(q.confirmations) > 0 {
		d, err := v.takeUp(ctx, tx, q.confirmations)
		return again, d, err
	}
	ours, theirs := v.openUses()
	switch {
	case len(ours) > 0 && v.owesReach():
		return reachServers, nil, nil
	case len(ours) > 0:
		return runTools, nil, nil
	case len(theirs) > 0:
		if v.touched.Load() {
			return tidy, nil, nil
		}
		v.waits = v.self
		d, err := v.settle(ctx, tx, core.StopReason{Type: core.StopRequiresAction, Events: theirs})
		return done, d, err
	}
	if !v.t.owesAnswer() && (!q.asks || v.t.goal.grading != "") {
		if v.touched.Load() {
			return tidy, nil, nil
		}
		if act, d, err := v.gradeNext(ctx, tx); act != 0 || err != nil {
			return act, d, err
		}
		if !q.asks {
			d, err := v.settle(ctx, tx, core.StopReason{Type: core.StopEndTurn})
			return done, d, err
		}
	}
	if act, d, err := v.stopShort(ctx, tx, queue); act != 0 || err != nil {
		return act, d, err
	}
	if v.owesReach() {
		return reachServers, nil, nil
	}
	if next := v.owesRoom(q.messages); next != 0 {
		return next, nil, nil
	}
	var drafts []core.Draft
	if len(q.messages) > 0 {
		var err error
		if drafts, err = v.takeUp(ctx, tx, q.messages); err != nil {
			return 0, nil, err
		}
		if err := v.beginOutcome(ctx, tx, queue); err != nil {
			return 0, nil, err
		}
	}
	if v.t.steps >= v.opts.MaxSteps {
		if v.touched.Load() && len(drafts) == 0 {
			return tidy, nil, nil
		}
		d, err := v.giveUp(ctx, tx, core.SessionError{
			Type: core.ModelUnknown, Retry: "exhausted",
			Message: fmt.Sprintf("the turn was stopped after %d steps", v.opts.MaxSteps),
		}, core.StopMaxSteps)
		return done, append(drafts, d...), err
	}
	if v.status() != core.StatusRunning { // an earlier run died while it waited to try again
		d, err := v.goOn(ctx, tx, v.t.turn)
		if err != nil {
			return 0, nil, err
		}
		drafts = append(drafts, d...)
	}
	return askModel, append(drafts, v.draft(core.EventModelRequestStart, core.ModelRequestStart{Model: v.spec.Model.ID})), nil
}

// hearResults takes in what clients and workers answered while the turn ran: they see a tool use when it is
// appended, and need not wait for the turn to say that it waits. The session is held, so that an answer comes
// either before this decision or behind it, where it finds the session idle.
func (v *run) hearResults(ctx context.Context, tx core.Store) error {
	if !slices.ContainsFunc(v.t.uses, func(u *use) bool { return v.tools.entries[u.called()].client }) {
		return nil
	}
	if _, err := tx.Session(ctx, v.lease.Project, v.lease.Session); err != nil {
		return err
	}
	events, err := tx.Events(ctx, v.lease.Project, v.lease.Session, core.EventQuery{
		After: v.t.heard, Limit: readPage, Types: []core.EventType{core.EventUserToolResult, core.EventUserCustomToolResult}, Thread: v.lease.Thread,
	})
	if err != nil {
		return fmt.Errorf("read answers in session %s: %w", v.lease.Session, err)
	}
	for _, e := range events {
		if err := v.t.hear(e); err != nil {
			return err
		}
	}
	return nil
}

// queue is unprocessed input by kind, oldest first.
type queue struct {
	messages, confirmations, interrupts []core.EventID
	stopped                             []core.EventID // messages that an interrupt keeps from being answered
	asks                                bool           // messages has one that the agent has to do something about
}

// sortQueue sorts the input of a turn that began at a Seq. The messages that it began with are part of
// it, so an interrupt that came later ends it for them too, even if the run was not quick enough to take
// them up: the client cannot know that. Messages that came since wait for the next turn, but for reports of the team: who
// stops the team does not want it called by what it said before. An outcome is ended by every later interrupt.
func sortQueue(events []core.Event, begun int64) queue {
	var q queue
	newest := newestInterrupt(events)
	interrupted := newest > begun
	for _, e := range events {
		switch e.Type {
		case core.EventUserInterrupt:
			q.interrupts = append(q.interrupts, e.ID)
		case core.EventUserToolConfirmation:
			q.confirmations = append(q.confirmations, e.ID)
		default:
			before := e.Seq < newest
			if interrupted && (e.Seq < begun || before && e.Type == core.EventMessageReceived) || before && e.Type == core.EventUserDefineOutcome {
				q.stopped = append(q.stopped, e.ID)
			} else {
				q.messages = append(q.messages, e.ID)
				q.asks = q.asks || e.Type != core.EventSystemMessage
			}
		}
	}
	return q
}

// newestInterrupt returns the Seq of the last interrupt among events, or 0.
func newestInterrupt(events []core.Event) int64 {
	for _, e := range slices.Backward(events) {
		if e.Type == core.EventUserInterrupt {
			return e.Seq
		}
	}
	return 0
}

// takeUp marks input as processed and drafts its place in the log.
func (v *run) takeUp(ctx context.Context, tx core.Store, ids []core.EventID) ([]core.Draft, error) {
	if err := tx.MarkProcessed(ctx, v.lease.Project, v.lease.Session, v.now(), ids...); err != nil {
		return nil, err
	}
	return []core.Draft{v.draft(core.EventInputProcessed, core.InputProcessed{Events: ids})}, nil
}

// openUses splits the tool uses without a result into those that this server answers now and those
// that wait for the client.
func (v *run) openUses() (ours []*use, theirs []core.EventID) {
	for _, u := range v.t.uses {
		e, known := v.tools.entries[u.called()]
		asks := u.Permission == "ask" && !u.allowed && (known || u.Kind == core.ToolsetMCP) // its server may be away only now
		switch {
		case u.Permission == "deny" || u.refused || u.InputError != "":
			ours = append(ours, u)
		case asks, known && e.client:
			theirs = append(theirs, u.event)
		default:
			ours = append(ours, u)
		}
	}
	return ours, theirs
}

// interrupted ends the turn: every open tool use gets a result, and what the turn began with its place,
// so that the conversation stays whole. Messages that waited begin the next turn at once.
func (v *run) interrupted(ctx context.Context, tx core.Store, q queue) (action, []core.Draft, error) {
	drafts, err := v.takeUp(ctx, tx, append(q.interrupts, q.confirmations...))
	if err != nil {
		return 0, nil, err
	}
	for _, u := range v.t.uses {
		text := "The user interrupted before this ran."
		if u.maybeRan {
			text = "The user interrupted. Whether this ran, and how far, is unknown."
		}
		d, err := v.dropConsultation(ctx, tx, u)
		if err != nil {
			return 0, nil, err
		}
		drafts = append(append(drafts, d...), v.result(u, core.ToolOutput{Content: core.Text(text), IsError: true}, 0))
	}
	if len(q.stopped) > 0 {
		d, err := v.takeUp(ctx, tx, q.stopped)
		if err != nil {
			return 0, nil, err
		}
		drafts = append(drafts, d...)
	}
	ended, err := v.stopOutcome(ctx, tx, core.OutcomeInterrupted, "A client interrupted the work.", q.messages)
	if err != nil {
		return 0, nil, err
	}
	drafts = append(drafts, ended...)
	if !q.asks {
		d, err := v.settle(ctx, tx, core.StopReason{Type: core.StopInterrupted})
		return done, append(drafts, d...), err
	}
	d, err := v.startOver(ctx, tx, core.StopReason{Type: core.StopInterrupted})
	return again, append(drafts, d...), err
}

// settle ends the turn: the session is idle, the lease is given up.
func (v *run) settle(ctx context.Context, tx core.Store, stop core.StopReason) ([]core.Draft, error) {
	if v.team {
		return v.rest(ctx, tx, stop)
	}
	sess := v.stamped(core.StatusIdle, &stop)
	sess.Usage.ActiveMS += v.activeMS()
	if err := tx.SetSessionState(ctx, sess); err != nil {
		return nil, err
	}
	return v.idleDrafts(stop), tx.SettleTurn(ctx, v.lease)
}

// idleDrafts are the last two events of a turn: the totals come right before the idle.
func (v *run) idleDrafts(stop core.StopReason) []core.Draft {
	total := v.sess.Usage
	total.ActiveMS += v.activeMS()
	return []core.Draft{
		v.draft(core.EventSessionUsage, core.UsageSnapshot{Usage: total, Budget: v.sess.Budget}),
		v.draft(core.EventStatusIdle, stop),
	}
}

func (v *run) activeMS() int64 {
	if v.t.started.IsZero() {
		return 0
	}
	return max(0, v.now().Sub(v.t.started).Milliseconds())
}

// stamped is the session as it will be stored. It is a copy, because the transaction may fail, or be
// run again and then decide something else.
func (v *run) stamped(status core.SessionStatus, stop *core.StopReason) core.Session {
	s := v.sess
	s.Status, s.StopReason, s.UpdatedAt = status, stop, v.now()
	return s
}

// giveUp ends the turn with an error that the client sees. Messages that wait are taken up, so that
// they are part of the conversation when the next one comes.
func (v *run) giveUp(ctx context.Context, tx core.Store, e core.SessionError, stop core.StopType) ([]core.Draft, error) {
	var drafts []core.Draft
	queued, err := tx.QueuedEvents(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
	if err != nil {
		return nil, err
	}
	v.t.await(queued)
	if q := sortQueue(queued, 0); len(queued) > 0 { // 0: all messages are taken up in any case
		ids := slices.Concat(q.interrupts, q.confirmations, q.stopped, q.messages)
		if drafts, err = v.takeUp(ctx, tx, ids); err != nil {
			return nil, err
		}
	}
	drafts = append(drafts, v.draft(core.EventSessionError, e))
	ended, err := v.stopOutcome(ctx, tx, core.OutcomeFailed, "The turn failed: "+e.Message, nil)
	if err != nil {
		return nil, err
	}
	drafts = append(drafts, ended...)
	idle, err := v.settle(ctx, tx, core.StopReason{Type: stop})
	return append(drafts, idle...), err
}

// abandon settles a turn that cannot be run at all, because its log or our code is broken.
func (r *Runner) abandon(ctx context.Context, lease core.Lease) error {
	v := &run{Runner: r, lease: lease, log: r.log, t: newTranscript()}
	var err error
	if v.sess, err = r.store.Session(ctx, lease.Project, lease.Session); err != nil {
		return err
	}
	if v.team = v.sess.Coordinates(); v.team {
		if err := v.loadThread(ctx); err != nil {
			return err
		}
	}
	err = r.store.Tx(ctx, func(tx core.Store) error {
		if err := v.begin(ctx, tx); err != nil {
			return err
		}
		if !v.team {
			if v.sess, err = tx.Session(ctx, lease.Project, lease.Session); err != nil {
				return err
			}
		}
		drafts, err := v.giveUp(ctx, tx, core.SessionError{
			Type: core.ModelUnknown, Retry: "exhausted",
			Message: "the turn failed inside the server; its log holds the cause",
		}, core.StopRetriesExhausted)
		if err == nil {
			drafts, err = v.end(ctx, drafts)
		}
		if err != nil {
			return err
		}
		_, err = tx.Append(ctx, lease.Project, lease.Session, r.now(), drafts...)
		return err
	})
	if err == nil {
		v.committed()
	}
	return err
}

// tidyTime bounds tidy: what it does not get to is left for the next turn.
const tidyTime = 2 * time.Minute

// tidy takes what the tools left in the workspace, before clients see that the turn is over. That it fails is
// no reason to run the turn again: the next one that uses the sandbox brings the rest.
func (v *run) tidy(ctx context.Context) {
	v.touched.Store(false)
	limited, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	if err := v.opts.Workspaces.Settle(limited, v.sess); err != nil && ctx.Err() == nil {
		v.log.Error("what the turn left in its workspace could not be taken", "err", err)
	}
}

// prompt is the system prompt: what the capabilities say, the agent's own, what its workspace holds.
func (v *run) prompt() string {
	parts := append(append([]string{}, v.tools.prompts...), v.spec.System, v.brief)
	return strings.TrimSpace(strings.Join(parts, "\n\n"))
}

// alarm wakes a run that waits for the model. It may ring at any time and from any goroutine, also for
// an interrupt that the run has found in its queue before.
type alarm struct {
	mu     sync.Mutex
	rung   int64                   // Seq of the newest interrupt that it rang for
	heard  int64                   // Seq up to which the run has taken interrupts up
	cancel context.CancelCauseFunc // set while something can be interrupted
}

// errInterrupted is the cause of a model call that a client interrupted.
var errInterrupted = errors.New("interrupted by the client")

func (a *alarm) ring(seq int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rung = max(a.rung, seq)
	if a.cancel != nil && a.rung > a.heard {
		a.cancel(errInterrupted)
	}
}

// hear says that the interrupts up to a Seq were taken up: ringing for them wakes nobody.
func (a *alarm) hear(seq int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = max(a.heard, seq)
}

// interruptible returns a context that ends when the alarm rings, or has rung unheard.
func (a *alarm) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rung > a.heard {
		cancel(errInterrupted)
	}
	a.cancel = cancel
	return ctx, func() {
		a.mu.Lock()
		a.cancel = nil
		a.mu.Unlock()
		cancel(nil)
	}
}

// wait sleeps for d. It reports false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
