package bus_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/bus"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/store/pgtest"
)

var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(withServer(m)) }

func withServer(m *testing.M) int {
	var err error
	if server, err = pgtest.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "postgresql:", err)
		return 1
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "postgresql:", err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// nodes starts two nodes on one database, whose names begin with name, and waits until both listen.
func nodes(t *testing.T) (url, name string, a, b *bus.Cluster) {
	t.Helper()
	url, name = server.Database(t), core.NewID[string]() // notifications know no schema, so the sessions of each test have names of their own
	ctx, cancel := context.WithCancel(context.Background())
	var ended []chan error
	for i, c := range []**bus.Cluster{&a, &b} {
		*c = bus.NewCluster(url, fmt.Sprint(name, i), slog.New(slog.DiscardHandler))
		sub, leave := (*c).Subscribe("ready")
		defer leave()
		done := make(chan error, 1) // holds the one result
		ended = append(ended, done)
		go func() { done <- (*c).Run(ctx) }()
		await(t, sub.Woken) // a node that listens wakes everybody
	}
	t.Cleanup(func() {
		cancel()
		for _, done := range ended {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return url, name, a, b
}

// await takes one value, within a deadline.
func await[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestANudgeReachesTheWatchersOfOtherNodes(t *testing.T) {
	t.Parallel()
	_, _, a, b := nodes(t)
	const many = 500 // more than one payload holds
	var subs []core.Subscription
	prefix := core.NewID[string]()
	for i := range many {
		sub, leave := b.Subscribe(core.SessionID(fmt.Sprint(prefix, i)))
		defer leave()
		subs = append(subs, sub)
	}
	for i := range many {
		a.Wake(core.SessionID(fmt.Sprint(prefix, i)))
	}
	for _, sub := range subs {
		await(t, sub.Woken)
	}
}

func TestDeltasReachOtherNodesInOrder(t *testing.T) {
	t.Parallel()
	_, _, a, b := nodes(t)
	id := core.NewID[core.SessionID]()
	sub, leave := b.Subscribe(id)
	defer leave()
	var sent, got []core.Delta
	for i := range 30 {
		d := core.Delta{Session: id, Thread: "t", Turn: "u", Event: "e", Type: core.EventAgentMessage, N: i, Start: i == 0, Index: 1, Text: strings.Repeat("<ü>", 200)}
		sent = append(sent, d)
		a.Publish(d)
	}
	for range sent {
		got = append(got, await(t, sub.Deltas))
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("deltas (-want +got):\n%s", diff)
	}
}

func TestANodeHearsItsOwnOnce(t *testing.T) {
	t.Parallel()
	_, _, a, b := nodes(t)
	id := core.NewID[core.SessionID]()
	own, leave := a.Subscribe(id)
	defer leave()
	other, leaveOther := b.Subscribe(id)
	defer leaveOther()
	d := core.Delta{Session: id, Text: "x"}
	a.Publish(d)
	await(t, other.Deltas) // by now the node has had its own notification as well, or will be told nothing
	b.Publish(core.Delta{Session: id, Text: "y"})
	if got := []string{await(t, own.Deltas).Text, await(t, own.Deltas).Text}; !cmp.Equal(got, []string{"x", "y"}) {
		t.Errorf("heard %q, want x once and then y", got)
	}
}

func TestALostConnectionIsMadeAgainAndEveryWatcherLooks(t *testing.T) {
	t.Parallel()
	url, name, a, b := nodes(t)
	id := core.NewID[core.SessionID]()
	sub, leave := b.Subscribe(id)
	defer leave()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1", "reeve-bus-"+name+"%"); err != nil {
		t.Fatal(err)
	}
	await(t, sub.Woken) // it listens again
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for { // until the other side has its connection back too
		a.Wake(id)
		select {
		case <-sub.Woken:
			return
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no nudge came through again")
		}
	}
}
