package turn

import (
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// places is what a transcript knows of where its messages stand in the log, and how much the model has read.
type places struct {
	at         int64        // Seq of the event that is being taken
	began      []int64      // of each message: the Seq that gave its first part its place; 0 for a summary
	fresh      bool         // no call was answered since the last summary
	summing    core.EventID // the span in which the last summary was made
	measured   int64        // tokens of the last answered call, its answer included; 0: none was counted
	measuredTo int          // how many messages those were

	long    []core.EventID                     // tool uses whose results are too long for the model, oldest first
	results map[core.EventID]*core.ModelResult // those results
}

// begin notes the place of a message that add has just begun.
func (t *transcript) begin() { t.began = append(t.began, t.at) }

// measure notes what the vendor counted in a call that was answered. Its answer is in the transcript already.
func (t *transcript) measure(u core.Usage) {
	t.fresh = false
	if n := u.InputTokens + u.CacheReadTokens + u.CacheCreationTokens; n > 0 {
		t.measured, t.measuredTo = n+u.OutputTokens, len(t.messages)
	}
}

// summed puts a summary in the place of what it stands for.
func (t *transcript) summed(e core.Event) error {
	c, err := core.Payload[core.Compaction](e)
	if err != nil {
		return err
	}
	first := slices.IndexFunc(t.began, func(seq int64) bool { return seq > c.Through })
	if first < 0 {
		first = len(t.messages)
	}
	tail, began := t.messages[first:], t.began[first:]
	parts := []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: summaryHeading + c.Summary}}}
	if len(tail) > 0 && tail[0].Role == core.RoleUser {
		parts = append(parts, tail[0].Parts...)
		tail, began = tail[1:], began[1:]
	}
	// A new slice: earlier requests hold the old one.
	t.messages = append([]core.ModelMessage{{Role: core.RoleUser, Parts: parts}}, tail...)
	t.began = append([]int64{0}, began...)
	t.fresh, t.summing, t.measured, t.measuredTo = true, c.Start, 0, 0
	return nil
}

// cut finds where to part the conversation: what is before the returned index is summed up, what is behind it
// stays. That is the longest tail of at most some tokens which parts no tool call from its result; there may be
// none. 0: there is nothing to sum up.
func (t *transcript) cut(most int64) int {
	first := 0 // a summary alone is not summed up again
	if len(t.began) > 0 && t.began[0] == 0 && len(t.messages[0].Parts) == 1 {
		first = 1
	}
	best, size := len(t.messages), 0
	for i := len(t.messages) - 1; i > first; i-- {
		if size += sizeOf(t.messages[i]); tokens(size) > most {
			break
		}
		if whole(t.messages[i]) {
			best = i
		}
	}
	if best <= first {
		return 0
	}
	return best
}

// whole reports whether the conversation may be parted before a message: it answers no call of the one before.
func whole(m core.ModelMessage) bool {
	return m.Role == core.RoleAssistant || !slices.ContainsFunc(m.Parts, func(p core.ModelPart) bool { return p.Result != nil })
}

// placedBefore is the Seq up to which the log placed the messages before an index, and none behind it.
func (t *transcript) placedBefore(i int) int64 {
	if i < len(t.began) {
		return t.began[i] - 1
	}
	return max(t.after, t.heard) // an answer that was heard has its place already
}
