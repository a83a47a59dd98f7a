package provider

import (
	"crypto/sha256"
	"encoding/hex"
)

// ModelID is the id of a model name: the first 16 bytes of its SHA-256 as 32 lower-case hex digits.
// The everruns dialect writes it as model_ and the digits.
func ModelID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// wellKnown are ids that clients send without having read them here, with the names that they stand
// for; an empty name is the system default.
var wellKnown = map[string]string{
	"01933b5a000070008000000000000401": "llmsim-default", // Everruns' seeded simulated models
	"01933b5a000070008000000000000402": "llmsim-latency",
	"01933b5a00007000800000000000001":  "", // the example of Everruns' published page, one digit short
	"01933b5a000070008000000000000001": "", // the same, mended
}
