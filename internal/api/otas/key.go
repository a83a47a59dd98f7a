package otas

import (
	"net/http"

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
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	given, err := body.id("agent_key_id")
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

// id reads a required id as text: absent, null and empty are "<name>_required".
func (o object) id(name string) (string, error) {
	v, err := o.text(name)
	if err == nil && v.V == "" {
		err = core.Errorf(core.Invalid, name+"_required", "%s is required", name)
	}
	return v.V, err
}
