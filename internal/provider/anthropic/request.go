package anthropic

import (
	"encoding/json"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// params writes a request. With dropReasoning the history goes without its thinking blocks.
func params(req core.ModelRequest, dropReasoning bool) sdk.MessageNewParams {
	p := sdk.MessageNewParams{Model: req.Model, MaxTokens: req.MaxTokens}
	if req.System != "" {
		p.System = []sdk.TextBlockParam{{Text: req.System}}
	}
	for _, m := range req.Messages {
		m, system := instructions(m, req.Model)
		if msg := message(m, dropReasoning); len(msg.Content) > 0 {
			p.Messages = append(p.Messages, msg)
		}
		if len(system) > 0 {
			p.Messages = append(p.Messages, sdk.MessageParam{Role: sdk.MessageParamRoleSystem, Content: system})
		}
	}
	for _, t := range req.Tools {
		tool := &sdk.ToolParam{Name: t.Name, InputSchema: param.Override[sdk.ToolInputSchemaParam](upstream.Schema(t.InputSchema))}
		if t.Description != "" {
			tool.Description = param.NewOpt(t.Description)
		}
		p.Tools = append(p.Tools, sdk.ToolUnionParam{OfTool: tool})
	}
	if req.Fast {
		p.Speed = sdk.MessageNewParamsSpeedFast
	}
	if req.Geo != "" {
		p.InferenceGeo = param.NewOpt(req.Geo)
	}
	think(&p, req, dropReasoning)
	markCache(&p)
	return p
}

// markCache sets the vendor's four cache breakpoints: behind the tools, behind the system prompt,
// and behind the last two user messages. The last but one is needed because a breakpoint looks back
// only 20 blocks, and one step with many parallel results is longer.
func markCache(p *sdk.MessageNewParams) {
	mark := sdk.NewCacheControlEphemeralParam()
	if n := len(p.Tools); n > 0 {
		p.Tools[n-1].OfTool.CacheControl = mark
	}
	if n := len(p.System); n > 0 {
		p.System[n-1].CacheControl = mark
	}
	left := 2
	for i := len(p.Messages) - 1; i >= 0 && left > 0; i-- {
		if p.Messages[i].Role != sdk.MessageParamRoleUser {
			continue
		}
		left--
		content := p.Messages[i].Content
		if c := content[len(content)-1].GetCacheControl(); c != nil {
			*c = mark
		}
	}
}

// instructions takes the system messages out that end a user's turn, for models that know a role for them. The
// API wants them right behind what the user said and before the answer; those at another place, and those for
// other models, stay and become text.
func instructions(m core.ModelMessage, model string) (rest core.ModelMessage, system []sdk.ContentBlockParamUnion) {
	if m.Role == core.RoleAssistant || !takesSystemRole(model) {
		return m, nil
	}
	end := len(m.Parts)
	for end > 0 && m.Parts[end-1].System != "" {
		end--
	}
	if end == 0 {
		return m, nil
	}
	for _, p := range m.Parts[end:] {
		system = append(system, sdk.NewTextBlock(p.System))
	}
	m.Parts = m.Parts[:end]
	return m, system
}

// takesSystemRole reports whether a model is known to take messages of the role system: Opus from 4.8 on, and
// everything behind 5.0 (Anthropic's page "Mid-conversation system messages").
func takesSystemRole(model string) bool {
	gen := generationOf(model)
	return gen != unnamed && (gen > 500 || gen >= 408 && strings.HasPrefix(model, "claude-opus-"))
}

// message writes one turn. Tool results come first, as the API demands. A user's message that would
// be empty says so, because the turns must alternate; an assistant's is left out.
func message(m core.ModelMessage, dropReasoning bool) sdk.MessageParam {
	var results, rest []sdk.ContentBlockParamUnion
	for _, part := range m.Parts {
		switch {
		case part.Result != nil:
			results = append(results, result(part.Result))
		case part.Call != nil:
			rest = append(rest, sdk.ContentBlockParamUnion{OfToolUse: &sdk.ToolUseBlockParam{
				ID: upstream.CallID(part.Call.ID), Name: part.Call.Name, Input: upstream.Object(part.Call.Input),
			}})
		case part.Thinking != nil:
			if ours(part.Thinking) && !dropReasoning {
				rest = append(rest, thinking(part.Thinking))
			}
		case part.System != "":
			rest = append(rest, sdk.NewTextBlock(upstream.SystemText(part.System)))
		case part.Block != nil && !upstream.Blank(*part.Block):
			rest = append(rest, block(*part.Block))
		}
	}
	content := append(results, rest...)
	if m.Role == core.RoleAssistant {
		return sdk.NewAssistantMessage(content...)
	}
	if len(content) == 0 {
		content = append(content, sdk.NewTextBlock("(empty message)"))
	}
	return sdk.NewUserMessage(content...)
}

// thinking writes reasoning back as it came: the vendor checks its signature over it.
func thinking(t *core.Thinking) sdk.ContentBlockParamUnion {
	if t.Opaque != "" {
		return sdk.NewRedactedThinkingBlock(t.Opaque)
	}
	return sdk.NewThinkingBlock(t.Signature, t.Text)
}

func result(r *core.ModelResult) sdk.ContentBlockParamUnion {
	out := &sdk.ToolResultBlockParam{ToolUseID: upstream.CallID(r.CallID)}
	if r.IsError {
		out.IsError = param.NewOpt(true)
	}
	for _, b := range r.Content {
		if upstream.Blank(b) {
			continue
		}
		c := block(b)
		out.Content = append(out.Content, sdk.ToolResultBlockParamContentUnion{
			OfText: c.OfText, OfImage: c.OfImage, OfDocument: c.OfDocument, OfSearchResult: c.OfSearchResult,
		})
	}
	return sdk.ContentBlockParamUnion{OfToolResult: out}
}

// block writes content. What the API has no form for becomes text.
func block(b core.Block) sdk.ContentBlockParamUnion {
	switch b.Type {
	case core.BlockImage:
		if src, ok := imageSource(b.Source); ok {
			return sdk.ContentBlockParamUnion{OfImage: &sdk.ImageBlockParam{Source: src}}
		}
	case core.BlockDocument:
		if src, ok := documentSource(b); ok {
			return sdk.ContentBlockParamUnion{OfDocument: document(b, src)}
		}
	}
	return sdk.NewTextBlock(upstream.TextOf(b))
}

func imageSource(s *core.Source) (sdk.ImageBlockParamSourceUnion, bool) {
	switch {
	case s == nil:
	case s.Type == "url":
		return sdk.ImageBlockParamSourceUnion{OfURL: &sdk.URLImageSourceParam{URL: s.URL}}, true
	case s.Type == "base64":
		switch s.MediaType {
		case "image/jpeg", "image/png", "image/gif", "image/webp":
			return sdk.ImageBlockParamSourceUnion{OfBase64: &sdk.Base64ImageSourceParam{
				Data: s.Data, MediaType: sdk.Base64ImageSourceMediaType(s.MediaType),
			}}, true
		}
	}
	return sdk.ImageBlockParamSourceUnion{}, false
}

func documentSource(b core.Block) (sdk.DocumentBlockParamSourceUnion, bool) {
	if text, ok := upstream.DocumentText(b); ok {
		return sdk.DocumentBlockParamSourceUnion{OfText: &sdk.PlainTextSourceParam{Data: text}}, true
	}
	switch s := b.Source; {
	case s == nil:
	case s.Type == "url":
		return sdk.DocumentBlockParamSourceUnion{OfURL: &sdk.URLPDFSourceParam{URL: s.URL}}, true
	case s.Type == "base64" && s.MediaType == "application/pdf":
		return sdk.DocumentBlockParamSourceUnion{OfBase64: &sdk.Base64PDFSourceParam{Data: s.Data}}, true
	}
	return sdk.DocumentBlockParamSourceUnion{}, false
}

func document(b core.Block, src sdk.DocumentBlockParamSourceUnion) *sdk.DocumentBlockParam {
	d := &sdk.DocumentBlockParam{Source: src}
	if b.Title != "" {
		d.Title = param.NewOpt(b.Title)
	}
	var extra struct {
		Context   string `json:"context"`
		Citations struct {
			Enabled bool `json:"enabled"`
		} `json:"citations"`
	}
	if json.Unmarshal(b.Extra, &extra) == nil {
		if extra.Context != "" {
			d.Context = param.NewOpt(extra.Context)
		}
		if extra.Citations.Enabled {
			d.Citations.Enabled = param.NewOpt(true)
		}
	}
	return d
}
