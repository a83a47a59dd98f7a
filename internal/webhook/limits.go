package webhook

import "time"

// Limits of what somebody may choose. The references name none.
const (
	MaxWebhooks    = 20 // in a project, those that are off included
	MaxURL         = 2048
	MaxDescription = 512 // characters
	// MaxPage is the most deliveries that one list returns.
	MaxPage = 100
)

const (
	// MaxTries is how often a delivery is tried (claude-managed-agents.md section 3.12).
	MaxTries = 3
	// OldSecret is how long the secret before the present one signs as well.
	OldSecret = 24 * time.Hour
	// Retention is how long deliveries are kept.
	Retention = 30 * 24 * time.Hour
	// MaxFailed deliveries in a row that were given up, the first of them at least FailingTime ago, switch a
	// webhook off.
	MaxFailed   = 20
	FailingTime = time.Hour
)

const (
	sendTime     = 10 * time.Second // for a whole attempt
	leaseTime    = time.Minute      // then whoever was sending is taken for dead
	recordTime   = 10 * time.Second // to store what came of an attempt
	maxAnswer    = 64 << 10         // bytes of an answer that are read, and thrown away
	keptAttempts = 20
	perWebhook   = 4   // attempts at one time to one webhook, on each node
	perNode      = 256 // and to all
	sweepSize    = 100 // webhooks that one look takes
	pruneSize    = 500 // deliveries that one transaction deletes

	sweepEvery  = time.Second
	reloadEvery = 3 * time.Second
	pruneEvery  = time.Hour
)

// backoffs are the shortest and the longest wait behind an attempt that failed, by how many did
// (claude-managed-agents.md section 3.12: 5 to 120 seconds).
var backoffs = [MaxTries - 1][2]time.Duration{{5 * time.Second, 30 * time.Second}, {30 * time.Second, 120 * time.Second}}
