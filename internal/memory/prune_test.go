package memory_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/memory"
)

// The sweep runs on the real clock; only the age of versions is of the service's own.
func TestVersionsOlderThanThirtyDaysGoUnlessTheyAreRecent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var ahead atomic.Int64
	start := time.Date(2026, 4, 16, 10, 0, 0, 0, time.UTC)
	f.Service = memory.New(f.store, func() time.Time { return start.Add(time.Duration(ahead.Load())) }, nil)
	s := f.newStore(t)
	old := f.create(t, s, "/old", "1")
	for i := 2; i <= 250; i++ { // more than goes in one step
		if _, err := f.Write(t.Context(), f.member, s.ID, "/old", fmt.Sprint(i), memory.Precondition{}, memory.ClaudeLimits); err != nil {
			t.Fatal(err)
		}
	}
	few := f.create(t, s, "/few", "1")
	ahead.Store(int64(29 * 24 * time.Hour))
	young := f.create(t, s, "/young", "1")
	for i := 2; i <= 12; i++ {
		if _, err := f.Write(t.Context(), f.member, s.ID, "/young", fmt.Sprint(i), memory.Precondition{}, memory.ClaudeLimits); err != nil {
			t.Fatal(err)
		}
	}
	ahead.Store(int64(31 * 24 * time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- f.Run(ctx) }()
	numbers := func(m core.Memory) []int {
		list, err := f.Versions(t.Context(), f.viewer, s.ID, core.MemoryVersionPage{Limit: 1000, Memory: m.ID})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, v := range list {
			got = append(got, v.Number)
		}
		return got
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(numbers(old)) > core.SpareVersions && time.Now().Before(deadline) { // until the sweep is through
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if diff := cmp.Diff([]int{250, 249, 248, 247, 246, 245, 244, 243, 242, 241}, numbers(old)); diff != "" {
		t.Errorf("old (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1}, numbers(few)); diff != "" {
		t.Errorf("few (-want +got):\n%s", diff)
	}
	if got := numbers(young); len(got) != 12 {
		t.Errorf("young: %v", got)
	}
	if got, err := f.Memory(t.Context(), f.viewer, s.ID, old.ID); err != nil || got.Content != "250" {
		t.Errorf("the memory is %q, %v", got.Content, err)
	}
}
