package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/store"
	"github.com/reeve-ai/reeve/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests begin.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// loopback is what tests may reach.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

var installation = []byte(strings.Repeat("s", 32))

// house is a database with two projects and the service on it, whose clock stands still until a test moves it.
type house struct {
	*webhook.Service
	db      *store.DB
	store   core.Store     // observed
	by      core.Principal // an administrator
	foreign core.Principal // one of another project

	mu  sync.Mutex
	now time.Time
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func build(t *testing.T) *house {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "reeve.db")})
	need(t, err)
	t.Cleanup(func() { need(t, db.Close()) })
	h := &house{db: db, now: noon}
	h.by, h.foreign = h.admin(t), h.admin(t)
	h.Service = h.node(t)
	h.store = h.Observe(db)
	return h
}

func (h *house) admin(t *testing.T) core.Principal {
	t.Helper()
	p := core.Project{ID: core.NewID[core.ProjectID](), Name: "P", Active: true, CreatedAt: noon, UpdatedAt: noon}
	need(t, h.db.CreateProject(t.Context(), p))
	return core.Principal{Kind: core.PrincipalToken, Project: p.ID, Role: core.RoleAdmin}
}

// node is the service of one more node, or of the next life of this one.
func (h *house) node(t *testing.T) *webhook.Service {
	t.Helper()
	return h.nodeBy(t, egress.New(egress.Options{AllowPrivate: loopback}).Transport())
}

func (h *house) nodeBy(t *testing.T, way http.RoundTripper) *webhook.Service {
	t.Helper()
	s, err := webhook.New(h.db, installation, way, webhook.Options{Now: h.clock, Log: silent(), AllowPrivate: loopback})
	need(t, err)
	need(t, s.Load(t.Context()))
	return s
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hook makes a webhook that is told everything, at an address.
func (h *house) hook(t *testing.T, url string, events ...string) (core.Webhook, webhook.Secret) {
	t.Helper()
	if len(events) == 0 {
		events = []string{core.AnyWebhookEvent}
	}
	w, secret, err := h.Create(t.Context(), h.by, webhook.NewWebhook{URL: url, Events: events})
	need(t, err)
	return w, secret
}

// event makes something happen: a memory store is made.
func (h *house) event(t *testing.T) core.MemoryStoreID {
	t.Helper()
	m := core.MemoryStore{Project: h.by.Project, ID: core.NewID[core.MemoryStoreID](), Name: "m", Metadata: map[string]string{}, CreatedAt: h.clock()}
	need(t, h.store.CreateMemoryStore(t.Context(), m))
	return m.ID
}

// sweep sends what is due and checks how many attempts it took.
func (h *house) sweep(t *testing.T, want int) {
	t.Helper()
	n, err := h.Sweep(t.Context())
	need(t, err)
	if n != want {
		t.Fatalf("%d attempts, want %d", n, want)
	}
}

// log lists a webhook's deliveries, oldest first.
func (h *house) log(t *testing.T, w core.Webhook) []core.Delivery {
	t.Helper()
	list, err := h.Deliveries(t.Context(), h.by, w.ID, core.DeliveryPage{Limit: webhook.MaxPage})
	need(t, err)
	slices.Reverse(list)
	return list
}

// types lists what a webhook was told, in alphabetical order, and forgets nothing.
func (h *house) types(t *testing.T, w core.Webhook) []string {
	t.Helper()
	var list []string
	for _, d := range h.log(t, w) {
		list = append(list, d.Type)
	}
	slices.Sort(list)
	return list
}

func (h *house) reload(t *testing.T, w core.Webhook) core.Webhook {
	t.Helper()
	got, err := h.Webhook(t.Context(), h.by, w.ID)
	need(t, err)
	return got
}

// message is what a receiver got.
type message struct {
	header http.Header
	body   []byte
}

// receiver is an address that is told. It answers with the status that next holds, and the last for ever.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []message
	next []int
	to   string // where redirects point
}

func receive(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{next: statuses}
	if len(statuses) == 0 {
		r.next = []int{http.StatusNoContent}
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, message{req.Header, body})
		status := r.next[0]
		if len(r.next) > 1 {
			r.next = r.next[1:]
		}
		if r.to != "" {
			w.Header().Set("Location", r.to)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) messages() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// run runs a service until the test ends, or until what it returns is called.
func run(t *testing.T, s *webhook.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits for what a channel brings. It is a deadline, not a delay.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
	}
	panic("unreachable")
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func refused(t *testing.T, what string, err error, kind core.Kind, code string) {
	t.Helper()
	if err == nil || core.KindOf(err) != kind || core.CodeOf(err) != code {
		t.Errorf("%s: %v, want %s (%s)", what, err, kind, code)
	}
}
