package turn

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

var consultAdvisorSpec = core.ToolSpec{
	Name: "consult_advisor",
	Description: "Asks a stronger model for advice and returns its answer. It sees nothing but your question: put the goal, what you know, " +
		"what you tried and what you doubt into it. Use it before decisions that are hard to undo, and when you are stuck.",
	InputSchema: json.RawMessage(`{"type":"object","properties":{"question":{"type":"string","description":"The question, with all that is needed to answer it"}},"required":["question"]}`),
}

const advisorPrompt = "You advise another agent in its work. You see only its question and can use no tools. " +
	"Answer with the advice alone: short, concrete, and saying what you are not sure of."

// consult asks the advisor in a thread of the consultation's own, whose id is that of the tool use: a run that takes
// over after a crash finds it and asks again in the same thread. The answer, the thread's end and the tool's result
// are one transaction. Whatever fails is a result that the coordinator reads (claude-managed-agents.md section 6.1).
func (v *run) consult(ctx, wakeable context.Context, u *use) error {
	var in struct {
		Question string `json:"question"`
	}
	_, advisor := matesOf(v.session())
	no := readInput(u.Input, &in)
	if no == nil {
		no = lacks("question", in.Question)
	}
	if no == nil && advisor == nil {
		out := refusal("Not run: there is no advisor.")
		no = &out
	}
	if no != nil {
		return v.write(ctx, func(core.Store) ([]core.Draft, error) { return []core.Draft{v.result(u, *no, 0)}, nil })
	}
	began := v.now()
	var span core.Draft
	if err := v.write(ctx, func(tx core.Store) (drafts []core.Draft, err error) {
		drafts, span, err = v.openConsultation(ctx, tx, u, *advisor.Model, in.Question)
		return drafts, err
	}); err != nil {
		return err
	}
	text, usage, err := v.advice(wakeable, *advisor.Model, in.Question)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	out := core.ToolOutput{Content: core.Text(text)}
	switch {
	case wakeable.Err() != nil:
		out, err = refusal("The user interrupted before the advisor had answered."), wakeable.Err()
	case err != nil:
		v.log.Warn("advisor failed", "use", u.event, "err", err)
		out = refusal("The advisor could not be asked: %s. Go on without it.", strings.TrimSuffix(modelFault(err).Message, "."))
	}
	return v.write(ctx, func(core.Store) ([]core.Draft, error) {
		id, took := core.ThreadID(u.event), v.now().Sub(began)
		drafts := []core.Draft{core.NewDraft(id, span.Turn, core.EventModelRequestEnd, core.ModelRequestEnd{
			Start: span.ID, IsError: err != nil, Usage: usage, TookMS: took.Milliseconds(),
		})}
		if err == nil {
			drafts = slices.Insert(drafts, 0, core.NewDraft(id, span.Turn, core.EventAgentMessage, core.Message{Content: out.Content}))
			drafts = append(drafts,
				core.NewDraft(id, span.Turn, core.EventMessageSent, core.ThreadMessage{Thread: v.lease.Thread, Content: out.Content}),
				v.draft(core.EventMessageReceived, core.ThreadMessage{Thread: id, Name: core.AdvisorName, Content: out.Content, ToolUse: u.event}))
		}
		usage.ActiveMS = 0 // the coordinator's turn counts this time
		v.book.Spend(id, usage)
		drafts = append(drafts, v.book.End(id, span.Turn)...)
		return append(drafts, v.result(u, out, took)), nil
	})
}

// openConsultation makes the advisor's thread and opens its model request, or closes the request that a cut-off run
// left open and opens another.
func (v *run) openConsultation(ctx context.Context, tx core.Store, u *use, model core.ModelChoice, question string) (drafts []core.Draft, span core.Draft, err error) {
	id, turn := core.ThreadID(u.event), core.TurnID(u.event)
	span = core.NewDraft(id, turn, core.EventModelRequestStart, core.ModelRequestStart{Model: model.ID})
	if _, open := v.book.Thread(id); open {
		drafts, err = v.cutOff(ctx, tx, id)
		return append(drafts, span), span, err
	}
	t := core.Thread{ID: id, Kind: core.RosterAdvisor, Name: core.AdvisorName, Model: &model}
	if drafts, err = v.book.Create(ctx, t, v.t.turn); err != nil {
		return nil, span, err
	}
	asked := core.Text(question)
	drafts = append(drafts,
		v.draft(core.EventMessageSent, core.ThreadMessage{Thread: id, Name: t.Name, Content: asked, ToolUse: u.event}),
		core.NewDraft(id, turn, core.EventMessageReceived, core.ThreadMessage{Thread: v.lease.Thread, Content: asked}))
	drafts = append(drafts, v.book.Start(id, turn)...)
	return append(drafts, span), span, nil
}

// cutOff ends the model request that is open in an advisor's thread, if one is.
func (v *run) cutOff(ctx context.Context, tx core.Store, id core.ThreadID) ([]core.Draft, error) {
	last, err := tx.Events(ctx, v.lease.Project, v.lease.Session, core.EventQuery{
		Descending: true, Limit: 1, Thread: id, Types: []core.EventType{core.EventModelRequestStart, core.EventModelRequestEnd},
	})
	if err != nil || len(last) == 0 || last[0].Type == core.EventModelRequestEnd {
		return nil, err
	}
	return []core.Draft{core.NewDraft(id, last[0].Turn, core.EventModelRequestEnd, core.ModelRequestEnd{
		Start: last[0].ID, IsError: true, TookMS: v.now().Sub(last[0].At).Milliseconds(),
	})}, nil
}

// dropConsultation ends the advisor's thread of a tool use that gets another result than advice. It does nothing for
// other tool uses.
func (v *run) dropConsultation(ctx context.Context, tx core.Store, u *use) ([]core.Draft, error) {
	if !v.team {
		return nil, nil
	}
	id := core.ThreadID(u.event)
	t, open := v.book.Thread(id)
	if !open || t.Kind != core.RosterAdvisor {
		return nil, nil
	}
	drafts, err := v.cutOff(ctx, tx, id)
	return append(drafts, v.book.End(id, core.TurnID(u.event))...), err
}

// advisorPatience bounds one consultation.
const advisorPatience = 5 * time.Minute

// advice makes the one model call.
func (v *run) advice(ctx context.Context, choice core.ModelChoice, question string) (text string, usage core.Usage, err error) {
	model, provider, err := v.served(choice)
	if err != nil {
		return "", usage, err
	}
	ctx, cancel := context.WithTimeout(ctx, advisorPatience)
	defer cancel()
	var said strings.Builder
	ended := false
	for chunk, err := range provider.Stream(ctx, v.demand(model, choice, advisorPrompt, []core.ModelMessage{{
		Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Text(question)[0]}},
	}})) {
		if err != nil {
			return "", usage, err
		}
		switch chunk.Type {
		case core.ChunkText:
			said.WriteString(chunk.Text)
		case core.ChunkUsage:
			usage = priced(model, chunk.Usage)
		case core.ChunkStop:
			ended = true
		}
	}
	usage.ModelCalls = 1
	usage = priced(model, usage)
	switch {
	case ctx.Err() != nil:
		return "", usage, ctx.Err()
	case !ended || strings.TrimSpace(said.String()) == "":
		return "", usage, &core.ModelError{Type: core.ModelFailed, Message: "it gave no answer", Err: errors.New("the advisor's answer was empty or cut off")}
	}
	return said.String(), usage, nil
}
