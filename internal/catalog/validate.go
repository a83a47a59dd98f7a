package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// CodeLimitExceeded is the code of the Invalid error for text that is too long and lists that have
// too many entries; some dialects word that case in their own way.
const CodeLimitExceeded = "limit_exceeded"

// Bounds that no dialect names, so that nothing a client sends is unbounded.
const (
	maxModelName = 256
	maxToken     = 256 // skill ids and versions, capability refs
)

var (
	speeds = []string{"standard", "fast"}
	geos   = []string{"us", "global"}
)

// review judges one definition. Its passes run in a fixed order, so that a request with several
// faults is always told of the same one: what is missing, lengths, numbers of entries, the shape of
// entries, rules across parts, and last what must exist elsewhere (qoder.md section 9, note 13).
type review struct {
	spec  *core.AgentSpec
	lim   Limits
	parts parts
}

// check runs all passes but the roster's references, which need the store: see pinRoster.
func (s *Service) check(spec *core.AgentSpec, lim Limits, touched parts) error {
	r := review{spec: spec, lim: lim, parts: touched}
	if lim.TrimText {
		r.trim()
	}
	for _, pass := range []func() error{
		r.required, r.lengths, r.sizes, r.modelShape, r.toolShapes, r.serverShapes, r.skillShapes, r.rosterShapes,
		r.capabilityShapes, r.references,
	} {
		if err := pass(); err != nil {
			return err
		}
	}
	if touched.model && spec.Model.ID != "" {
		if err := s.checkModel(lim.Fields.Model, spec.Model); err != nil {
			return err
		}
	}
	if touched.capabilities {
		return s.checkCapabilities(spec.Capabilities)
	}
	return nil
}

func (r review) trim() {
	for _, t := range []struct {
		touched bool
		text    *string
	}{{r.parts.name, &r.spec.Name}, {r.parts.description, &r.spec.Description}, {r.parts.provider, &r.spec.Provider}} {
		if t.touched {
			*t.text = strings.TrimSpace(*t.text)
		}
	}
}

func (r review) required() error {
	switch {
	case r.parts.name && r.spec.Name == "":
		return core.InvalidField(r.lim.Fields.Name, "is required and must not be empty")
	case r.parts.model && r.spec.Model.ID == "" && !r.lim.ModelOptional:
		return core.InvalidField(r.lim.Fields.Model, "is required and must not be empty")
	case r.parts.provider && r.spec.Provider == "" && r.lim.ProviderRequired:
		return core.InvalidField(r.lim.Fields.Provider, "is required and must not be empty")
	}
	return nil
}

func (r review) lengths() error {
	count, unit := utf8.RuneCountInString, "characters"
	if r.lim.InBytes {
		count, unit = func(s string) int { return len(s) }, "bytes"
	}
	for _, t := range []struct {
		touched     bool
		field, text string
		max         int
	}{
		{r.parts.name, r.lim.Fields.Name, r.spec.Name, r.lim.Name},
		{r.parts.displayName, "display_name", r.spec.DisplayName, r.lim.DisplayName},
		{r.parts.description, r.lim.Fields.Description, r.spec.Description, r.lim.Description},
		{r.parts.provider, r.lim.Fields.Provider, r.spec.Provider, r.lim.Provider},
		{r.parts.system, r.lim.Fields.System, r.spec.System, r.lim.System},
	} {
		if !t.touched {
			continue
		}
		if n := count(t.text); n > t.max {
			return overLimit(t.field, "is %d %s long; at most %d are allowed", n, unit, t.max)
		}
		if err := checkText(t.field, t.text); err != nil {
			return err
		}
	}
	if r.parts.model {
		if err := checkLength(r.lim.Fields.Model, r.spec.Model.ID, maxModelName); err != nil {
			return err
		}
	}
	if r.parts.metadata {
		return checkMetadataText(r.spec.Metadata, r.lim)
	}
	return nil
}

func (r review) sizes() error {
	entries := 0
	for _, t := range r.spec.Tools {
		entries += max(1, len(t.Configs))
	}
	members := 0
	if r.spec.Roster != nil {
		members = len(r.spec.Roster.Members)
	}
	for _, l := range []struct {
		touched bool
		field   string
		n, max  int
	}{
		{r.parts.tools, "tools", len(r.spec.Tools), r.lim.Tools},
		{r.parts.tools, "tools", entries, r.lim.ToolEntries},
		{r.parts.servers, "mcp_servers", len(r.spec.MCPServers), r.lim.MCPServers},
		{r.parts.skills, "skills", len(r.spec.Skills), r.lim.Skills},
		{r.parts.metadata, "metadata", len(r.spec.Metadata), r.lim.MetadataPairs},
		{r.parts.roster, "multiagent.agents", members, r.lim.Roster},
		{r.parts.capabilities, "capabilities", len(r.spec.Capabilities), r.lim.Capabilities},
		{r.parts.tags, "tags", len(r.spec.Tags), r.lim.Tags},
	} {
		if l.touched && l.n > l.max {
			return overLimit(l.field, "has %d entries; at most %d are allowed", l.n, l.max)
		}
	}
	if r.parts.roster && r.spec.Roster != nil && members == 0 {
		return core.InvalidField("multiagent.agents", "must have at least one entry")
	}
	return nil
}

