package provider_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider"
	"github.com/reeve-ai/reeve/internal/provider/fake"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

// Start-up pays for Open once; its share of the 300 ms budget (design, section 6) is small.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if _, err := provider.Open(provider.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// Every turn of the benchmark's instant model pays for one guarded call.
func BenchmarkInstantCall(b *testing.B) {
	p := provider.Guard(fake.Instant("ok"), provider.DefaultIdle)
	b.ReportAllocs()
	for b.Loop() {
		var last core.Chunk
		for c, err := range p.Stream(b.Context(), providertest.Hi) {
			if err != nil {
				b.Fatal(err)
			}
			last = c
		}
		if last.Type != core.ChunkStop {
			b.Fatalf("last chunk %+v", last)
		}
	}
}

// Every turn resolves its model.
func BenchmarkModel(b *testing.B) {
	c, err := provider.Open(provider.Options{AnthropicKey: key})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Model("claude-sonnet-5"); err != nil {
			b.Fatal(err)
		}
	}
}
