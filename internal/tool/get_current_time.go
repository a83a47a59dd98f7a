package tool

import (
	"context"
	"encoding/json"
	"time"
	_ "time/tzdata" // so that zones are known on machines without a zone database

	"github.com/reeve-ai/reeve/internal/core"
)

// currentTime is get_current_time of the capability current_time (Everruns section 5.2).
type currentTime struct{}

func (currentTime) Spec() core.ToolSpec { return spec("get_current_time") }

func (currentTime) Repeatable() bool { return true }

func (currentTime) Run(_ context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("get_current_time", raw)
	zone, format := in.text("timezone"), in.text("format")
	if zone == "" {
		zone = "UTC"
	}
	place, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" { // the server's own zone is nobody's business
		in.fault("timezone must be the name of an IANA time zone, such as Europe/Berlin or UTC; %q is none", clip(zone, 64))
	}
	layout := ""
	switch format {
	case "", "iso8601":
		format, layout = "iso8601", time.RFC3339
	case "human":
		layout = "Monday, 2 January 2006, 15:04:05 MST"
	case "unix":
	default:
		in.fault("format must be iso8601, unix or human")
	}
	if says, bad := in.problem(); bad {
		return objectError("invalid_input", says), nil
	}
	result := struct {
		DateTime  string `json:"datetime,omitempty"`
		Timestamp *int64 `json:"timestamp,omitempty"`
		Format    string `json:"format"`
		Timezone  string `json:"timezone"`
	}{Format: format, Timezone: zone}
	if layout == "" {
		seconds := env.Now.Unix()
		result.Timestamp = &seconds
	} else {
		result.DateTime = env.Now.In(place).Format(layout)
	}
	return object(result), nil
}
