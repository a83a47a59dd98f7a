// Package work is the service for the queues of self-hosted environments: workers ask it for sessions whose
// tools they run, keep what they got by their heartbeats, and give it back (claude-managed-agents.md section
// 3.3). It owns the leases of workers and what becomes of those that run out.
//
// Items are queued elsewhere, in the transaction that makes a session need a worker: by package session when
// input comes, by package turn when tool uses begin to wait. Both call Wake behind their commit.
package work
