package openai

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

// reasons matches the names of models that reason: the o series, and GPT from 5 on. The chat
// variants of GPT-5 do not.
var reasons = regexp.MustCompile(`^(o[0-9]|gpt-([5-9]|[1-9][0-9])|codex)`)

func isReasoning(model string) bool {
	return reasons.MatchString(model) && !strings.Contains(model, "-chat")
}

// params writes a request.
func params(req core.ModelRequest, without omission) responses.ResponseNewParams {
	p := responses.ResponseNewParams{
		Model:           req.Model,
		MaxOutputTokens: param.NewOpt(req.MaxTokens),
		Store:           param.NewOpt(false),
	}
	if req.System != "" {
		p.Instructions = param.NewOpt(req.System)
	}
	if isReasoning(req.Model) {
		p.Include = []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent}
		p.Reasoning.Effort = shared.ReasoningEffort(req.Effort)
		if !without.summary {
			p.Reasoning.Summary = shared.ReasoningSummaryAuto
		}
	}
	var items responses.ResponseInputParam
	for _, m := range req.Messages {
		if m.Role == core.RoleAssistant {
			items = append(items, assistant(m, without.reasoning)...)
		} else {
			items = append(items, user(m)...)
		}
	}
	p.Input.OfInputItemList = items
	for _, t := range req.Tools {
		p.Tools = append(p.Tools, tool(t))
	}
	return p
}

func tool(t core.ToolSpec) responses.ToolUnionParam {
	var schema map[string]any
	_ = json.Unmarshal(upstream.Schema(t.InputSchema), &schema) // Schema returns an object
	f := &responses.FunctionToolParam{
		Name: t.Name, Parameters: schema,
		// Strict mode takes only a part of JSON Schema, and tools bring any.
		Strict: param.NewOpt(false),
	}
	if t.Description != "" {
		f.Description = param.NewOpt(t.Description)
	}
	return responses.ToolUnionParam{OfFunction: f}
}

// user writes a user's turn: the results of calls first, then what was said, with what the operator said at
// its place. A turn that would be empty says so, because the model would otherwise answer nothing.
func user(m core.ModelMessage) responses.ResponseInputParam {
	var items responses.ResponseInputParam
	for _, part := range m.Parts {
		if part.Result != nil {
			items = append(items, result(part.Result))
		}
	}
	var content responses.ResponseInputMessageContentListParam
	for _, part := range m.Parts {
		switch {
		case part.System != "":
			if len(content) > 0 {
				items, content = append(items, responses.ResponseInputItemParamOfMessage(content, responses.EasyInputMessageRoleUser)), nil
			}
			items = append(items, responses.ResponseInputItemParamOfMessage(part.System, responses.EasyInputMessageRoleDeveloper))
		case part.Block != nil && !upstream.Blank(*part.Block):
			content = append(content, block(*part.Block))
		}
	}
	if len(items) == 0 && len(content) == 0 {
		content = append(content, responses.ResponseInputContentParamOfInputText("(empty message)"))
	}
	if len(content) > 0 {
		items = append(items, responses.ResponseInputItemParamOfMessage(content, responses.EasyInputMessageRoleUser))
	}
	return items
}

// assistant writes an assistant's turn, its items in the order in which the model made them.
// Reasoning goes only with what it led to: the vendor refuses a reasoning item that nothing follows,
// as it is left when an answer was interrupted.
func assistant(m core.ModelMessage, dropReasoning bool) responses.ResponseInputParam {
	var items, held responses.ResponseInputParam
	for _, part := range m.Parts {
		switch {
		case part.Thinking != nil:
			if ours(part.Thinking) && !dropReasoning {
				held = append(held, reasoning(part.Thinking))
			}
			continue
		case part.Call != nil:
			items = append(append(items, held...), responses.ResponseInputItemParamOfFunctionCall(
				string(upstream.Object(part.Call.Input)), upstream.CallID(part.Call.ID), part.Call.Name))
		case part.Block != nil && !upstream.Blank(*part.Block):
			items = append(append(items, held...), responses.ResponseInputItemParamOfMessage(
				upstream.TextOf(*part.Block), responses.EasyInputMessageRoleAssistant))
		default:
			continue
		}
		held = nil
	}
	return items
}

