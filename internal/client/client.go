// Package client is a small Go client of a Reeve server: the managed face, which runs sessions, and
// the few calls of the otas face that register an agent. The command line and tests use it.
//
// It speaks plain HTTP like any other client and imports nothing of the server. It does not retry.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswer bounds one JSON answer, in bytes.
const maxAnswer = 64 << 20

// Client calls the managed face with an access token. It is used from several goroutines.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the server at base, such as http://127.0.0.1:8000, for the holder of an
// access token. A nil transport is http.DefaultClient.
func New(base, token string, transport *http.Client) *Client {
	if transport == nil {
		transport = http.DefaultClient
	}
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: transport}
}

// Error is a refusal that the server wrote.
type Error struct {
	Status    int    // the HTTP status
	Code      string // managed: error.type; otas: status_description
	Message   string // for people; empty if the dialect has none
	RequestID string // finds the server's log line; may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("the server answered %d", e.Status)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Status >= 500 && e.RequestID != "" {
		s += " (" + e.RequestID + ")"
	}
	return s
}

// Get asks for path, which begins with a slash, and decodes the answer into out unless that is nil.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post sends in as JSON to path and decodes the answer into out unless that is nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in, "application/json")
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return decode(res, out)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.Get(ctx, path, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, in any) (T, error) {
	var out T
	err := c.Post(ctx, path, in, &out)
	return out, err
}

// send makes a request with the credentials of the Claude flavour. An answer from 300 on is an *Error.
func (c *Client) send(ctx context.Context, method, path string, in any, accept string) (*http.Response, error) {
	header := http.Header{"Accept": {accept}, "X-Api-Key": {c.token}, "Anthropic-Version": {"2023-06-01"}}
	return roundTrip(ctx, c.http, method, c.base+path, header, in)
}

// roundTrip sends JSON and turns every refusal into an *Error. The caller closes the body.
func roundTrip(ctx context.Context, hc *http.Client, method, url string, header http.Header, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(raw)
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	req.Header = header
	res, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the server: %w", err)
	}
	if res.StatusCode >= 300 {
		defer func() { _ = res.Body.Close() }()
		return nil, refusal(res)
	}
	return res, nil
}

func decode(res *http.Response, out any) error {
	if out == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection is kept
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", res.Request.Method, res.Request.URL.Path, err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", res.Request.Method, res.Request.URL.Path, err)
	}
	return nil
}

// refusal reads an error body of either dialect.
func refusal(res *http.Response) *Error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	e := &Error{Status: res.StatusCode, RequestID: res.Header.Get("Request-Id")}
	var managed struct {
		Error struct{ Type, Code, Message string }
	}
	var otas struct {
		StatusDescription string `json:"status_description"`
	}
	switch {
	case json.Unmarshal(raw, &managed) == nil && (managed.Error.Type != "" || managed.Error.Code != ""):
		e.Code, e.Message = managed.Error.Type, managed.Error.Message
		if e.Code == "" {
			e.Code = managed.Error.Code
		}
	case json.Unmarshal(raw, &otas) == nil && otas.StatusDescription != "":
		e.Code = otas.StatusDescription
	default:
		e.Message = strings.ToValidUTF8(string(raw[:min(len(raw), 200)]), "�")
	}
	return e
}
