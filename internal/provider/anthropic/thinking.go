package anthropic

import (
	"regexp"
	"strconv"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/reeve-ai/reeve/internal/core"
)

// generation is a Claude model's version as major*100+minor: 405 for claude-sonnet-4-5.
type generation int

const (
	notClaude generation = -1  // another vendor's model behind a compatible API
	unnamed   generation = 999 // a Claude model without a version in its name: treated as the newest
)

var versioned = regexp.MustCompile(`^claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?:-|$)`)

func generationOf(model string) generation {
	if !strings.HasPrefix(model, "claude-") {
		return notClaude
	}
	m := versioned.FindStringSubmatch(model)
	if m == nil {
		return unnamed
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2]) // absent: 0
	return generation(major*100 + minor)
}

// think sets how the model reasons. What models take, by Anthropic's pages on thinking and effort:
// up to 3.5 none; 3.7 to 4.5 a token budget (4.5 Opus also effort); 4.6 and later adaptive thinking
// steered by effort, on by default since 5. Newer models send empty thinking unless asked for a
// summary.
func think(p *sdk.MessageNewParams, req core.ModelRequest, dropped bool) {
	gen := generationOf(req.Model)
	quiet := req.Effort == "" || req.Effort == "none" || req.Effort == "minimal"
	switch {
	case gen >= 406:
		if quiet && gen < 500 {
			return
		}
		adaptive := &sdk.ThinkingConfigAdaptiveParam{}
		if gen >= 407 {
			adaptive.Display = sdk.ThinkingConfigAdaptiveDisplaySummarized
		}
		p.Thinking = sdk.ThinkingConfigParamUnion{OfAdaptive: adaptive}
		if req.Effort != "" {
			p.OutputConfig.Effort = effortFor(gen, req.Effort)
		}
	case quiet || gen >= 0 && gen < 307:
		return
	default:
		if gen == 405 && strings.HasPrefix(req.Model, "claude-opus-") {
			p.OutputConfig.Effort = effortFor(gen, req.Effort)
		}
		// With a budget, the last assistant turn of a tool loop must begin with its thinking.
		if dropped || !toolLoopHasReasoning(req.Messages) {
			return
		}
		if n := budget(req.Effort, req.MaxTokens); n > 0 {
			p.Thinking = sdk.ThinkingConfigParamOfEnabled(n)
		}
	}
}

// effortFor gives the strongest effort that the model takes and that is not above the wanted one.
func effortFor(gen generation, want string) sdk.OutputConfigEffort {
	switch want {
	case "none", "minimal":
		return sdk.OutputConfigEffortLow
	case "xhigh":
		if gen < 407 {
			return sdk.OutputConfigEffortHigh
		}
	case "max":
		if gen < 406 {
			return sdk.OutputConfigEffortHigh
		}
	}
	return sdk.OutputConfigEffort(want)
}

// budget is the number of tokens that a model with a fixed budget may think: at least 1024, and at
// most half of the answer's limit. Zero: the limit leaves no room for thinking.
func budget(effort string, maxTokens int64) int64 {
	n := map[string]int64{"low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}[effort]
	if n = min(n, maxTokens/2); n < 1024 {
		return 0
	}
	return n
}

// toolLoopHasReasoning reports whether a budget may be set: the last assistant message calls no
// tool, or begins with reasoning of this vendor.
func toolLoopHasReasoning(messages []core.ModelMessage) bool {
	for i := len(messages) - 1; i >= 0; i-- {
		m := messages[i]
		if m.Role != core.RoleAssistant {
			continue
		}
		for _, part := range m.Parts {
			if part.Call != nil {
				return ours(m.Parts[0].Thinking)
			}
		}
		return true
	}
	return true
}

// ours reports whether reasoning may go back to this vendor.
func ours(t *core.Thinking) bool {
	return t != nil && t.Vendor == Kind && (t.Signature != "" || t.Opaque != "")
}

func hasReasoning(req core.ModelRequest) bool {
	for _, m := range req.Messages {
		for _, part := range m.Parts {
			if ours(part.Thinking) {
				return true
			}
		}
	}
	return false
}
