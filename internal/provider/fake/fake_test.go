package fake_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func usage(u core.Usage) core.Chunk   { return core.Chunk{Type: core.ChunkUsage, Usage: u} }
func stopped(s core.Stop) core.Chunk  { return core.Chunk{Type: core.ChunkStop, Stop: s} }
func word(i int, s string) core.Chunk { return core.Chunk{Type: core.ChunkText, Index: i, Text: s} }

func TestStepsArePlayedOnePerCall(t *testing.T) {
	t.Parallel()
	p := fake.New(
		fake.Think("Look.").And(fake.SayPieces("I ", "look."), fake.CallTools(fake.Call{Name: "bash", Input: `{}`}, fake.Call{ID: "mine", Name: "read", Input: `nonsense`})),
		fake.Say("Done.").And(fake.Usage(core.Usage{InputTokens: 7}), fake.Stop(core.StopModelMaxTokens)),
		fake.Func(func(r core.ModelRequest) []core.Chunk { return []core.Chunk{word(0, r.Model)} }),
	)
	want := [][]core.Chunk{
		{
			{Type: core.ChunkThinking, Text: "Look."},
			{Type: core.ChunkThought, Thinking: &core.Thinking{Text: "Look.", Signature: "signed:Look.", Vendor: "fake"}},
			word(1, "I "), word(1, "look."),
			{Type: core.ChunkToolCall, Index: 2, Call: &core.ToolCall{ID: "call_1_1", Name: "bash", Input: "{}"}},
			{Type: core.ChunkToolCall, Index: 3, Call: &core.ToolCall{ID: "mine", Name: "read", Input: "nonsense"}},
			usage(fake.DefaultUsage), stopped(core.StopModelTools),
		},
		{word(0, "Done."), usage(core.Usage{InputTokens: 7}), stopped(core.StopModelMaxTokens)},
		{word(0, "test-model"), usage(fake.DefaultUsage), stopped(core.StopModelEnd)},
	}
	for i, w := range want {
		if diff := cmp.Diff(w, providertest.Answered(t, p, providertest.Hi)); diff != "" {
			t.Errorf("call %d differs (-want +got):\n%s", i+1, diff)
		}
	}
	if p.Left() != 0 || len(p.Requests()) != 3 || p.Requests()[0].Model != "test-model" {
		t.Errorf("%d steps left, requests %+v", p.Left(), p.Requests())
	}
	if _, e := providertest.Refused(t, p, providertest.Hi); e.Retryable || !strings.Contains(e.Message, "exhausted: it has 3 steps, and this is call 4") {
		t.Errorf("beyond the script: %v", e)
	}
}

func TestFailAndCut(t *testing.T) {
	t.Parallel()
	mine := &core.ModelError{Type: core.ModelOverloaded, Retryable: true, Message: "busy"}
	p := fake.New(fake.Fail(mine), fake.Cut("Hel"))
	if _, e := providertest.Refused(t, p, providertest.Hi); e != mine {
		t.Errorf("error %v, want the one of the script", e)
	}
	if chunks, e := providertest.Refused(t, p, providertest.Hi); e.Type != core.ModelCut || providertest.Words(chunks) != "Hel" {
		t.Errorf("error %v after %q, want ModelCut after Hel", e, providertest.Words(chunks))
	}
}

func TestBlockWaitsAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := fake.New(fake.Block(release).And(fake.Say("Go.")), fake.Block(release))
		go func() {
			<-p.Waiting()
			synctest.Wait()
			close(release)
		}()
		if got := providertest.Words(providertest.Answered(t, p, providertest.Hi)); got != "Go." {
			t.Errorf("text %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := fake.New(fake.Block(nil))
		go func() {
			<-p.Waiting()
			cancel()
		}()
		if _, err := providertest.Collect(ctx, t, p, providertest.Hi); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
}

func TestInstantAnswersForever(t *testing.T) {
	t.Parallel()
	p := fake.Instant("ok")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := providertest.Words(providertest.Answered(t, p, providertest.Hi)); got != "ok" {
				t.Errorf("text %q", got)
			}
		})
	}
	all.Wait()
}

func TestChooseAnswersByTheRequest(t *testing.T) {
	t.Parallel()
	p := fake.Choose(func(r core.ModelRequest) fake.Step { return fake.CallTool(r.Model, "{}") })
	for _, id := range []string{"call_1_1", "call_2_1"} { // each call of a conversation has its own
		want := []core.Chunk{
			{Type: core.ChunkToolCall, Call: &core.ToolCall{ID: id, Name: providertest.Hi.Model, Input: "{}"}},
			usage(fake.DefaultUsage), stopped(core.StopModelTools),
		}
		if diff := cmp.Diff(want, providertest.Answered(t, p, providertest.Hi)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if len(p.Requests()) != 0 {
		t.Errorf("requests %v", p.Requests())
	}
}
