package egress

import (
	"context"
	"net/http"
	"net/url"
)

// GetWhere is Get for one whose agent may not fetch everything: allowed judges the URL and each that it redirects
// to, before anything is sent there. What it refuses is Invalid ("url_not_allowed").
func (c *Client) GetWhere(ctx context.Context, rawURL string, allowed func(*url.URL) bool) (*Response, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	check := func(u *url.URL) error {
		if allowed(u) {
			return nil
		}
		return notAllowed("%s is not among the sites that this agent may fetch", clipped(u.Host))
	}
	if err := check(u); err != nil {
		return nil, err
	}
	browser := *c.http // shares the transport
	browser.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if err := c.http.CheckRedirect(req, via); err != nil {
			return err
		}
		return check(req.URL)
	}
	return c.get(ctx, u, &browser)
}
