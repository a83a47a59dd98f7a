package egress

import (
	"context"
	"net"
	"net/http"
)

// Transport returns the Client's way out for clients of the server's own, which choose method, header and
// body themselves: MCP, token endpoints, webhooks. It is held to the same rules for URLs and addresses.
// Timeouts, the size of bodies and redirects are the caller's business; http.Client asks Transport anew for
// each redirect. Errors are as those of Client.Get, wrapped by http.Client. It is safe for concurrent use.
func (c *Client) Transport() http.RoundTripper { return transport{c} }

// Dial opens a TCP connection to host:port, for protocols that the server only passes on. It is held to the same
// rule for addresses. Errors: as those of Client.Get.
func (c *Client) Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, c.explain(ctx, address, err)
	}
	return conn, nil
}

// Close gives up the connections that a Client with KeepAlive kept. Requests that run go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type transport struct{ client *Client }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must, and nothing was read from it
		}
		return nil, err
	}
	res, err := t.client.http.Transport.RoundTrip(req)
	if err != nil {
		return nil, t.client.explain(req.Context(), req.URL.Host, err)
	}
	return res, nil
}
