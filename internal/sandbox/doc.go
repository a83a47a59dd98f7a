// Package sandbox chooses how agents' commands are isolated on this machine, and keeps one living
// sandbox for each session.
//
// What the drivers promise (sandboxtest proves it on every driver that the machine can run):
//
//	                                    bubblewrap  landlock,    landlock,  none
//	                                                namespaces   plain
//	shell state, output, limits, kill   yes         yes          yes        yes
//	none of the server's environment    yes         yes          yes        yes
//	host files unreadable, unwritable   yes         yes          yes        no
//	own view: /workspace, /tmp          yes         yes          file operations only
//	own process numbers                 yes         yes          no         no
//	no network, not even loopback       yes         yes          no sockets no
//	a gateway as the only way out       yes         yes          no         no
//	the guest cannot be killed inside   yes         yes          ABI 6      no
//	mounts                              yes         yes          file operations; commands if root may mount
//
// Memory and processes are bounded for the sandbox as a whole where control groups can be had, else
// memory is bounded for each process.
package sandbox

import "github.com/reeve-ai/reeve/internal/sandbox/guest"

// RunGuestIfAsked must be the first thing in main, and in TestMain of packages whose tests open
// sandboxes: the server's own binary, started again in a certain way, is the part of a sandbox that
// lives inside. It does not return in that case.
func RunGuestIfAsked() { guest.RunIfAsked() }
