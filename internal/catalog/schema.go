package catalog

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// propertyName is what the arguments of a custom tool may be called.
var propertyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// maxSchema bounds one input schema, in bytes. Reeve's own number: every model call carries it.
const maxSchema = 64 << 10

// checkInputSchema holds what claude-managed-agents.md section 5.2 asks of a custom tool's schema: an
// object schema, no $ref anywhere, no choice at its top, plain property names at every level.
func checkInputSchema(field string, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return core.InvalidField(field, "is required")
	}
	if len(raw) > maxSchema {
		return overLimit(field, "is %d bytes long; at most %d are allowed", len(raw), maxSchema)
	}
	if err := checkObject(field, raw); err != nil {
		return err
	}
	schema := decoded(raw).(map[string]any)
	if schema["type"] != "object" {
		return core.InvalidField(field+".type", `must be "object"`)
	}
	for _, key := range []string{"oneOf", "anyOf", "allOf"} {
		if _, ok := schema[key]; ok {
			return core.InvalidField(field+"."+key, "is not allowed at the top of the schema")
		}
	}
	if props, ok := schema["properties"]; ok {
		if _, ok := props.(map[string]any); !ok {
			return core.InvalidField(field+".properties", "must be an object")
		}
	}
	if required, ok := schema["required"]; ok {
		if names, ok := required.([]any); !ok || slices.ContainsFunc(names, func(v any) bool { _, ok := v.(string); return !ok }) {
			return core.InvalidField(field+".required", "must be an array of strings")
		}
	}
	if hasKey(schema, "$ref") {
		return core.InvalidField(field, "must not use $ref")
	}
	if name, ok := badProperty(schema); ok {
		return core.InvalidField(field, "property name %q must be 1 to 64 of the characters A-Z a-z 0-9 _ . -", clip(name))
	}
	return nil
}

// hasKey reports whether any object inside v has the member.
func hasKey(v any, key string) bool {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[key]; ok {
			return true
		}
		for _, member := range v {
			if hasKey(member, key) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return hasKey(item, key) })
	}
	return false
}

// badProperty finds a property name that is not allowed in a schema or the schemas inside it. It skips
// the keywords whose values are data, where a member called "properties" means nothing.
func badProperty(schema any) (string, bool) {
	switch v := schema.(type) {
	case []any:
		for _, item := range v {
			if name, bad := badProperty(item); bad {
				return name, true
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if slices.Contains([]string{"enum", "const", "default", "examples"}, key) {
				continue
			}
			props, isMap := v[key].(map[string]any)
			if key != "properties" || !isMap {
				if name, bad := badProperty(v[key]); bad {
					return name, true
				}
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(props)) {
				if !propertyName.MatchString(name) {
					return name, true
				}
				if inner, bad := badProperty(props[name]); bad {
					return inner, true
				}
			}
		}
	}
	return "", false
}
