package turn

import (
	"fmt"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// bytesPerToken is how many bytes of text are counted as one token where no vendor has counted. Real texts have
// three to five: the estimate is rather too high than too low.
const bytesPerToken = 3

// mediaTokens is what a picture or a document counts, whatever its size in bytes: vendors count its pixels.
const mediaTokens = 2000

func tokens(bytes int) int64 { return int64(bytes) / bytesPerToken }

// sizeOf is about how many bytes of text a message counts as.
func sizeOf(m core.ModelMessage) int {
	n := 0
	for _, p := range m.Parts {
		n += len(p.System)
		switch {
		case p.Block != nil:
			n += blockSize(*p.Block)
		case p.Thinking != nil:
			n += len(p.Thinking.Text) + len(p.Thinking.Opaque)
		case p.Call != nil:
			n += len(p.Call.Name) + len(p.Call.Input)
		case p.Result != nil:
			for _, b := range p.Result.Content {
				n += blockSize(b)
			}
		}
	}
	return n
}

func blockSize(b core.Block) int {
	n := len(b.Text) + len(b.Extra)
	if b.Source != nil {
		if b.Source.Type == "text" {
			return n + len(b.Source.Data)
		}
		n += mediaTokens * bytesPerToken
	}
	return n
}

// How many characters of one part a record has at first and at least; then whole parts are left out.
const (
	longestPart  = 20_000
	shortestPart = 400
)

// recordOf writes a part of a conversation as one text of at most most bytes. Long parts are cut in their middle,
// the results of tools more than what people and the model said, because those are what the rest is about.
func recordOf(messages []core.ModelMessage, most int) string {
	most = max(most, 4*shortestPart)
	for limit := longestPart; limit >= shortestPart; limit /= 2 {
		if text := strings.Join(lines(messages, limit), "\n\n"); len(text) <= most {
			return text
		}
	}
	parts := lines(messages, shortestPart)
	head, tail, left := 0, len(parts), most-100
	for head < tail { // from both ends: how it began, and where it stands
		next := parts[tail-1]
		if head < len(parts)-tail {
			next = parts[head]
		}
		if left -= len(next) + 2; left < 0 {
			break
		}
		if head < len(parts)-tail {
			head++
		} else {
			tail--
		}
	}
	gap := fmt.Sprintf("[… %d entries are left out here …]", tail-head)
	return strings.Join(append(append(append([]string{}, parts[:head]...), gap), parts[tail:]...), "\n\n")
}

// lines writes each part of the messages as one entry. limit is how many characters of one stay; of a result a
// quarter.
func lines(messages []core.ModelMessage, limit int) []string {
	var out []string
	for _, m := range messages {
		who := "User"
		if m.Role == core.RoleAssistant {
			who = "Agent"
		}
		for _, p := range m.Parts {
			switch {
			case p.System != "":
				out = append(out, "Operator: "+shorten(p.System, limit))
			case p.Block != nil:
				out = append(out, who+": "+shorten(blockText(*p.Block), limit))
			case p.Call != nil:
				out = append(out, fmt.Sprintf("Agent calls %s: %s", p.Call.Name, shorten(string(p.Call.Input), limit/2)))
			case p.Result != nil:
				texts := make([]string, len(p.Result.Content))
				for i, b := range p.Result.Content {
					texts[i] = blockText(b)
				}
				verb := "answers"
				if p.Result.IsError {
					verb = "fails"
				}
				out = append(out, fmt.Sprintf("%s %s: %s", p.Result.Name, verb, shorten(strings.Join(texts, "\n"), limit/4)))
			}
		}
	}
	return out
}

// blockText is a block for somebody who only reads text.
func blockText(b core.Block) string {
	switch {
	case b.Source != nil && b.Source.Type == "text":
		return strings.TrimSpace(b.Title + "\n" + b.Source.Data)
	case b.Source != nil && b.Title != "":
		return fmt.Sprintf("[%s: %s]", b.Type, b.Title)
	case b.Source != nil:
		return fmt.Sprintf("[%s]", b.Type)
	}
	return b.Text
}

// shorten cuts the middle out of a text of more than limit characters.
func shorten(text string, limit int) string {
	limit = max(limit, 2)
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return fmt.Sprintf("%s [… %d characters …] %s", string(runes[:limit/2]), len(runes)-limit/2*2, string(runes[len(runes)-limit/2:]))
}
