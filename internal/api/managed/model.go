package managed

import (
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxModelPage is the largest page of models (CMA section 1.5).
const maxModelPage = 1000

// claudeModel is a model on the Claude wire (CMA section 3.13; BetaModelInfo of the SDK). What is null
// is not known of models of all vendors.
type claudeModel struct {
	Type                  string `json:"type"`
	ID                    string `json:"id"`
	DisplayName           string `json:"display_name"`
	CreatedAt             string `json:"created_at"`
	MaxInputTokens        int64  `json:"max_input_tokens"`
	MaxTokens             int64  `json:"max_tokens"`
	Capabilities          any    `json:"capabilities"`
	AllowedFallbackModels any    `json:"allowed_fallback_models"`
	Lifecycle             string `json:"lifecycle"`
	Line                  any    `json:"line"`
	DeprecatedAt          any    `json:"deprecated_at"`
	RetiresAt             any    `json:"retires_at"`
}

// qoderModel is a model on the Qoder wire (qoder.md section 3.2).
type qoderModel struct {
	Type           string   `json:"type"`
	ID             string   `json:"id"`
	DisplayName    string   `json:"display_name"`
	Source         string   `json:"source"`
	IsEnabled      bool     `json:"is_enabled"`
	IsNew          bool     `json:"is_new"`
	Efforts        []string `json:"efforts,omitempty"`
	DefaultEffort  string   `json:"default_effort,omitempty"`
	MaxInputTokens int64    `json:"max_input_tokens"`
	Window         int64    `json:"default_context_window,omitempty"`
	Windows        []int64  `json:"available_context_windows,omitempty"`
}

// modelPage is the envelope of the Claude list, which pages by ids unlike all others.
type modelPage struct {
	Data    []any   `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

// qoderModels is the envelope of the Qoder list, which has no pages (qoder.md section 2.6).
type qoderModels struct {
	Data    []any `json:"data"`
	HasMore bool  `json:"has_more"`
}

func modelWire(fl *Flavour, m core.Model) any {
	display := m.DisplayName
	if display == "" {
		display = m.Name
	}
	if fl.modelName {
		w := qoderModel{
			Type: "model", ID: m.Name, DisplayName: display, Source: "system", IsEnabled: true,
			Efforts: m.Efforts, DefaultEffort: m.DefaultEffort, MaxInputTokens: m.MaxInputTokens,
		}
		if m.MaxInputTokens > 0 {
			w.Window, w.Windows = m.MaxInputTokens, []int64{m.MaxInputTokens}
		}
		return w
	}
	created := m.CreatedAt
	if created.IsZero() {
		created = time.Unix(0, 0) // the field has no null
	}
	return claudeModel{
		Type: "model", ID: m.Name, DisplayName: display, CreatedAt: timestamp(created),
		MaxInputTokens: m.MaxInputTokens, MaxTokens: m.MaxOutputTokens, Lifecycle: "active",
	}
}

// listModels serves GET /models.
func (f *Face) listModels(c *call) (reply, error) {
	if err := c.by.Require(core.RoleViewer); err != nil {
		return reply{}, err
	}
	models := f.models.Models()
	if c.fl.modelName {
		return ok(qoderModels{Data: each(models, func(m core.Model) any { return modelWire(c.fl, m) })})
	}
	limit, err := c.query.number("limit", defaultPage, maxModelPage)
	if err != nil {
		return reply{}, err
	}
	from, err := c.idCursor(func(id string) (cursor, error) {
		i := slices.IndexFunc(models, func(m core.Model) bool { return m.Name == id })
		if i < 0 {
			return cursor{}, core.NotFoundError("model", id)
		}
		return cursor{list: modelList, at: int64(i)}, nil
	})
	if err != nil {
		return reply{}, err
	}
	first, last := 0, len(models) // of the page, last not included
	switch {
	case from != nil && from.back:
		last = int(from.at)
		first = max(0, last-limit)
	case from != nil:
		first = int(from.at) + 1
		last = min(last, first+limit)
	default:
		last = min(last, limit)
	}
	p := modelPage{
		Data:    each(models[first:last], func(m core.Model) any { return modelWire(c.fl, m) }),
		HasMore: from != nil && from.back && first > 0 || (from == nil || !from.back) && last < len(models),
	}
	if first < last {
		p.FirstID, p.LastID = &models[first].Name, &models[last-1].Name
	}
	return ok(p)
}

// getModel serves GET /models/{model}. The name may hold slashes.
func (f *Face) getModel(c *call) (reply, error) {
	if err := c.by.Require(core.RoleViewer); err != nil {
		return reply{}, err
	}
	name := c.PathValue("model")
	m, err := f.models.Model(name)
	if core.KindOf(err) == core.Invalid || name == "" { // empty would be the default
		return reply{}, core.NotFoundError("model", name)
	}
	if err != nil {
		return reply{}, err
	}
	if m.Name == "" {
		m.Name = name
	}
	return ok(modelWire(c.fl, m))
}
