package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Defaults for the zero fields of Options.
const (
	DefaultMaxBody      = 10 << 20
	DefaultTimeout      = 30 * time.Second
	DefaultMaxRedirects = 5
)

// keepTime is how long an unused connection of a Client with KeepAlive is kept.
const keepTime = 90 * time.Second

const (
	userAgent = "Reeve"
	maxURL    = 8 << 10   // bytes; common servers take no longer request lines
	maxHeader = 256 << 10 // bytes of an answer's header
	dialTime  = 10 * time.Second
)

// accept prefers what a model reads best.
const accept = "text/markdown, text/html;q=0.9, application/json;q=0.9, text/plain;q=0.8, */*;q=0.5"

// Options bound what a Client may do. Zero fields take the defaults.
type Options struct {
	// AllowPrivate are the operator's exceptions: addresses in these prefixes may be reached although
	// they are not public. IPv4 prefixes are written as IPv4, not mapped into IPv6.
	AllowPrivate []netip.Prefix
	MaxBody      int64         // bytes kept of one body, after decompression
	Timeout      time.Duration // of one fetch: redirects and the whole body included
	MaxRedirects int           // negative: none are followed
	// KeepAlive keeps connections for the next request, for clients that belong to one project and one server.
	// Who made such a client calls its Close.
	KeepAlive bool
	// Roots are the authorities whose certificates count; nil: those of the machine.
	Roots *x509.CertPool
}

// Client fetches for agents. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	dialer  *net.Dialer
	maxBody int64
	timeout time.Duration
}

// Response is what a server answered.
type Response struct {
	URL         string // where the body came from, after redirects; without fragment
	Status      int    // any HTTP status from 200 on; redirects only if they could not be followed
	ContentType string // as the server sent it; empty if it did not
	Body        []byte // decompressed, at most MaxBody bytes
	Truncated   bool   // there was more than MaxBody
}

// New makes a client. It opens nothing until the first fetch.
func New(o Options) *Client {
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxRedirects == 0 {
		o.MaxRedirects = DefaultMaxRedirects
	}
	g := gate{allowed: o.AllowPrivate, own: net.InterfaceAddrs}
	dialer := &net.Dialer{
		Timeout: dialTime,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			target, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("parse the address to dial: %w", err)
			}
			return g.check(target.Addr())
		},
	}
	return &Client{
		dialer:  dialer,
		maxBody: o.MaxBody,
		timeout: o.Timeout,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    dialTime,
				MaxResponseHeaderBytes: maxHeader,
				ForceAttemptHTTP2:      true,
				DisableKeepAlives:      !o.KeepAlive, // a kept connection would be shared between projects
				IdleConnTimeout:        keepTime,
			},
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				// The client fills it in from the page before, whose query may hold what is not for
				// the next server.
				req.Header.Del("Referer")
				if len(via) > max(o.MaxRedirects, 0) {
					return core.Errorf(core.Invalid, "fetch_failed", "there were more than %d redirects", max(o.MaxRedirects, 0))
				}
				return checkURL(req.URL)
			},
		},
	}
}

// Get fetches a URL, which must be http or https and carry no user name or password. Any status is an
// answer and no error.
//
// Errors: Invalid ("url_not_allowed") for a URL that agents may not fetch, or one that it redirects
// to; Invalid ("fetch_failed") if no whole answer could be had; ctx's own when ctx ends.
func (c *Client) Get(ctx context.Context, rawURL string) (*Response, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return c.get(ctx, u, c.http)
}

func (c *Client) get(ctx context.Context, u *url.URL, browser *http.Client) (*Response, error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, notAllowed("the URL is not valid")
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", accept)
	res, err := browser.Do(req)
	if err != nil {
		return nil, c.explain(ctx, u.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	if coding := res.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		// The transport undoes gzip, which alone was asked for, and removes the header.
		return nil, core.Errorf(core.Invalid, "fetch_failed", "%s sent a content encoding that was not asked for", res.Request.URL.Host)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.maxBody+1))
	if err != nil {
		return nil, c.explain(ctx, res.Request.URL.Host, err)
	}
	final := *res.Request.URL
	final.Fragment, final.RawFragment = "", ""
	out := &Response{URL: final.String(), Status: res.StatusCode, ContentType: res.Header.Get("Content-Type"), Body: body}
	if int64(len(body)) > c.maxBody {
		out.Body, out.Truncated = body[:c.maxBody:c.maxBody], true
	}
	return out, nil
}

func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, notAllowed("the URL is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, notAllowed("the URL is not valid")
	}
	return u, checkURL(u)
}

// checkURL holds for the first URL and for every redirect. Addresses are checked when they are dialled.
func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return notAllowed("only http and https URLs can be fetched")
	case u.Hostname() == "":
		return notAllowed("the URL has no host")
	case u.User != nil:
		return notAllowed("the URL must not hold a user name or password")
	}
	return nil
}

func notAllowed(format string, args ...any) error {
	return core.Errorf(core.Invalid, "url_not_allowed", format, args...)
}
