package turn

import (
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/reeve-ai/reeve/internal/core"
)

// memory keeps the transcripts of threads that ran a moment ago, so that a conversation does not read
// its whole log again for every turn. It is only a head start: the log behind it is read in any case,
// by whichever node runs next, and a session that rests for memoryRest takes no memory at all.
type memory struct {
	cache *otter.Cache[core.ThreadID, *transcript]
}

const (
	memoryBytes = 64 << 20 // of payloads, over all threads
	memoryRest  = 30 * time.Second
)

func newMemory() memory {
	return memory{otter.Must(&otter.Options[core.ThreadID, *transcript]{
		MaximumWeight:    memoryBytes,
		Weigher:          func(_ core.ThreadID, t *transcript) uint32 { return uint32(min(t.bytes, memoryBytes)) },
		ExpiryCalculator: otter.ExpiryWriting[core.ThreadID, *transcript](memoryRest),
	})}
}

// take returns what is remembered of a thread and forgets it, so that no two runs share it. Nil if
// nothing is.
func (m memory) take(id core.ThreadID) *transcript {
	t, _ := m.cache.Invalidate(id)
	return t
}

func (m memory) keep(id core.ThreadID, t *transcript) { m.cache.Set(id, t) }

// close ends the cache's own goroutine.
func (m memory) close() { m.cache.StopAllGoroutines() }