func (r review) modelShape() error {
	if !r.parts.model {
		return nil
	}
	return checkChoice(r.lim.Fields.Model, r.spec.Model)
}

// checkChoice checks the settings of a model by themselves (claude-managed-agents.md section 3.1). The
// effort is left to checkModel: other vendors' models take words that Claude's do not.
func checkChoice(field string, m core.ModelChoice) error {
	switch {
	case m.Speed != "" && !slices.Contains(speeds, m.Speed):
		return core.InvalidField(field+".speed", "must be one of %s", strings.Join(speeds, ", "))
	case m.InferenceGeo != "" && !slices.Contains(geos, m.InferenceGeo):
		return core.InvalidField(field+".inference_geo", "must be one of %s", strings.Join(geos, ", "))
	case m.ContextWindow < 0:
		return core.InvalidField(field+".context_window", "must not be negative")
	}
	return nil
}

func (r review) serverShapes() error {
	if !r.parts.servers {
		return nil
	}
	seen := map[string]bool{}
	for i, srv := range r.spec.MCPServers {
		at := fmt.Sprintf("mcp_servers[%d]", i)
		switch {
		case srv.Type != "url":
			return core.InvalidField(at+".type", `must be "url"`)
		case srv.Name == "":
			return core.InvalidField(at+".name", "is required and must not be empty")
		case seen[srv.Name]:
			return core.InvalidField(at+".name", "another server has the same name %q", clip(srv.Name))
		}
		if err := checkLength(at+".name", srv.Name, 255); err != nil {
			return err
		}
		if err := checkServerURL(at+".url", srv.URL); err != nil {
			return err
		}
		seen[srv.Name] = true
	}
	return nil
}

// checkServerURL wants an absolute http or https URL of at most 2048 characters. User and password in
// it are refused: a definition is readable by the whole project, credentials belong into a vault.
func checkServerURL(field, raw string) error {
	if raw == "" {
		return core.InvalidField(field, "is required and must not be empty")
	}
	if err := checkLength(field, raw, 2048); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return core.InvalidField(field, "must be an absolute http or https URL")
	case u.User != nil:
		return core.InvalidField(field, "must not hold a user or password; keep credentials in a vault")
	}
	return nil
}

func (r review) skillShapes() error {
	if !r.parts.skills {
		return nil
	}
	for i, b := range r.spec.Skills {
		at := fmt.Sprintf("skills[%d]", i)
		if !slices.Contains(r.lim.SkillTypes, b.Type) {
			return core.InvalidField(at+".type", "must be one of %s", strings.Join(r.lim.SkillTypes, ", "))
		}
		if b.Skill == "" {
			return core.InvalidField(at+".skill_id", "is required and must not be empty")
		}
		if err := checkLength(at+".skill_id", b.Skill, maxToken); err != nil {
			return err
		}
		if err := checkLength(at+".version", b.Version, maxToken); err != nil {
			return err
		}
	}
	return nil
}

func (r review) capabilityShapes() error {
	if r.parts.capabilities {
		seen := map[string]bool{}
		for i, c := range r.spec.Capabilities {
			at := fmt.Sprintf("capabilities[%d]", i)
			if c.Ref == "" {
				return core.InvalidField(at+".ref", "is required and must not be empty")
			}
			if err := checkLength(at+".ref", c.Ref, maxToken); err != nil {
				return err
			}
			if seen[c.Ref] {
				return core.InvalidField(at+".ref", "%q is listed twice", c.Ref)
			}
			seen[c.Ref] = true
			if err := checkObject(at+".config", c.Config); err != nil {
				return err
			}
		}
	}
	if r.parts.tags {
		for i, tag := range r.spec.Tags {
			at := fmt.Sprintf("tags[%d]", i)
			if tag == "" {
				return core.InvalidField(at, "must not be empty")
			}
			if err := checkLength(at, tag, r.lim.Tag); err != nil {
				return err
			}
		}
	}
	return nil
}

