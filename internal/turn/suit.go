package turn

import (
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

const speedFast = "fast" // of core.ModelChoice

// served returns the model that an agent chose and who serves it.
func (v *run) served(choice core.ModelChoice) (core.Model, core.Provider, error) {
	model, err := v.models.Model(choice.ID)
	if err != nil {
		return core.Model{}, nil, err
	}
	if err := suits(model, choice); err != nil {
		return core.Model{}, nil, err
	}
	provider, err := v.models.Provider(model)
	return model, provider, err
}

// suits refuses a model that by now is served by somebody who cannot do what the agent asks for: its provider may
// have been another one when the agent was saved. Where an answer is thought out may matter more than to have one.
func suits(model core.Model, choice core.ModelChoice) error {
	switch {
	case choice.InferenceGeo != "" && !model.Geo:
		return &core.ModelError{Type: core.ModelFailed, Message: fmt.Sprintf("The provider of the model %q does not let callers choose the place of inference, which this agent asks for.", model.Name)}
	case choice.Speed == speedFast && !model.Fast:
		return &core.ModelError{Type: core.ModelFailed, Message: fmt.Sprintf("The provider of the model %q has no faster speed, which this agent asks for.", model.Name)}
	}
	return nil
}
