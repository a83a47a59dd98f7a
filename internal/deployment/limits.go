package deployment

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits: claude-managed-agents.md sections 1.7 and 3.11. For the description no limit is published; it is
// that of agents.
const (
	MaxScheduled     = 1000 // deployments of a project with a schedule
	maxName          = 256  // characters, as the others
	maxDescription   = 2048
	maxEvents        = 50
	maxResources     = 500
	maxMetadata      = 16 // pairs
	maxMetadataKey   = 64
	maxMetadataValue = 512
	maxExpression    = 256
)

// check judges what needs no look into the store. What a session takes is left to the session service.
func check(d core.Deployment) error {
	if d.Name == "" {
		return core.InvalidField("name", "is required and must not be empty")
	}
	if err := checkLength("name", d.Name, maxName); err != nil {
		return err
	}
	if err := checkLength("description", d.Description, maxDescription); err != nil {
		return err
	}
	if n := len(d.Events); n < 1 || n > maxEvents {
		return core.InvalidField("initial_events", "must have 1 to %d events", maxEvents)
	}
	if n := len(d.Resources); n > maxResources {
		return core.InvalidField("resources", "has %d entries; at most %d are allowed", n, maxResources)
	}
	if err := checkMetadata(d.Metadata); err != nil {
		return err
	}
	if d.Schedule == nil {
		return nil
	}
	if err := checkLength("schedule.expression", d.Schedule.Expression, maxExpression); err != nil {
		return err
	}
	t, err := read(*d.Schedule)
	if err != nil {
		return err
	}
	if t.next(firstOfMarch).IsZero() {
		return core.InvalidField("schedule.expression", "matches no date")
	}
	return nil
}

// firstOfMarch is a day behind which every date that there is comes within searchYears. A schedule is
// judged the same at all times.
var firstOfMarch = time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC)

func checkLength(field, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return core.InvalidField(field, "has %d characters; at most %d are allowed", n, most)
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if n := len(m); n > maxMetadata {
		return core.InvalidField("metadata", "has %d entries; at most %d are allowed", n, maxMetadata)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if n := utf8.RuneCountInString(key); n == 0 || n > maxMetadataKey {
			return core.InvalidField("metadata", "keys must have 1 to %d characters", maxMetadataKey)
		}
		if err := checkLength(fmt.Sprintf("metadata.%s", key), m[key], maxMetadataValue); err != nil {
			return err
		}
	}
	return nil
}
