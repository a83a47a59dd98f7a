package upstream

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxRefusal bounds how much of an error answer is read. Vendors' own are under 2 KiB.
const maxRefusal = 64 << 10

// Client sends a request to a vendor and returns only answers that are streams. It fits the SDKs'
// option.WithHTTPClient, and is used from several goroutines.
type Client struct {
	http      *http.Client
	allowJSON bool
}

// NewClient makes a client on base, or on a transport of its own if base is nil. allowJSON lets
// answers pass that are one JSON document: some servers know no streams.
func NewClient(base *http.Client, allowJSON bool) *Client {
	c := http.Client{}
	if base != nil {
		c = *base
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64 // the default of 2 would open a connection for most calls of a busy server
		c.Transport = t
	}
	// Following a redirect could carry the key to another host: net/http drops Authorization there,
	// but not x-api-key.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &c, allowJSON: allowJSON}
}

// Refusal is an answer that is not a stream: an error status, a redirect, or a page of something else.
type Refusal struct {
	Status int
	Header http.Header
	Body   []byte // at most 64 KiB of it
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("status %d with %d bytes of %q", r.Status, len(r.Body), r.Header.Get("Content-Type"))
}

// ReadError is a connection that broke while an answer was being read.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "read answer: " + e.Err.Error() }

func (e *ReadError) Unwrap() error { return e.Err }

// Do sends the request. The error is a *Refusal if the vendor answered, but not with a stream; else
// what net/http says, without the URL. Errors while the body is read are a *ReadError.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return nil, err
	}
	beat := beatOf(req.Context())
	beat()
	if !c.streams(res) {
		defer res.Body.Close()
		// What could not be read of a refusal only makes the log line shorter.
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
		return nil, &Refusal{Status: res.StatusCode, Header: res.Header, Body: body}
	}
	res.Body = &beatingBody{ReadCloser: res.Body, beat: beat}
	return res, nil
}

// streams reports whether the answer may be read as a stream. A wrong type is refused by name and
// not by being other than text/event-stream, since proxies relabel streams as text/plain.
func (c *Client) streams(res *http.Response) bool {
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return false
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case media == "text/html":
		return false
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return c.allowJSON
	}
	return true
}

type beatingBody struct {
	io.ReadCloser
	beat func()
}

func (b *beatingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.beat()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = &ReadError{Err: err}
	}
	return n, err
}
