package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
		ID        string `json:"id"` // a UUID
		Name      string `json:"name"`
		Provider  string `json:"provider"`
		ProjectID string `json:"project_id"` // a UUID
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
	in := map[string]string{"agent_name": name, "agent_description": description, "agent_provider": provider}
	err := o.post(ctx, "/api/agent/v1/create/", o.header(project), in, &out)
	return out.Response, err
}

// CountAgents returns how many active agents a project has, which is given as to CreateAgent.
func (o *Otas) CountAgents(ctx context.Context, project string) (int, error) {
	var out struct {
		Response struct {
			Agents []struct{} `json:"agents"`
		} `json:"response"`
	}
	res, err := roundTrip(ctx, o.http, http.MethodGet, o.base+"/api/agent/v1/list/", o.header(project), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	err = decode(res, &out)
	return len(out.Response.Agents), err
}

// CreateSDKKey makes a key for a project's backend, which works for so many days: 1 to 300. The project is
// given as to CreateAgent.
func (o *Otas) CreateSDKKey(ctx context.Context, project string, days int) (string, error) {
	var out struct {
		Response struct {
			APIKey string `json:"api_key"`
		} `json:"response_body"`
	}
	err := o.post(ctx, "/api/project/v1/sdk/backend/key/create/", o.header(project), map[string]int{"validity": days}, &out)
	return out.Response.APIKey, err
}

// header names the caller, and the project unless that is empty.
func (o *Otas) header(project string) http.Header {
	h := http.Header{"X-Otas-User-Token": {o.token}}
	if project != "" {
		h.Set("X-Otas-Project-Id", project)
	}
	return h
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

// SessionOf reads a session's id, a UUID, out of the session's token: OTAS tells it nowhere else. The
// token is not verified; that is the server's business.
func SessionOf(token string) (string, error) {
	var claims struct {
		Session string `json:"agent_session_id"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("the session token is no JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Session == "" {
		return "", errors.New("the session token does not name its session")
	}
	return claims.Session, nil
}

func (o *Otas) post(ctx context.Context, path string, header http.Header, in, out any) error {
	res, err := roundTrip(ctx, o.http, http.MethodPost, o.base+path, header, in)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return decode(res, out)
}
