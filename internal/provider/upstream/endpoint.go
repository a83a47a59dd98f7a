package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Endpoint says where a vendor's API is and how to be let in.
type Endpoint struct {
	Name    string            // as errors name it: "Anthropic"
	BaseURL string            // http or https, without query; empty: the vendor's own
	Key     string            // empty: none is sent
	KeyFrom string            // what the operator sets to give another key: "ANTHROPIC_API_KEY"; may be empty
	Headers map[string]string // sent with every request; may replace the ones that carry the key
	HTTP    *http.Client      // nil: a client of its own
}

// Vendor returns the endpoint as errors speak of it.
func (e Endpoint) Vendor() Vendor {
	v := Vendor{Name: e.Name, KeyFrom: e.KeyFrom}
	if e.Key != "" {
		v.secrets = append(v.secrets, e.Key)
	}
	for _, h := range e.Headers {
		// Short values are settings ("true", a version), and striking them out would garble the log.
		if len(h) >= 12 {
			v.secrets = append(v.secrets, h, strings.TrimPrefix(h, "Bearer "))
		}
	}
	return v
}

// CheckBaseURL reports what is wrong with a base URL, in words that fit behind "base_url". Nil: nothing.
// A key in the URL is refused, because URLs end up in logs.
func CheckBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("must begin with http:// or https://")
	case u.Host == "":
		return fmt.Errorf("names no host")
	case u.User != nil:
		return fmt.Errorf("must not hold a user or password; use headers")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("must not hold a query or fragment; use headers")
	}
	return nil
}
