package client

import (
	"context"
	"net/http"
	"strings"
)

// Otas calls the otas face with a person's token, or with an access token.
type Otas struct {
	base  string
	token string
	http  *http.Client
}

// NewOtas returns a client of the otas face at base for the holder of a token. A nil transport is
// http.DefaultClient.
func NewOtas(base, token string, transport *http.Client) *Otas {
	if transport == nil {
		transport = http.DefaultClient
	}
	return &Otas{base: strings.TrimRight(base, "/"), token: token, http: transport}
}

// Login proves a person by e-mail and password, and returns a client with the person's token.
func Login(ctx context.Context, base, email, password string, transport *http.Client) (*Otas, error) {
	o := NewOtas(base, "", transport)
	var out struct {
		Response struct {
			Token string `json:"jwt_token"`
		} `json:"response"`
	}
	in := map[string]string{"email": email, "password": password}
	if err := o.post(ctx, "/api/user/v1/login/", http.Header{}, in, &out); err != nil {
		return nil, err
	}
	o.token = out.Response.Token
	return o, nil
}

// OtasAgent is an agent with the one key that is shown at its making.
type OtasAgent struct {
	Agent struct {
		ID       string `json:"id"` // a UUID
		Name     string `json:"name"`
		Provider string `json:"provider"`
	} `json:"agent"`
	Key struct {
		Prefix string `json:"prefix"`
		APIKey string `json:"api_key"`
	} `json:"agent_key"`
}

// CreateAgent registers an agent in a project, which is a UUID; empty with an access token, which
// knows its own.
func (o *Otas) CreateAgent(ctx context.Context, project, name, description, provider string) (OtasAgent, error) {
	var out struct {
		Response OtasAgent `json:"response"`
	}
	header := http.Header{"X-Otas-User-Token": {o.token}}
	if project != "" {
		header.Set("X-Otas-Project-Id", project)
	}
	in := map[string]string{"agent_name": name, "agent_description": description, "agent_provider": provider}
	err := o.post(ctx, "/api/agent/v1/create/", header, in, &out)
	return out.Response, err
}

// OpenSession opens a session as an agent with its own key, and returns the session's token.
func OpenSession(ctx context.Context, base, agentKey string, meta map[string]any, transport *http.Client) (string, error) {
	o := NewOtas(base, "", transport)
	var out struct {
		Response struct {
			Token string `json:"jwt_token"`
		} `json:"response"`
	}
	header := http.Header{"X-Otas-Agent-Key": {agentKey}}
	err := o.post(ctx, "/api/agent/v1/session/create/", header, map[string]any{"meta": meta}, &out)
	return out.Response.Token, err
}

func (o *Otas) post(ctx context.Context, path string, header http.Header, in, out any) error {
	res, err := roundTrip(ctx, o.http, http.MethodPost, o.base+path, header, in)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return decode(res, out)
}
