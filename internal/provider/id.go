package provider

// wellKnown are ids that clients send without having read them here, with the names that they stand
// for; an empty name is the system default.
var wellKnown = map[string]string{
	"01933b5a000070008000000000000401": "llmsim-default", // Everruns' seeded simulated models
	"01933b5a000070008000000000000402": "llmsim-latency",
	"01933b5a00007000800000000000001":  "", // the example of Everruns' published page, one digit short
	"01933b5a000070008000000000000001": "", // the same, mended
}
