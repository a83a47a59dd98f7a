package managed

import (
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// outcomePrefix is that of outcomes; both dialects write it alike.
const outcomePrefix = "outc_"

// Kinds of rubrics (CMA section 4.1).
const (
	rubricText = "text"
	rubricFile = "file"
)

// outcome reads the members of user.define_outcome.
func (o *object) outcome() *core.NewOutcome {
	n := &core.NewOutcome{Description: o.required("description")}
	if most := read[int](o, "max_iterations"); most.Set && !most.Null {
		if n.MaxIterations = most.V; most.V < 1 {
			o.fail(core.InvalidField(o.field("max_iterations"), "must be at least 1"))
		}
	}
	rubric := o.object("rubric")
	if rubric == nil {
		o.fail(core.InvalidField(o.field("rubric"), "is required"))
		return n
	}
	switch kind := rubric.text("type"); kind {
	case rubricText:
		n.Rubric = rubric.required("content")
	case rubricFile:
		spelled := rubric.required("file_id")
		id, known := core.ParseID[core.FileID](spelled)
		if !known {
			rubric.fail(core.InvalidField(rubric.field("file_id"), "file %q was not found", spelled))
		}
		n.RubricFile = id
	default:
		rubric.fail(core.InvalidField(rubric.field("type"), `must be "text" or "file"`))
	}
	rubric.closed()
	return n
}

// rubricWire is a rubric on the wire: of its two kinds.
type rubricWire struct {
	Type    string `json:"type"`
	Content string `json:"content,omitempty"`
	FileID  string `json:"file_id,omitempty"`
}

type outcomeWire struct {
	OutcomeID     string     `json:"outcome_id"`
	Description   string     `json:"description"`
	Rubric        rubricWire `json:"rubric"`
	MaxIterations int        `json:"max_iterations"`
}

// writeOutcome writes an outcome that a session took. A rubric that came as a file is shown as its text.
func writeOutcome(_ *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.DefineOutcome](e)
	return outcomeWire{outcomePrefix + string(m.Outcome), m.Description, rubricWire{Type: rubricText, Content: m.Rubric}, m.MaxIterations}, err
}

// initialOutcomeWire is an outcome that no session has got yet.
type initialOutcomeWire struct {
	Type          core.EventType `json:"type"`
	Description   string         `json:"description"`
	Rubric        rubricWire     `json:"rubric"`
	MaxIterations *int           `json:"max_iterations"` // null: the default
}

func initialOutcome(o *core.NewOutcome) initialOutcomeWire {
	w := initialOutcomeWire{Type: core.EventUserDefineOutcome, Description: o.Description, Rubric: rubricWire{Type: rubricText, Content: o.Rubric}}
	if o.RubricFile != "" {
		w.Rubric = rubricWire{Type: rubricFile, FileID: filePrefix + string(o.RubricFile)}
	}
	if o.MaxIterations > 0 {
		w.MaxIterations = &o.MaxIterations
	}
	return w
}

// evaluationWire is how an outcome of a session stands (CMA section 3.4).
type evaluationWire struct {
	Type        string             `json:"type"`
	OutcomeID   string             `json:"outcome_id"`
	Description string             `json:"description"`
	Iteration   int                `json:"iteration"`
	Result      core.OutcomeResult `json:"result"`
	Explanation *string            `json:"explanation"`
	CompletedAt any                `json:"completed_at"`
}

func evaluationOf(o core.Outcome) any {
	w := evaluationWire{
		Type: "outcome_evaluation", OutcomeID: outcomePrefix + string(o.ID), Description: o.Description, Iteration: o.Iteration,
		Result: o.Result, CompletedAt: maybeTime(o.CompletedAt),
	}
	if o.Explanation != "" {
		w.Explanation = &o.Explanation
	}
	return w
}

type outcomeSpanWire struct {
	OutcomeID string `json:"outcome_id"`
	Iteration int    `json:"iteration"`
}

func writeOutcomeSpan(_ *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.OutcomeSpan](e)
	return outcomeSpanWire{outcomePrefix + string(m.Outcome), m.Iteration}, err
}

type outcomeEndWire struct {
	Start       string             `json:"outcome_evaluation_start_id"` // empty: none began
	OutcomeID   string             `json:"outcome_id"`
	Iteration   int                `json:"iteration"`
	Result      core.OutcomeResult `json:"result"`
	Explanation string             `json:"explanation"`
	Usage       any                `json:"usage"`
}

func writeOutcomeEnd(t *translator, e core.Event) (any, error) {
	m, err := core.Payload[core.OutcomeEnd](e)
	w := outcomeEndWire{
		OutcomeID: outcomePrefix + string(m.Outcome), Iteration: m.Iteration, Result: m.Result, Explanation: m.Explanation,
		Usage: t.c.fl.modelUsage(m.Usage),
	}
	if m.Start != "" {
		w.Start = t.eventID(m.Start)
	}
	return w, err
}

// systemMessage reads the members of system.message: text alone.
func (o *object) systemMessage(fl *Flavour) *core.Message {
	m := &core.Message{Content: o.content(fl, false)}
	for i, b := range m.Content {
		if b.Type != core.BlockText {
			o.fail(core.InvalidField(fmt.Sprintf("%s[%d].type", o.field("content"), i), "a system message has only text"))
		}
	}
	return m
}

// stampedAtOnce reports whether clients see input with the time of its receipt, though it may wait in the queue
// (CMA section 4.3).
func stampedAtOnce(t core.EventType) bool {
	return t == core.EventUserDefineOutcome || t == core.EventMessageReceived
}
