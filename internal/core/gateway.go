package core

import (
	"context"
	"net"
)

// SandboxPath is the PATH of a sandbox that is given no other.
const SandboxPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// GatewayAddress is where a sandbox with a Gateway finds it: an HTTP proxy on its own loopback.
const GatewayAddress = "127.0.0.1:3128"

// Gateway is the one way out of a sandbox. It lives in the server; the sandbox has a network namespace in
// which there is nothing else, so that without a gateway there is no network.
type Gateway interface {
	// Serve answers the connections that a sandbox makes until the listener is closed. It returns when none
	// of them is left. It is called anew for each sandbox that is started from the same spec.
	Serve(l net.Listener)
}

// Environments makes of a recipe what a session's sandbox is given at run time: its way to the network, the
// placeholders of its secrets, its packages.
type Environments interface {
	// Ready completes a spec, and does what the recipe wants done before the session's first use of its
	// sandbox: install packages, run the setup script. That may take minutes the first time, and is quick
	// afterwards. What the recipe cannot have is an Unavailable ("environment_not_ready") with a message that
	// the model and the client may read.
	Ready(ctx context.Context, sess Session, recipe EnvironmentConfig, spec SandboxSpec) (Readied, error)
	// Watch returns the sandbox with the addition that its commands are told which hosts were refused to them.
	Watch(session SessionID, sb Sandbox) Sandbox
}

// Readied is a sandbox's completed recipe.
type Readied struct {
	Spec        SandboxSpec
	Unreachable []UnreachableSecret // in the order of the vaults; nil if there are none
}

// UnreachableSecret is a SecretVariable that is meant for a host which the environment does not let through.
type UnreachableSecret struct {
	Vault  VaultID
	Secret SecretID
	Name   string // of the variable
	Host   string // the first of its hosts that is not let through, as its owner spelled it; empty: there is no network at all
}

// CredentialUnreachable is the type of the SessionError that tells of an UnreachableSecret
// (claude-managed-agents.md section 4.2). It does not end the turn.
const CredentialUnreachable ModelErrorType = "credential_host_unreachable_error"
