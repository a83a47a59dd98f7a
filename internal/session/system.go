package session

import (
	"github.com/reeve-ai/reeve/internal/core"
)

// checkSystem judges a system message by itself: 1 to 1,000 blocks of text (claude-managed-agents.md section 1.7).
func checkSystem(field string, m *core.Message) error {
	if len(m.Content) == 0 {
		return core.InvalidField(field+".content", "must not be empty")
	}
	for i, b := range m.Content {
		if b.Type != core.BlockText {
			return core.InvalidField(indexed(field+".content", i)+".type", "a system message has only text")
		}
		if b.Text == "" {
			return core.InvalidField(indexed(field+".content", i)+".text", "must not be empty")
		}
	}
	return checkBlocks(field+".content", m.Content)
}

// placedSystem judges where a system message stands among inputs: there is at most one, it comes last, and right
// behind what it goes with, unless it comes alone (claude-managed-agents.md section 4.1).
func placedSystem(member string, in []Input) error {
	for i := range in {
		if in[i].System == nil {
			continue
		}
		field := indexed(member, i) + ".type"
		if i < len(in)-1 {
			return core.InvalidField(field, "a system.message must be the last event, and there may be only one")
		}
		if i > 0 && in[i-1].Message == nil && in[i-1].ToolResult == nil && in[i-1].CustomResult == nil {
			return core.InvalidField(field, "a system.message must come right behind a user.message, user.tool_result or user.custom_tool_result")
		}
	}
	return nil
}

// takesSystem judges whether a session takes the system message at the end of in.
func (s *Service) takesSystem(sess core.Session, member string, in []Input, waiting []core.EventID) error {
	last := len(in) - 1
	if in[last].System == nil {
		return nil
	}
	if last == 0 && len(waiting) > 0 {
		return core.InvalidField(indexed(member, 0)+".type", "a system.message cannot come alone while tool uses wait for an answer")
	}
	return s.hearsSystem(sess.Snapshot, member, last)
}

// hearsSystem refuses system messages for the one model that would not heed them.
func (s *Service) hearsSystem(spec *core.AgentSpec, member string, at int) error {
	if spec == nil {
		return nil
	}
	m, err := s.models.Model(spec.Model.ID)
	if err != nil || !m.Demo {
		return nil // a model that is gone fails with the turn, and says so there
	}
	const code = "model_does_not_support_mid_conversation_system"
	e := core.InvalidField(indexed(member, at)+".type", "%s: the demo model heeds no instructions", code)
	e.Code = code
	return e
}

// suitsModel judges what a new session asks of its model.
func (s *Service) suitsModel(n NewSession, spec core.AgentSpec) error {
	for i := range n.Inputs {
		if n.Inputs[i].System != nil {
			if err := s.hearsSystem(&spec, "initial_events", i); err != nil {
				return err
			}
		}
	}
	return s.measurable(n.Budget, spec.Model)
}
