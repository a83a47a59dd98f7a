// Package webhook tells other programs what happens in a project. It owns the rules for webhooks (the addresses
// and their secrets), finds out what happened, and sends it.
//
// What happened is found out where it is stored: Observe wraps a core.Store, and whoever changes something
// through it, in a project that listens, stores the deliveries in the same transaction. So an event is sent if
// and only if the change came to be, whoever dies in between. The senders on all nodes look for deliveries that
// are due (docs/decisions/0013-due-times-are-columns.md). Each is sent at least once, in no order.
//
// Bodies and signatures follow claude-managed-agents.md section 3.12 and the Standard Webhooks scheme.
package webhook