// references holds the rules across parts.
func (r review) references() error {
	declared, used := map[string]bool{}, map[string]bool{}
	for _, srv := range r.spec.MCPServers {
		declared[srv.Name] = true
	}
	if r.parts.tools || r.parts.servers {
		for i, t := range r.spec.Tools {
			if t.Kind == core.ToolsetMCP && !declared[t.Server] {
				return core.InvalidField(fmt.Sprintf("tools[%d].mcp_server_name", i), "no entry of mcp_servers is named %q", clip(t.Server))
			}
			used[t.Server] = true
		}
		for i, srv := range r.spec.MCPServers {
			if r.lim.RequireMCPReference && !used[srv.Name] {
				return core.InvalidField(fmt.Sprintf("mcp_servers[%d]", i), "no mcp_toolset entry of tools uses the server %q", clip(srv.Name))
			}
		}
	}
	builtin := slices.IndexFunc(r.spec.Tools, func(t core.Toolset) bool { return t.Kind == core.ToolsetBuiltin })
	if (r.parts.tools || r.parts.skills) && r.lim.SkillsNeedRead && len(r.spec.Skills) > 0 {
		if builtin < 0 || !enabled(r.spec.Tools[builtin], "read") {
			return core.InvalidField("skills", "need the tool read: enable it in an agent_toolset_20260401 entry of tools")
		}
	}
	if (r.parts.tools || r.parts.roster) && r.spec.Roster != nil && builtin < 0 {
		return core.InvalidField("tools", "multiagent needs an agent_toolset_20260401 entry")
	}
	return nil
}

func enabled(t core.Toolset, name string) bool {
	on, _ := t.Setting(name)
	return on
}

// checkModel wants a model that the installation can serve, and knobs that suit it.
func (s *Service) checkModel(field string, m core.ModelChoice) error {
	known, err := s.models.Model(m.ID)
	var e *core.Error
	if errors.As(err, &e) && e.Kind == core.Invalid {
		message := strings.TrimPrefix(e.Message, e.Field+": ") // the resolver's name of the field is not the client's
		return &core.Error{Kind: core.Invalid, Code: e.Code, Field: field, Message: field + ": " + message, Err: err}
	}
	switch {
	case err != nil:
		return fmt.Errorf("look up model: %w", err)
	case m.Effort != "" && len(known.Efforts) == 0:
		return core.InvalidField(field+".effort", "the model %q takes none", known.Name)
	case m.Effort != "" && !slices.Contains(known.Efforts, m.Effort):
		return core.InvalidField(field+".effort", "must be one of %s for the model %q", strings.Join(known.Efforts, ", "), known.Name)
	case m.Speed == "fast" && !known.Fast:
		return core.InvalidField(field+".speed", "the provider of the model %q has one speed: standard", known.Name)
	case m.InferenceGeo != "" && !known.Geo:
		return core.InvalidField(field+".inference_geo", "the provider of the model %q does not let callers choose the place", known.Name)
	case known.MaxInputTokens > 0 && m.ContextWindow > known.MaxInputTokens:
		return core.InvalidField(field+".context_window", "the model %q has a window of %d tokens", known.Name, known.MaxInputTokens)
	}
	return nil
}

func (s *Service) checkCapabilities(refs []core.CapabilityRef) error {
	for i, c := range refs {
		if _, ok := s.tools.Capability(c.Ref); !ok {
			return core.InvalidField(fmt.Sprintf("capabilities[%d].ref", i), "there is no capability %q", c.Ref)
		}
	}
	return nil
}

// checkMetadataText checks keys in their order, so that the answer is always the same.
func checkMetadataText(pairs map[string]string, lim Limits) error {
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if err := checkLength("metadata", key, lim.MetadataKey); err != nil {
			return err
		}
		if err := checkLength("metadata."+key, pairs[key], lim.MetadataValue); err != nil {
			return err
		}
	}
	return nil
}

// checkLength bounds a text in Unicode characters and checks its bytes.
func checkLength(field, text string, max int) error {
	if n := utf8.RuneCountInString(text); n > max {
		return overLimit(field, "is %d characters long; at most %d are allowed", n, max)
	}
	return checkText(field, text)
}

// checkText refuses what the databases cannot keep: bytes that are not UTF-8, and NUL.
func checkText(field, text string) error {
	switch {
	case !utf8.ValidString(text):
		return core.InvalidField(field, "is not valid UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return core.InvalidField(field, "holds a NUL character")
	}
	return nil
}

// checkObject wants raw to be absent or a JSON object.
func checkObject(field string, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	if t := bytes.TrimSpace(raw); len(t) == 0 || t[0] != '{' || !json.Valid(t) || !utf8.Valid(t) {
		return core.InvalidField(field, "must be an object")
	}
	return nil
}

func overLimit(field, format string, args ...any) error {
	e := core.InvalidField(field, format, args...)
	e.Code = CodeLimitExceeded
	return e
}

// clip shortens a client's own text for a message.
func clip(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
