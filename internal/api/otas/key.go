package otas

import (
	"net/http"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// rotateKey serves POST /api/agent/v1/agents/key/create/ (reference 3.15). An optional "name" is
// Reeve's own: the original lists a name that nothing can set (section 8, C10).
func (f *Face) rotateKey(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	given, err := body.id("agent_id")
	if err != nil {
		return reply{}, err
	}
	name, err := body.text("name")
	if err != nil {
		return reply{}, err
	}
	agent, ok := core.ParseID[core.AgentID](given)
	if !ok {
		return reply{}, core.NotFoundError("agent", given)
	}
	plain, key, err := f.identity.RotateAgentKey(c.r.Context(), c.by, agent, name.V)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, "agent_key_created", "response", struct {
		AgentID string `json:"agent_id"`
		Key     newKey `json:"agent_key"`
	}{core.FormatUUID(agent), newKeyOf(plain, key)}}, nil
}

// revokeKey serves POST /api/agent/v1/agents/key/revoke/ (reference 3.16).
func (f *Face) revokeKey(c *call) (reply, error) {
	given, err := c.givenID("agent_key_id")
	if err != nil {
		return reply{}, err
	}
	key, ok := core.ParseID[core.CredentialID](given)
	if !ok { // the original fails with 500 here (section 8, C7)
		return reply{}, core.NotFoundError("agent_key", given)
	}
	if err := f.identity.RevokeAgentKey(c.r.Context(), c.by, key); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "agent_key_revoked", "response", struct {
		ID string `json:"id"`
	}{core.FormatUUID(key)}}, nil
}

// keyWire is a key of any kind, without its secret. Role is what an access token may do, agent_id whose an
// agent key is; both are null for keys of other kinds.
type keyWire struct {
	ID         string  `json:"id"`
	Kind       string  `json:"kind"` // access, sdk, agent
	Prefix     string  `json:"prefix"`
	Name       *string `json:"name"`
	Role       *string `json:"role"`
	AgentID    *string `json:"agent_id"`
	CreatedAt  string  `json:"created_at"`
	CreatedBy  *string `json:"created_by"`
	ExpiresAt  *string `json:"expires_at"`
	Active     bool    `json:"active"` // false once it is revoked or expired (section 8, C10)
	RevokedAt  *string `json:"revoked_at"`
	LastUsedAt *string `json:"last_used_at"` // to the minute
}

func keyOf(k core.Credential, now time.Time) keyWire {
	out := keyWire{
		ID: core.FormatUUID(k.ID), Kind: string(k.Kind), Prefix: k.Prefix, Name: k.Name,
		AgentID: uuidOrNull(k.Agent), CreatedAt: stamp(k.CreatedAt), CreatedBy: uuidOrNull(k.CreatedBy),
		ExpiresAt: stampOrNull(k.ExpiresAt), Active: k.Live(now), RevokedAt: stampOrNull(k.RevokedAt), LastUsedAt: stampOrNull(k.LastUsedAt),
	}
	if k.Kind == core.CredentialAccess {
		role := string(k.Role)
		out.Role = &role
	}
	return out
}

// listKeys serves GET {project}/key/list/: the keys of all kinds, newest first, those that no longer work
// included.
func (f *Face) listKeys(c *call) (reply, error) {
	keys, err := f.identity.Keys(c.r.Context(), c.by)
	if err != nil {
		return reply{}, err
	}
	now := f.now()
	list := make([]keyWire, 0, len(keys))
	for _, k := range keys {
		list = append(list, keyOf(k, now))
	}
	return reply{http.StatusOK, "keys_listed", "response_body", struct {
		Keys []keyWire `json:"keys"`
	}{list}}, nil
}

// revokeAnyKey serves POST {project}/key/revoke/.
func (f *Face) revokeAnyKey(c *call) (reply, error) {
	given, err := c.givenID("key_id")
	if err != nil {
		return reply{}, err
	}
	id, ok := core.ParseID[core.CredentialID](given)
	if !ok {
		return reply{}, core.NotFoundError("key", given)
	}
	key, err := f.identity.RevokeKey(c.r.Context(), c.by, id)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "key_revoked", "response_body", struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	}{core.FormatUUID(key.ID), string(key.Kind)}}, nil
}
