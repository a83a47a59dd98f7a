package managed

import (
	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// modelPatch is a model as a request has it: a name, or an object around it.
type modelPatch struct {
	httpio.Optional[string] // the name
	effort                  *string
	speed                   string
	geo                     string
	window                  *int64
}

// modelPatch reads a member that is a model's name or {id, effort, …} (CMA section 3.1, qoder.md
// section 3.1).
func (o *object) modelPatch(name string) modelPatch {
	raw := o.raw(name)
	if raw == nil || isString(raw) || string(raw) == "null" {
		return modelPatch{Optional: read[string](o, name)}
	}
	m := o.object(name)
	if m == nil {
		return modelPatch{}
	}
	p := modelPatch{Optional: read[string](m, "id")}
	if !p.Set || p.Null {
		m.fail(core.InvalidField(m.field("id"), "is required"))
	}
	if raw := m.raw("effort"); raw != nil && string(raw) != "null" {
		effort := ""
		if isString(raw) {
			effort = m.text("effort")
		} else if level := m.object("effort"); level != nil {
			effort = level.text("type")
			level.closed()
		}
		p.effort = &effort
	}
	if o.unknown == httpio.RejectUnknown { // members of the Claude wire alone
		p.speed, p.geo = m.text("speed"), m.text("inference_geo")
	} else if w := read[int64](m, "context_window"); w.Set && !w.Null {
		p.window = &w.V
	}
	m.closed()
	return p
}

// apply changes a stored choice. While the name stays, what the request leaves out stays too where
// the contract or the limits of its wire ask for it: effort always, and whatever that wire cannot say.
// With another name everything starts from that model's defaults.
func (p modelPatch) apply(stored core.ModelChoice, fl *Flavour) core.ModelChoice {
	next := core.ModelChoice{ID: p.V}
	if p.V == stored.ID {
		next = stored
		if fl == Claude {
			next.Speed, next.InferenceGeo = "", "" // reset unless given (CMA section 3.1)
		}
	}
	if p.effort != nil {
		next.Effort = *p.effort
	}
	if p.speed != "" {
		next.Speed = p.speed
	}
	if p.geo != "" {
		next.InferenceGeo = p.geo
	}
	if p.window != nil {
		next.ContextWindow = *p.window
	}
	return next
}

// modelObject is a model on the Claude wire.
type modelObject struct {
	ID           string `json:"id"`
	Effort       any    `json:"effort"` // {"type": …}; null for a model without
	Speed        string `json:"speed"`
	InferenceGeo string `json:"inference_geo,omitempty"`
}

// snapshotModel is the model of a session's agent on the Qoder wire.
type snapshotModel struct {
	ID     string `json:"id"`
	Window int64  `json:"effective_context_window"`
}

// model looks a choice up. An agent may name a model that is gone by now, or none at all, which means
// the system's default.
func (f *Face) model(choice core.ModelChoice) core.Model {
	m, err := f.models.Model(choice.ID)
	if err != nil {
		return core.Model{Name: choice.ID}
	}
	return m
}

// modelWire writes an agent's model.
func (f *Face) modelWire(fl *Flavour, choice core.ModelChoice) any {
	known := f.model(choice)
	name := choice.ID
	if name == "" {
		name = known.Name
	}
	if fl.modelName {
		return name
	}
	w := modelObject{ID: name, Speed: "standard", InferenceGeo: choice.InferenceGeo}
	effort := choice.Effort
	if effort == "" {
		effort = known.DefaultEffort
	}
	if effort != "" {
		w.Effort = map[string]string{"type": effort}
	}
	if choice.Speed != "" {
		w.Speed = choice.Speed
	}
	return w
}

// snapshotModelWire writes the model of a session's frozen agent. Qoder has an object here and a name
// in the agent (qoder.md section 3.3).
func (f *Face) snapshotModelWire(fl *Flavour, choice core.ModelChoice) any {
	if !fl.modelName {
		return f.modelWire(fl, choice)
	}
	w := snapshotModel{ID: f.modelWire(fl, choice).(string), Window: choice.ContextWindow}
	if w.Window == 0 {
		w.Window = f.model(choice).MaxInputTokens
	}
	return w
}
