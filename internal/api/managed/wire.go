package managed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Prefixes of the ids that both dialects write alike (CMA section 1.6, qoder.md section 1.1).
const (
	agentPrefix       = "agent_"
	environmentPrefix = "env_"
	threadPrefix      = "sthr_"
)

// timeFormat is RFC 3339 in UTC with microseconds, as the times are stored.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func timestamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// maybeTime writes a time that may not have come: null.
func maybeTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timestamp(t)
}

// null is a member that is there and null, for fields that only one flavour has: an empty RawMessage is
// left out.
var null = json.RawMessage("null")

// encode writes a value without HTML escapes and without a line end.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("managed: answer does not marshal: %v", err)) // our own structs always do
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// pathID reads the id in a path. What is no id names nothing: NotFound.
func pathID[T ~string](c *call, noun string) (T, error) {
	id, ok := core.ParseID[T](c.PathValue(noun))
	if !ok {
		return "", core.NotFoundError(noun, c.PathValue(noun))
	}
	return id, nil
}

// metadata is never null on the wire.
func metadata(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// list is never null on the wire.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// deleted is the answer to a delete.
type deleted struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}
