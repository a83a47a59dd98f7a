package tool_test

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/tool"
)

func TestCurrentTime(t *testing.T) {
	t.Parallel()
	r, env := tool.NewRegistry(), core.ToolEnv{Now: now}
	for input, want := range map[string]string{
		``:                                `{"datetime":"2026-01-15T13:04:05Z","format":"iso8601","timezone":"UTC"}`,
		`{}`:                              `{"datetime":"2026-01-15T13:04:05Z","format":"iso8601","timezone":"UTC"}`,
		`{"timezone":"","format":""}`:     `{"datetime":"2026-01-15T13:04:05Z","format":"iso8601","timezone":"UTC"}`,
		`{"timezone":null}`:               `{"datetime":"2026-01-15T13:04:05Z","format":"iso8601","timezone":"UTC"}`,
		`{"timezone":"Europe/Berlin"}`:    `{"datetime":"2026-01-15T14:04:05+01:00","format":"iso8601","timezone":"Europe/Berlin"}`,
		`{"timezone":"America/St_Johns"}`: `{"datetime":"2026-01-15T09:34:05-03:30","format":"iso8601","timezone":"America/St_Johns"}`,
		`{"format":"unix"}`:               `{"timestamp":1768482245,"format":"unix","timezone":"UTC"}`,
		`{"format":"unix","timezone":"Asia/Tokyo"}`:  `{"timestamp":1768482245,"format":"unix","timezone":"Asia/Tokyo"}`,
		`{"format":"human","timezone":"Asia/Tokyo"}`: `{"datetime":"Thursday, 15 January 2026, 22:04:05 JST","format":"human","timezone":"Asia/Tokyo"}`,
	} {
		run(t, r, env, "get_current_time", input).is(want)
	}
	run(t, r, env, "get_current_time", `{"timezone":"Nowhere"}`).refuses(`{"error":"Invalid input for get_current_time: timezone must`, `"code":"invalid_input"`)
}