// ours reports whether reasoning may go back to this vendor.
func ours(t *core.Thinking) bool {
	return t != nil && t.Vendor == Kind && t.Opaque != "" && json.Valid([]byte(t.Opaque))
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

// reasoning writes an item back as it came.
func reasoning(t *core.Thinking) responses.ResponseInputItemUnionParam {
	item := param.Override[responses.ResponseReasoningItemParam](json.RawMessage(t.Opaque))
	return responses.ResponseInputItemUnionParam{OfReasoning: &item}
}

// result writes a tool's result. The API has no mark for a failed call, so the text says it.
func result(r *core.ModelResult) responses.ResponseInputItemUnionParam {
	var list responses.ResponseFunctionCallOutputItemListParam
	plain := true
	for _, b := range r.Content {
		if upstream.Blank(b) {
			continue
		}
		c := block(b)
		switch {
		case c.OfInputImage != nil:
			plain = false
			list = append(list, responses.ResponseFunctionCallOutputItemUnionParam{OfInputImage: &responses.ResponseInputImageContentParam{ImageURL: c.OfInputImage.ImageURL}})
		case c.OfInputFile != nil:
			plain = false
			list = append(list, responses.ResponseFunctionCallOutputItemUnionParam{OfInputFile: &responses.ResponseInputFileContentParam{
				FileData: c.OfInputFile.FileData, FileURL: c.OfInputFile.FileURL, Filename: c.OfInputFile.Filename,
			}})
		default:
			list = append(list, responses.ResponseFunctionCallOutputItemUnionParam{OfInputText: &responses.ResponseInputTextContentParam{Text: c.OfInputText.Text}})
		}
	}
	out := &responses.ResponseInputItemFunctionCallOutputParam{CallID: param.NewOpt(upstream.CallID(r.CallID))}
	if plain {
		out.Output.OfString = param.NewOpt(upstream.ResultText(r))
		return responses.ResponseInputItemUnionParam{OfFunctionCallOutput: out}
	}
	if r.IsError {
		failed := responses.ResponseFunctionCallOutputItemUnionParam{OfInputText: &responses.ResponseInputTextContentParam{Text: upstream.FailedCall}}
		list = append(responses.ResponseFunctionCallOutputItemListParam{failed}, list...)
	}
	out.Output.OfResponseFunctionCallOutputItemArray = list
	return responses.ResponseInputItemUnionParam{OfFunctionCallOutput: out}
}

// block writes content. What the API has no form for becomes text.
func block(b core.Block) responses.ResponseInputContentUnionParam {
	switch b.Type {
	case core.BlockImage:
		if u := upstream.DataURL(b.Source); u != "" {
			return responses.ResponseInputContentUnionParam{OfInputImage: &responses.ResponseInputImageParam{
				ImageURL: param.NewOpt(u), Detail: responses.ResponseInputImageDetailAuto,
			}}
		}
	case core.BlockDocument:
		if _, text := upstream.DocumentText(b); !text {
			if f := file(b); f != nil {
				return responses.ResponseInputContentUnionParam{OfInputFile: f}
			}
		}
	}
	return responses.ResponseInputContentParamOfInputText(upstream.TextOf(b))
}

func file(b core.Block) *responses.ResponseInputFileParam {
	switch s := b.Source; {
	case s == nil:
	case s.Type == "url":
		return &responses.ResponseInputFileParam{FileURL: param.NewOpt(s.URL)}
	case s.Type == "base64" && s.MediaType == "application/pdf":
		name := b.Title
		if name == "" {
			name = "document.pdf" // the API wants a name with data
		}
		return &responses.ResponseInputFileParam{FileData: param.NewOpt(upstream.DataURL(s)), Filename: param.NewOpt(name)}
	}
	return nil
}
