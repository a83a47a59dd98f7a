package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/reeve-ai/reeve/internal/core"
)

// Cluster is a core.Bus of several nodes that share a PostgreSQL database: what happens on one is passed on by
// NOTIFY. Watchers of the same node hear of it at once, those of others some milliseconds later, because what
// comes within gather goes together: a NOTIFY takes a lock that all share, and one in every commit would cut
// the throughput to a third.
//
// What is lost while the connection is away nobody repeats; once it is back, every watcher is told to look.
type Cluster struct {
	*Bus
	url  string
	node string
	log  *slog.Logger
	kick chan struct{} // capacity 1: there is something to pass on

	mu     sync.Mutex
	woken  map[core.SessionID]struct{}
	deltas []core.Delta
}

// Numbers of a Cluster.
const (
	channel   = "reeve_bus"
	gather    = 10 * time.Millisecond
	maxNotice = 7900 // bytes of one payload; PostgreSQL takes less than 8,000
	maxDeltas = 4096 // that wait to be passed on; more are dropped
	maxPause  = 5 * time.Second
)

// notice is the payload of one NOTIFY.
type notice struct {
	Node   string           `json:"n"`
	Woken  []core.SessionID `json:"w,omitempty"`
	Deltas []core.Delta     `json:"d,omitempty"`
}

// NewCluster returns the bus of one node. node is its name, which no other has. Nothing reaches other nodes
// before Run.
func NewCluster(url, node string, log *slog.Logger) *Cluster {
	return &Cluster{Bus: New(), url: url, node: node, log: log, kick: make(chan struct{}, 1), woken: map[core.SessionID]struct{}{}}
}

// Wake implements core.Bus.
func (c *Cluster) Wake(id core.SessionID) {
	c.Bus.Wake(id)
	c.mu.Lock()
	c.woken[id] = struct{}{}
	c.mu.Unlock()
	c.stir()
}

// Publish implements core.Bus.
func (c *Cluster) Publish(d core.Delta) {
	c.Bus.Publish(d)
	c.mu.Lock()
	if len(c.deltas) < maxDeltas {
		c.deltas = append(c.deltas, d)
	}
	c.mu.Unlock()
	c.stir()
}

func (c *Cluster) stir() {
	select {
	case c.kick <- struct{}{}:
	default: // it is known already
	}
}

// Run connects this node with the others until ctx ends, and returns nil. A connection that is lost is made
// again.
func (c *Cluster) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, work := range []struct {
		name string
		do   func(context.Context, *pgx.Conn) error
	}{{"listen", c.listen}, {"notify", c.notify}} {
		group.Go(func() error {
			for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, maxPause) {
				began := time.Now()
				err := c.connected(ctx, work.do)
				if ctx.Err() != nil {
					return nil
				}
				c.log.Warn("the bus lost its connection to the database", "part", work.name, "err", err)
				if time.Since(began) > maxPause {
					pause = 50 * time.Millisecond
				}
				rest := time.NewTimer(pause + rand.N(pause))
				select {
				case <-rest.C:
				case <-ctx.Done():
					rest.Stop()
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// connected runs do on a connection of its own.
func (c *Cluster) connected(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	cfg, err := pgx.ParseConfig(c.url)
	if err != nil {
		return errors.New("bus: the database's address cannot be read") // err may show the password
	}
	cfg.RuntimeParams["application_name"] = "reeve-bus-" + c.node
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("bus: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it is given up anyway
	return do(ctx, conn)
}

// listen passes on to this node's watchers what other nodes tell.
func (c *Cluster) listen(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("bus: listen: %w", err)
	}
	c.WakeAll() // what came before was missed
	for {
		told, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("bus: wait: %w", err)
		}
		var n notice
		if err := json.Unmarshal([]byte(told.Payload), &n); err != nil {
			c.log.Warn("the bus heard something else", "err", err) // a newer node, perhaps
			continue
		}
		if n.Node == c.node {
			continue
		}
		for _, id := range n.Woken {
			c.Bus.Wake(id)
		}
		for _, d := range n.Deltas {
			c.Bus.Publish(d)
		}
	}
}

// notify tells the other nodes what happened here, together what came within gather.
func (c *Cluster) notify(ctx context.Context, conn *pgx.Conn) error {
	for {
		select {
		case <-c.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
		rest := time.NewTimer(gather)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
		payloads := c.payloads()
		if len(payloads) == 0 {
			continue
		}
		if _, err := conn.Exec(ctx, "SELECT pg_notify($1, p) FROM unnest($2::text[]) p", channel, payloads); err != nil {
			return fmt.Errorf("bus: notify: %w", err)
		}
	}
}

// payloads takes what waits and packs it.
func (c *Cluster) payloads() []string {
	c.mu.Lock()
	woken, deltas := c.woken, c.deltas
	c.woken, c.deltas = map[core.SessionID]struct{}{}, nil
	c.mu.Unlock()
	ids := make([]core.SessionID, 0, len(woken))
	for id := range woken {
		ids = append(ids, id)
	}
	var out []string
	for part := range slices.Chunk(ids, maxNotice/2/40) { // an id takes 35 bytes
		out = append(out, c.pack(notice{Woken: part}))
	}
	n, size := notice{}, 0
	for _, d := range deltas {
		raw, err := json.Marshal(d)
		if err != nil || len(raw) > maxNotice/2 {
			continue // the watcher sees by its number that it is missing
		}
		if size+len(raw) > maxNotice-200 {
			out = append(out, c.pack(n))
			n, size = notice{}, 0
		}
		n.Deltas = append(n.Deltas, d)
		size += len(raw) + 1
	}
	if len(n.Deltas) > 0 {
		out = append(out, c.pack(n))
	}
	return out
}

func (c *Cluster) pack(n notice) string {
	n.Node = c.node
	raw, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("bus: payload: %v", err)) // strings and numbers always marshal
	}
	return string(raw)
}
