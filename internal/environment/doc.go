// Package environment makes of a recipe (core.Environment) what a session's sandbox is given at run time: the
// way to the network that it allows, placeholders in place of the session's secrets, the packages and what the
// setup script does. It owns the certificates that sandboxes believe, the folders of installed packages and the
// marks of what was done for a session, all of them outside of what a sandbox can write.
//
// What goes over the network is judged by internal/egress/proxy; where a sandbox's folders are is the business
// of internal/workspace.
package environment
