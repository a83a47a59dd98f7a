package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// maxHost is how much of a host's name is repeated in an error: the longest that can exist, with port.
const maxHost = 260

// explain turns an error of net/http into ours: what happened in plain words, without addresses. ctx
// is the caller's, host the one that was asked first.
func (c *Client) explain(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours
	}
	var hop *url.Error
	if errors.As(err, &hop) {
		if u, parseErr := url.Parse(hop.URL); parseErr == nil && u.Host != "" {
			host = u.Host // that of the redirect which failed
		}
	}
	host = clipped(host)
	var (
		blocked *blockedError
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		dial    *net.OpError
	)
	switch {
	case errors.As(err, &blocked):
		return &core.Error{Kind: core.Invalid, Code: "url_not_allowed", Message: host + " is not on the public internet, so it must not be fetched", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return failed(err, host+" did not answer in time: at most "+c.timeout.String()+" are allowed")
	case errors.As(err, &dns) && dns.IsNotFound:
		return failed(err, "there is no host "+host)
	case errors.As(err, &dns):
		return failed(err, "the address of "+host+" could not be looked up")
	case errors.As(err, &cert):
		return failed(err, "the TLS certificate of "+host+" is not valid")
	case errors.As(err, &dial) && dial.Op == "dial":
		return failed(err, host+" could not be reached")
	}
	return failed(err, host+" sent no proper answer")
}

// clipped is a host's name as an error repeats it.
func clipped(host string) string {
	if len(host) > maxHost {
		return strings.ToValidUTF8(host[:maxHost], "") + "…"
	}
	return host
}

func failed(cause error, message string) error {
	return &core.Error{Kind: core.Invalid, Code: "fetch_failed", Message: message, Err: cause}
}
