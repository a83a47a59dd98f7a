// Package proxy is the way out of sandboxes: an HTTP proxy for each of them, in the server's process. It lets
// through what the session's environment allows, dials only what package egress dials, and puts secrets in the
// place of the placeholders that the sandbox has instead.
//
// Requests of plain http are forwarded; CONNECT makes a tunnel. Only a tunnel to a host for which the session
// has a secret is opened up, by a certificate of an Authority that sandboxes believe: all others pass through
// as they are. What a server says that was sent a secret is searched for it, and the placeholder put back,
// before the sandbox sees it. That is care and no wall: a server that wants to tell the secret can encode it.
//
// It is made of net/http alone: httputil.ReverseProxy forwards, and what is ours is the decision before.
package proxy
