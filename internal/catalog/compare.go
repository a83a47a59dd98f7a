package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// parts says which parts of a definition a change touches.
type parts struct {
	name, displayName, description, provider, system, model      bool
	tools, servers, skills, roster, metadata, capabilities, tags bool
}

// allParts is what a new agent touches.
var allParts = parts{true, true, true, true, true, true, true, true, true, true, true, true, true}

func changedParts(old, spec core.AgentSpec) parts {
	return parts{
		name:         old.Name != spec.Name,
		displayName:  old.DisplayName != spec.DisplayName,
		description:  old.Description != spec.Description,
		provider:     old.Provider != spec.Provider,
		system:       old.System != spec.System,
		model:        old.Model != spec.Model,
		tools:        !equalJSON(old.Tools, spec.Tools),
		servers:      !slices.Equal(old.MCPServers, spec.MCPServers),
		skills:       !slices.Equal(old.Skills, spec.Skills),
		roster:       !equalJSON(old.Roster, spec.Roster),
		metadata:     !equalJSON(old.Metadata, spec.Metadata),
		capabilities: !equalJSON(old.Capabilities, spec.Capabilities),
		tags:         !slices.Equal(old.Tags, spec.Tags),
	}
}

// sameEffect reports whether two definitions do the same. A client that reads an agent and sends it
// back gives all defaults in full; that is no change (claude-managed-agents.md section 3.1).
func (s *Service) sameEffect(a, b core.AgentSpec) bool {
	return equalJSON(s.spelledOut(a), s.spelledOut(b))
}

// spelledOut returns the definition with every default filled in.
func (s *Service) spelledOut(spec core.AgentSpec) core.AgentSpec {
	spec.Model = s.spelledModel(spec.Model)
	spec.Tools = slices.Clone(spec.Tools)
	for i, t := range spec.Tools {
		if t.Kind == core.ToolsetCustom {
			continue
		}
		t.Configs = slices.Clone(t.Configs)
		for j, c := range t.Configs {
			enabled, policy := t.Setting(c.Name)
			t.Configs[j].Enabled, t.Configs[j].Policy = &enabled, policy
		}
		enabled, policy := core.Toolset{Kind: t.Kind, Default: t.Default}.Setting("")
		t.Default.Enabled, t.Default.Policy = &enabled, policy
		spec.Tools[i] = t
	}
	return spec
}

func (s *Service) spelledModel(m core.ModelChoice) core.ModelChoice {
	if m.ID == "" {
		return m
	}
	if m.Speed == "" {
		m.Speed = "standard"
	}
	if m.Effort == "" {
		if known, err := s.models.Model(m.ID); err == nil {
			m.Effort = known.DefaultEffort
		}
	}
	return m
}

// equalJSON compares two values by what they are written as, so that the order of members and white
// space in raw JSON do not count. What cannot be written differs from everything.
func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil {
		return false
	}
	return bytes.Equal(x, y) || reflect.DeepEqual(decoded(x), decoded(y))
}

func decoded(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // large integers in a schema must not become equal by rounding
	var v any
	if err := dec.Decode(&v); err != nil {
		panic(fmt.Sprintf("catalog: decode own JSON: %v", err))
	}
	return v
}

// cloneSpec returns a copy that shares nothing with spec, for callers that change it in place.
func cloneSpec(spec core.AgentSpec) (core.AgentSpec, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return core.AgentSpec{}, fmt.Errorf("copy agent definition: %w", err)
	}
	var c core.AgentSpec
	if err := json.Unmarshal(raw, &c); err != nil {
		return core.AgentSpec{}, fmt.Errorf("copy agent definition: %w", err)
	}
	return c, nil
}
