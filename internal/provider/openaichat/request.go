package openaichat

import (
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// requestOf writes a request.
func requestOf(req core.ModelRequest, w wording) request {
	r := request{Model: req.Model, Stream: true, ReasoningEffort: req.Effort}
	if !w.noStreamOptions {
		r.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	switch {
	case w.noMaxTokens:
	case w.maxCompletionTokens:
		r.MaxCompletionTokens = req.MaxTokens
	default:
		r.MaxTokens = req.MaxTokens
	}
	if req.System != "" {
		r.Messages = append(r.Messages, message{Role: "system", Content: req.System})
	}
	loop := toolLoop(req.Messages)
	for i, m := range req.Messages {
		if m.Role == core.RoleAssistant {
			r.Messages = append(r.Messages, assistant(m, i > loop)...)
		} else {
			r.Messages = append(r.Messages, user(m)...)
		}
	}
	for _, t := range req.Tools {
		r.Tools = append(r.Tools, tool{Type: "function", Function: function{
			Name: t.Name, Description: t.Description, Parameters: upstream.Schema(t.InputSchema),
		}})
	}
	return r
}

// toolLoop is the index of the last message in which a person spoke. What comes after it is the tool
// loop of the running turn: servers want reasoning back only there, and some refuse it elsewhere
// (DeepSeek's page on thinking mode).
func toolLoop(messages []core.ModelMessage) int {
	for i := len(messages) - 1; i >= 0; i-- {
		for _, p := range messages[i].Parts {
			if messages[i].Role == core.RoleUser && (p.Block != nil || p.System != "") {
				return i
			}
		}
	}
	return -1
}

// user writes a user's turn: one message per tool result, at once behind the calls as the API
// demands, then what was said. Pictures in results follow as a user's message, since a tool message
// holds only text. What the operator said in between is marked text: many servers refuse a system message
// that is not the first.
func user(m core.ModelMessage) []message {
	var results []message
	var said []part
	for _, p := range m.Parts {
		switch {
		case p.Result != nil:
			text, pictures := result(p.Result)
			results = append(results, text)
			said = append(said, pictures...)
		case p.System != "":
			said = append(said, part{Type: "text", Text: upstream.SystemText(p.System)})
		case p.Block != nil && !upstream.Blank(*p.Block):
			said = append(said, block(*p.Block))
		}
	}
	if len(results) == 0 && len(said) == 0 {
		said = []part{{Type: "text", Text: "(empty message)"}}
	}
	if len(said) > 0 {
		results = append(results, message{Role: "user", Content: content(said)})
	}
	return results
}

func result(r *core.ModelResult) (message, []part) {
	var pictures []part
	words := *r
	words.Content = nil
	for _, b := range r.Content {
		if p := block(b); p.ImageURL != nil {
			pictures = append(pictures, part{Type: "text", Text: fmt.Sprintf("Image in the result of tool call %s:", r.CallID)}, p)
			b = core.Block{Type: core.BlockText, Text: "(an image, shown below)"}
		}
		words.Content = append(words.Content, b)
	}
	return message{Role: "tool", ToolCallID: r.CallID, Content: upstream.ResultText(&words)}, pictures
}

// assistant writes an assistant's turn, or nothing if it said nothing that can go back. Ids of calls
// stay as they are: some servers read them.
func assistant(m core.ModelMessage, inLoop bool) []message {
	out := message{Role: "assistant"}
	var said []core.Block
	for _, p := range m.Parts {
		switch {
		case p.Call != nil:
			out.ToolCalls = append(out.ToolCalls, call{ID: p.Call.ID, Type: "function", Function: functionCall{
				Name: p.Call.Name, Arguments: arguments(upstream.Object(p.Call.Input)),
			}})
		case p.Thinking != nil && p.Thinking.Vendor == Kind && inLoop:
			if p.Thinking.Item == fieldReasoning {
				out.Reasoning += p.Thinking.Text
			} else {
				out.ReasoningContent += p.Thinking.Text
			}
		case p.Block != nil:
			said = append(said, *p.Block)
		}
	}
	if len(out.ToolCalls) == 0 {
		out.Reasoning, out.ReasoningContent = "", ""
	}
	if text := upstream.TextOfAll(said); text != "" {
		out.Content = text
	} else if len(out.ToolCalls) == 0 {
		return nil
	}
	return []message{out}
}

// content is a string wherever there is only text: older servers take nothing else.
func content(parts []part) any {
	text := ""
	for i, p := range parts {
		if p.ImageURL != nil {
			return parts
		}
		if i > 0 {
			text += "\n\n"
		}
		text += p.Text
	}
	return text
}

func block(b core.Block) part {
	if b.Type == core.BlockImage {
		if u := upstream.DataURL(b.Source); u != "" {
			return part{Type: "image_url", ImageURL: &imageURL{URL: u}}
		}
	}
	return part{Type: "text", Text: upstream.TextOf(b)}
}
