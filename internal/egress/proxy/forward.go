package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// wholeBody is how large a body of known length may be to be changed as a whole, so that it goes out with its
// length again: some servers take no other.
const wholeBody = 256 << 10

// forward sends a request on to scheme://host, with the secrets for that host, and brings the answer back.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, scheme, host string) {
	select {
	case g.busy <- struct{}{}:
		defer func() { <-g.busy }()
	default:
		say(w, http.StatusServiceUnavailable, "too many requests of this sandbox are under way")
		return
	}
	all, err := g.current(r.Context())
	if err != nil {
		g.opts.Log.ErrorContext(r.Context(), "sandbox egress", "err", err)
		say(w, http.StatusBadGateway, "the secrets of this session cannot be looked up now")
		return
	}
	var secrets []Secret
	if scheme == "https" || g.inside(hostOf(host)) {
		secrets = reaching(all, hostOf(host))
	}
	out := r.Clone(r.Context())
	var back swaps
	if len(secrets) > 0 {
		back = newSwaps(append(echoes(secrets), fillHeader(out.Header, secrets)...))
		if err := fillBody(out, secrets); err != nil {
			say(w, http.StatusBadRequest, "the body of the request could not be read")
			return
		}
		out.Header.Del("Accept-Encoding") // the transport asks for what it can undo, so that the answer can be searched
	}
	target := &url.URL{Scheme: scheme, Host: host}
	(&httputil.ReverseProxy{
		Transport:     patient{g.client.Transport(), answerTime},
		FlushInterval: -1, // events must not wait for a buffer
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery // it would be cleaned
			p.Out.Host = target.Host
			for name, values := range p.In.Header { // a client's own stay what they are
				if name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
					p.Out.Header[name] = values
				}
			}
		},
		ModifyResponse: func(res *http.Response) error {
			clean(res, back)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { g.fail(w, err) },
	}).ServeHTTP(&cleaning{w, back}, out)
}

// inside reports whether a host is an address that the operator lets sandboxes reach although it is not public.
// To all others a secret goes by TLS alone: anybody on the way could read it. A name does not count: who answers for
// names may be anybody on the way, too.
func (g *Gateway) inside(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(g.opts.Egress.AllowPrivate, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// fillBody puts the secrets into a request's body, unless it is encoded.
func fillBody(r *http.Request, secrets []Secret) error {
	into := bodySwaps(r.Header.Get("Content-Type"), secrets)
	if len(into) == 0 || r.Body == nil || r.ContentLength == 0 || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Upgrade") != "" {
		return nil
	}
	if r.ContentLength < 0 || r.ContentLength > wholeBody {
		r.Body = &swapping{Closer: r.Body, src: r.Body, swaps: into}
		r.ContentLength = -1
		r.Header.Del("Content-Length")
		return nil
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return err
	}
	filled := []byte(into.in(string(body)))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(filled)), int64(len(filled))
	r.Header.Del("Content-Length") // net/http writes the field
	return nil
}

// clean puts the placeholders back into an answer. An upgraded connection is passed on as it is.
func clean(res *http.Response, back swaps) {
	if len(back) == 0 {
		return
	}
	cleanHeader(res.Header, back)
	if res.StatusCode == http.StatusSwitchingProtocols || res.Body == nil || res.Body == http.NoBody || res.Request.Method == http.MethodHead {
		return
	}
	res.Body = &swapping{Closer: res.Body, src: res.Body, swaps: back, atEOF: func() { cleanHeader(res.Trailer, back) }}
	res.ContentLength = -1
	res.Header.Del("Content-Length")
}

func cleanHeader(h http.Header, back swaps) {
	for _, values := range h {
		for i := range values {
			values[i] = back.in(values[i])
		}
	}
}

// cleaning does the same for interim answers (1xx), which the reverse proxy passes on by itself.
type cleaning struct {
	http.ResponseWriter
	back swaps
}

func (c *cleaning) WriteHeader(status int) {
	if status < 200 {
		cleanHeader(c.Header(), c.back)
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what the server's own can do.
func (c *cleaning) Unwrap() http.ResponseWriter { return c.ResponseWriter }
