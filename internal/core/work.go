package core

import (
	"context"
	"time"
)

// WorkID names a work item.
type WorkID string

// WorkState is where a work item stands. docs/states.md draws it.
type WorkState string

const (
	WorkQueued   WorkState = "queued"   // waits for a worker; may have been offered to one that has not answered yet
	WorkStarting WorkState = "starting" // a worker took it
	WorkActive   WorkState = "active"   // its worker's heart beats
	WorkStopping WorkState = "stopping" // somebody asked its worker to end
	WorkStopped  WorkState = "stopped"  // over, for good
)

// Work is one item in the queue of a self-hosted environment: a session that needs a worker
// (claude-managed-agents.md section 3.3). A session has at most one that is not stopped.
type Work struct {
	Project     ProjectID
	Environment EnvironmentID
	ID          WorkID
	Session     SessionID
	State       WorkState
	Metadata    map[string]string // never nil
	TTL         time.Duration     // what the last heartbeat extended the lease by; whole seconds
	Attempt     int               // how many items of the session before this one ended in vain, one after the other
	CreatedAt   time.Time
	AvailableAt time.Time // no worker gets it before
	OfferedAt   time.Time // of the last offer; zero: never
	// AcknowledgedAt to StoppedAt are zero until it happened.
	AcknowledgedAt  time.Time
	StartedAt       time.Time // the first heartbeat
	LastHeartbeatAt time.Time // strictly later with each heartbeat: the next one must name it
	StopRequestedAt time.Time
	StoppedAt       time.Time
	LeaseUntil      time.Time // the item is stopped when this has passed; zero while it is queued, and once it is stopped
}

// WorkPage is a query for work items, newest first.
type WorkPage struct {
	Limit         int // 1 to 1000
	After, Before *PageKey
}

// WorkCounts describe a queue.
type WorkCounts struct {
	Depth    int       // queued and not offered to anybody yet
	Pending  int       // offered, but not taken
	Workers  int       // distinct workers that asked for work lately
	OldestAt time.Time // when the oldest queued item was made, offered or not; zero: there is none
}

// WorkStore keeps the queues of self-hosted environments.
type WorkStore interface {
	// QueueWork stores w, whose State is WorkQueued, unless its session has an item that is not stopped. Of
	// one that is still queued, AvailableAt is brought forward to that of w and Attempt becomes that of w. It
	// reports whether a worker can get an item now that it could not get before: not so for a session that the
	// project does not have. An unknown environment is NotFound ("reference_not_found").
	QueueWork(ctx context.Context, w Work) (bool, error)
	// Work returns an item. Inside Tx it also holds it until the end; a Tx that holds the session, too, holds
	// that first.
	Work(ctx context.Context, project ProjectID, environment EnvironmentID, id WorkID) (Work, error)
	// WorkByID is Work for who does not know the environment.
	WorkByID(ctx context.Context, project ProjectID, id WorkID) (Work, error)
	// LiveWork returns the session's item that is not stopped. Inside Tx it also holds it.
	LiveWork(ctx context.Context, project ProjectID, session SessionID) (Work, error)
	// UpdateWork replaces all fields but Project, Environment, ID, Session and CreatedAt. The item must have been
	// read in the same Tx.
	UpdateWork(ctx context.Context, w Work) error
	Works(ctx context.Context, project ProjectID, environment EnvironmentID, page WorkPage) ([]Work, error)
	// WorkWaits reports whether OfferWork would find an item, in one read.
	WorkWaits(ctx context.Context, project ProjectID, environment EnvironmentID, now, offeredBefore time.Time) (bool, error)
	// OfferWork sets OfferedAt of the oldest queued item that is available at now and was not offered after
	// offeredBefore, and returns it; NotFound if there is none. Two callers never get the same item.
	OfferWork(ctx context.Context, project ProjectID, environment EnvironmentID, now, offeredBefore time.Time) (Work, error)
	// LostWork returns at most limit items, of any project, whose lease ended at now or before, those first
	// that ended first.
	LostWork(ctx context.Context, now time.Time, limit int) ([]Work, error)
	// CountWork describes a queue. Workers are those that were seen at seenSince or later.
	CountWork(ctx context.Context, project ProjectID, environment EnvironmentID, seenSince time.Time) (WorkCounts, error)
	// SawWorker remembers that a worker, by the name that it gave itself, asked for work; an older time is
	// ignored.
	SawWorker(ctx context.Context, project ProjectID, environment EnvironmentID, worker string, at time.Time) error
	// ForgetWorkers forgets those that were last seen before a time, in any project, and returns how many.
	ForgetWorkers(ctx context.Context, before time.Time) (int, error)
}

// DefaultWorkTTL is how long the lease of an item lasts from its acknowledgement, and from a heartbeat that asks
// for no time of its own (claude-managed-agents.md section 3.3).
const DefaultWorkTTL = 60 * time.Second

// confirmWithin is how long a worker that has not sent a heartbeat yet may take to hear that it should stop.
const confirmWithin = 10 * time.Second

// NewWork is the item to queue for a session that needs a worker from now on.
func NewWork(s Session, now time.Time) Work {
	return Work{
		Project: s.Project, Environment: s.Environment, ID: NewID[WorkID](), Session: s.ID, State: WorkQueued,
		Metadata: map[string]string{}, TTL: DefaultWorkTTL, CreatedAt: now, AvailableAt: now,
	}
}

// Stop ends an item that is not stopped yet: at once with force, or if no worker has taken it; else its worker
// hears of it with its next heartbeat, and has until the end of its lease to confirm.
func (w *Work) Stop(now time.Time, force bool) {
	if w.StopRequestedAt.IsZero() {
		w.StopRequestedAt = now
	}
	if force || w.State == WorkQueued {
		w.State, w.StoppedAt, w.LeaseUntil = WorkStopped, now, time.Time{}
		return
	}
	if w.LastHeartbeatAt.IsZero() { // perhaps whoever took it never means to send one
		if soon := now.Add(confirmWithin); soon.Before(w.LeaseUntil) {
			w.LeaseUntil = soon
		}
	}
	w.State = WorkStopping
}
