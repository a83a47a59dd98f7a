package managed

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/work"
)

const (
	workPrefix = "work_"
	workList   = "work" // its name in cursors
)

// noHeartbeat is what the first heartbeat expects (CMA section 3.3).
const noHeartbeat = "NO_HEARTBEAT"

// workRoutes are those of the queues of self-hosted environments (CMA section 3.3, qoder.md section 3.6).
func (f *Face) workRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/environments/{environment}/work", serve: f.listWork},
		{method: http.MethodGet, path: "/environments/{environment}/work/poll", serve: f.pollWork, worker: true, uncounted: true},
		{method: http.MethodGet, path: "/environments/{environment}/work/stats", serve: f.workStats},
		{method: http.MethodGet, path: "/environments/{environment}/work/{work}", serve: f.getWork},
		{method: http.MethodPost, path: "/environments/{environment}/work/{work}", serve: f.updateWork},
		{method: http.MethodPost, path: "/environments/{environment}/work/{work}/ack", serve: f.acknowledgeWork, worker: true},
		{method: http.MethodPost, path: "/environments/{environment}/work/{work}/heartbeat", serve: f.heartbeatWork, worker: true, uncounted: true},
		{method: http.MethodPost, path: "/environments/{environment}/work/{work}/stop", serve: f.stopWork, worker: true},
	}
}

// workItem reads the two ids of a path.
func (c *call) workItem() (core.EnvironmentID, core.WorkID, error) {
	environment, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return "", "", err
	}
	id, err := pathID[core.WorkID](c, "work")
	return environment, id, err
}

// inWork replaces the NotFound of the service, which knows no prefixes, by one in the client's spelling.
func (c *call) inWork(err error) error {
	for _, noun := range []string{"environment", "work"} {
		if core.KindOf(err) == core.NotFound && core.CodeOf(err) == noun+"_not_found" {
			return core.NotFoundError(noun, c.PathValue(noun))
		}
	}
	return err
}

// pollWork serves GET /environments/{environment}/work/poll. An empty queue is null, with status 200: that is
// all that every client takes for it (CMA section 3.3).
func (f *Face) pollWork(c *call) (reply, error) {
	environment, err := pathID[core.EnvironmentID](c, "environment")
	if err != nil {
		return reply{}, err
	}
	block, err := c.query.number("block_ms", 0, int(work.MaxBlock/time.Millisecond))
	if err != nil {
		return reply{}, err
	}
	reclaim, err := c.query.natural("reclaim_older_than_ms", int64(work.DefaultReclaim/time.Millisecond))
	if err != nil {
		return reply{}, err
	}
	offer, err := f.work.Poll(c.Context(), c.by, environment, work.Poll{
		Worker: workerID(c.Request), Block: time.Duration(block) * time.Millisecond, Reclaim: milliseconds(reclaim),
	})
	if err != nil {
		return reply{}, c.inWork(err)
	}
	if offer == nil {
		return ok(nil)
	}
	w := c.fl.workWire(offer.Work)
	secret := base64.RawURLEncoding.EncodeToString(encode(workSecret{SessionsToken: offer.Token, APIBaseURL: baseURL(c.Request)}))
	w.Secret = &secret
	return ok(w)
}

// workSecret is what a worker finds in the secret of an item (CMA section 3.3).
type workSecret struct {
	SessionsToken string `json:"sessions_token"`
	APIBaseURL    string `json:"api_base_url"`
}

// workerID is the name that a worker gives itself; each dialect has a header of its own.
func workerID(r *http.Request) string {
	if id := r.Header.Get("Anthropic-Worker-ID"); id != "" {
		return id
	}
	return r.Header.Get("Worker-ID")
}

// baseURL is the address under which the client reaches this face: what its SDK puts before paths. The scheme
// may be that of a proxy, which only this client is told.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	prefix, _, _ := strings.Cut(r.URL.Path, "/environments/")
	return scheme + "://" + r.Host + strings.TrimSuffix(prefix, "/v1") // Claude's SDKs add /v1 themselves
}

// natural reads an integer of at least 0; absent is fallback.
func (q query) natural(name string, fallback int64) (int64, error) {
	raw := q.Get(name)
	if raw == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n < 0 {
		return 0, core.InvalidField(name, "must be an integer of at least 0")
	}
	return n, nil
}

// milliseconds is a duration that does not overflow.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// acknowledgeWork serves POST /environments/{environment}/work/{work}/ack.
func (f *Face) acknowledgeWork(c *call) (reply, error) {
	environment, id, err := c.workItem()
	if err != nil {
		return reply{}, err
	}
	w, err := f.work.Acknowledge(c.Context(), c.by, environment, id)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(c.fl.workWire(w))
}

// heartbeatWire is the answer to a heartbeat.
type heartbeatWire struct {
	Type          string `json:"type"`
	LastHeartbeat any    `json:"last_heartbeat"`
	LeaseExtended bool   `json:"lease_extended"`
	State         string `json:"state"`
	TTLSeconds    int64  `json:"ttl_seconds"`
}

// heartbeatWork serves POST /environments/{environment}/work/{work}/heartbeat.
func (f *Face) heartbeatWork(c *call) (reply, error) {
	environment, id, err := c.workItem()
	if err != nil {
		return reply{}, err
	}
	beat := work.Beat{Strict: c.fl.strictLease}
	if beat.Expected, err = c.query.heartbeat("expected_last_heartbeat"); err != nil {
		return reply{}, err
	}
	if raw := c.query.Get("desired_ttl_seconds"); raw != "" {
		n, err := strconv.ParseInt(raw, 10, 64)
		if err != nil {
			return reply{}, core.InvalidField("desired_ttl_seconds", "must be an integer")
		}
		beat.TTL = time.Duration(min(max(n, 1), math.MaxInt32)) * time.Second // the service cuts it down further
	}
	w, extended, err := f.work.Heartbeat(c.Context(), c.by, environment, id, beat)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(heartbeatWire{
		Type: "work_heartbeat", LastHeartbeat: maybeTime(w.LastHeartbeatAt), LeaseExtended: extended,
		State: string(w.State), TTLSeconds: int64(w.TTL / time.Second),
	})
}

// heartbeat reads what a heartbeat takes for the last one; nil: it does not say.
func (q query) heartbeat(name string) (*time.Time, error) {
	raw := q.Get(name)
	switch raw {
	case "":
		return nil, nil
	case noHeartbeat:
		return &time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(raw, " ", "+")) // a "+" that was not escaped
	if err != nil {
		return nil, core.InvalidField(name, "must be %s, or last_heartbeat as the last answer had it", noHeartbeat)
	}
	return &t, nil
}

// stopWork serves POST /environments/{environment}/work/{work}/stop. The body may be absent.
func (f *Face) stopWork(c *call) (reply, error) {
	environment, id, err := c.workItem()
	if err != nil {
		return reply{}, err
	}
	force := false
	if len(c.body) > 0 {
		o, err := bodyObject(c)
		if err != nil {
			return reply{}, err
		}
		force = read[bool](o, "force").V
		if err := o.end(); err != nil {
			return reply{}, err
		}
	}
	w, err := f.work.Stop(c.Context(), c.by, environment, id, force)
	if err != nil {
		return reply{}, c.inWork(err)
	}
	return ok(c.fl.workWire(w))
}
