package turnstile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/reeve-ai/reeve/internal/turnstile"
)

func TestOneAtATimeForEachKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate turnstile.Turnstile[string]
		leave, err := gate.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if other, err := gate.Enter(t.Context(), "b"); err != nil {
			t.Errorf("another key waits: %v", err)
		} else {
			other()
		}
		in := false
		go func() {
			second, err := gate.Enter(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			in = true
			second()
		}()
		synctest.Wait()
		if in {
			t.Fatal("two are in under one key")
		}
		leave()
		synctest.Wait()
		if !in {
			t.Error("the second one never got in")
		}
	})
}

func TestWhoLeavesTheQueueGetsItsContextsError(t *testing.T) {
	t.Parallel()
	var gate turnstile.Turnstile[int]
	leave, err := gate.Enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gate.Enter(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("enter: %v", err)
	}
	leave()
	if leave, err = gate.Enter(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	leave()
}
