package managed

import (
	"errors"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/work"
)

// getWork serves GET /environments/{environment}/work/{work}.
func (f *Face) getWork(c *call) (reply, error) {
	environment, id, err := c.workItem()
	if err != nil {
		return reply{}, err
	}
	w, err := f.work.Work(c.Context(), c.by, environment, id)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(c.fl.workWire(w))
}

// updateWork serves POST /environments/{environment}/work/{work}: metadata is merged, null deletes a key.
func (f *Face) updateWork(c *call) (reply, error) {
	environment, id, err := c.workItem()
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	patch := o.patch("metadata")
	if err := o.end(); err != nil {
		return reply{}, err
	}
	w, err := f.work.Update(c.Context(), c.by, environment, id, patch)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(c.fl.workWire(w))
}

// listWork serves GET /environments/{environment}/work, newest first.
func (f *Face) listWork(c *call) (reply, error) {
	environment, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	w, err := c.window(workList, false, defaultPage, maxPage, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.WorkID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("work", spelled)
		}
		item, err := f.work.Work(c.Context(), c.by, environment, id)
		return cursor{at: item.CreatedAt.UnixMicro(), id: string(item.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	if w.asc {
		return reply{}, core.InvalidField("order", "work items are listed newest first: must be desc")
	}
	q := core.WorkPage{Limit: w.fetch()}
	q.After, q.Before = w.keys()
	items, err := f.work.Works(c.Context(), c.by, environment, q)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(w.envelope(each(items, func(i core.Work) entry {
		return entry{at: i.CreatedAt.UnixMicro(), id: string(i.ID), wire: workPrefix + string(i.ID), body: c.fl.workWire(i)}
	})))
}

// statsOfWork is a queue on the wire.
type statsOfWork struct {
	Type     string `json:"type"`
	Depth    int    `json:"depth"`
	Pending  int    `json:"pending"`
	OldestAt any    `json:"oldest_queued_at"`
	Workers  int    `json:"workers_polling"`
}

// workStats serves GET /environments/{environment}/work/stats.
func (f *Face) workStats(c *call) (reply, error) {
	environment, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	n, err := f.work.Counts(c.Context(), c.by, environment)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(statsOfWork{Type: "work_queue_stats", Depth: n.Depth, Pending: n.Pending, OldestAt: maybeTime(n.OldestAt), Workers: n.Workers})
}

// workWire is a work item on the wire, the same in both dialects but for Secret.
type workWire struct {
	ID              string            `json:"id"`
	Type            string            `json:"type"`
	EnvironmentID   string            `json:"environment_id"`
	Data            workData          `json:"data"`
	State           string            `json:"state"`
	Secret          *string           `json:"secret"` // set in the answer to a poll alone
	Metadata        map[string]string `json:"metadata"`
	CreatedAt       string            `json:"created_at"`
	AcknowledgedAt  any               `json:"acknowledged_at"`
	StartedAt       any               `json:"started_at"`
	LatestHeartbeat any               `json:"latest_heartbeat_at"`
	StopRequestedAt any               `json:"stop_requested_at"`
	StoppedAt       any               `json:"stopped_at"`
}

type workData struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (fl *Flavour) workWire(w core.Work) workWire {
	return workWire{
		ID: workPrefix + string(w.ID), Type: "work", EnvironmentID: environmentPrefix + string(w.Environment),
		Data: workData{Type: "session", ID: fl.sessionPrefix + string(w.Session)}, State: string(w.State), Metadata: metadata(w.Metadata),
		CreatedAt: timestamp(w.CreatedAt), AcknowledgedAt: maybeTime(w.AcknowledgedAt), StartedAt: maybeTime(w.StartedAt),
		LatestHeartbeat: maybeTime(w.LastHeartbeatAt), StopRequestedAt: maybeTime(w.StopRequestedAt), StoppedAt: maybeTime(w.StoppedAt),
	}
}

// errorDetails are what an error says besides.
type errorDetails struct {
	CurrentState leaseWire `json:"current_state"`
}

// leaseWire is how the server sees a lease (CMA section 1.4).
type leaseWire struct {
	State         string `json:"state"`
	TTLSeconds    int64  `json:"ttl_seconds"`
	LastHeartbeat any    `json:"last_heartbeat"`
}

// lostLease adds how the lease stands to the error of a heartbeat that named another one.
func lostLease(err error, detail *errorDetail) {
	var lost *work.Mismatch
	if errors.As(err, &lost) {
		detail.Details = &errorDetails{leaseWire{
			State: string(lost.Work.State), TTLSeconds: int64(lost.Work.TTL / time.Second), LastHeartbeat: maybeTime(lost.Work.LastHeartbeatAt),
		}}
	}
}
