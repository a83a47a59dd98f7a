package reeve

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// environmentKeys registers the operations on the keys of an environment, which the dialects leave to a console
// (claude-managed-agents.md section 3.2).
func (f *Face) environmentKeys(api huma.API) {
	const path = "/environments/{environment_id}/keys"
	tags := []string{"Environment keys"}
	operation(f, api, huma.Operation{
		OperationID: "create-environment-key", Method: http.MethodPost, Path: path, Tags: tags, DefaultStatus: http.StatusCreated,
		Summary:     "Make a key for workers",
		Description: "With it, workers take work from one self_hosted environment. It is shown this once. Needs the role admin.",
	}, f.createEnvironmentKey)
	operation(f, api, huma.Operation{
		OperationID: "list-environment-keys", Method: http.MethodGet, Path: path, Tags: tags, Summary: "List the keys of an environment",
		Description: "Newest first, those included that were revoked or have expired. Needs the role admin.",
	}, f.listEnvironmentKeys)
	operation(f, api, huma.Operation{
		OperationID: "revoke-environment-key", Method: http.MethodDelete, Path: path + "/{key_id}", Tags: tags, Summary: "Revoke a key",
		Description: "It ends at once, and with it the tokens that workers got with it. The answer shows the key as it is now. Needs the role admin.",
	}, f.revokeEnvironmentKey)
}

const (
	environmentPrefix = "env_"
	keyPrefix         = "key_"
)

// EnvironmentKey is a key without its secret.
type EnvironmentKey struct {
	Type          string     `json:"type" enum:"environment_key"`
	ID            string     `json:"id" example:"key_0198c1d2000070008000000000000001"`
	EnvironmentID string     `json:"environment_id" example:"env_0198c1d2000070008000000000000001"`
	Name          *string    `json:"name" doc:"null if it was never given"`
	Prefix        string     `json:"prefix" example:"sk-reeve-env_hT3vK8sWq1Z" doc:"how the key begins"`
	Active        bool       `json:"active" doc:"false once it is revoked or expired"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at" doc:"null: never"`
	RevokedAt     *time.Time `json:"revoked_at" doc:"null: it was not"`
	LastUsedAt    *time.Time `json:"last_used_at" doc:"to the minute; null: never"`
}

// NewKey is a key with its secret.
type NewKey struct {
	EnvironmentKey
	Key string `json:"key" doc:"the key itself, shown this once"`
}

func keyOf(c core.Credential, now time.Time) EnvironmentKey {
	return EnvironmentKey{
		Type: "environment_key", ID: keyPrefix + string(c.ID), EnvironmentID: environmentPrefix + string(c.Environment), Name: c.Name,
		Prefix: identity.EnvironmentKeyStart(c), Active: c.Live(now), CreatedAt: c.CreatedAt,
		ExpiresAt: maybe(c.ExpiresAt), RevokedAt: maybe(c.RevokedAt), LastUsedAt: maybe(c.LastUsedAt),
	}
}

// maybe writes a time that may not have come: null.
func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// EnvironmentPath names an environment.
type EnvironmentPath struct {
	Environment string `path:"environment_id" doc:"with or without its prefix" example:"env_0198c1d2000070008000000000000001"`
}

func (p EnvironmentPath) id() (core.EnvironmentID, error) {
	id, ok := core.ParseID[core.EnvironmentID](p.Environment)
	if !ok {
		return "", core.NotFoundError("environment", p.Environment)
	}
	return id, nil
}

type createKeyInput struct {
	EnvironmentPath
	Body struct {
		Name      string     `json:"name,omitempty" maxLength:"255" doc:"for people"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"absent: never"`
	}
}

type createKeyOutput struct{ Body NewKey }

func (f *Face) createEnvironmentKey(ctx context.Context, by core.Principal, in *createKeyInput) (*createKeyOutput, error) {
	environment, err := in.id()
	if err != nil {
		return nil, err
	}
	n := identity.NewEnvironmentKey{Name: in.Body.Name}
	if in.Body.ExpiresAt != nil {
		n.ExpiresAt = *in.Body.ExpiresAt
	}
	plain, c, err := f.identity.CreateEnvironmentKey(ctx, by, environment, n)
	if err != nil {
		return nil, err
	}
	return &createKeyOutput{NewKey{EnvironmentKey: keyOf(c, c.CreatedAt), Key: plain}}, nil
}

type listKeysOutput struct {
	Body struct {
		Data []EnvironmentKey `json:"data" nullable:"false"`
	}
}

func (f *Face) listEnvironmentKeys(ctx context.Context, by core.Principal, in *EnvironmentPath) (*listKeysOutput, error) {
	environment, err := in.id()
	if err != nil {
		return nil, err
	}
	keys, err := f.identity.EnvironmentKeys(ctx, by, environment)
	if err != nil {
		return nil, err
	}
	out := &listKeysOutput{}
	out.Body.Data = make([]EnvironmentKey, 0, len(keys))
	now := f.now()
	for _, c := range keys {
		out.Body.Data = append(out.Body.Data, keyOf(c, now))
	}
	return out, nil
}

type revokeKeyInput struct {
	EnvironmentPath
	Key string `path:"key_id" doc:"with or without its prefix" example:"key_0198c1d2000070008000000000000001"`
}

type revokeKeyOutput struct{ Body EnvironmentKey }

func (f *Face) revokeEnvironmentKey(ctx context.Context, by core.Principal, in *revokeKeyInput) (*revokeKeyOutput, error) {
	environment, err := in.id()
	if err != nil {
		return nil, err
	}
	id, ok := core.ParseID[core.CredentialID](in.Key)
	if !ok {
		return nil, core.NotFoundError("environment_key", in.Key)
	}
	c, err := f.identity.RevokeEnvironmentKey(ctx, by, environment, id)
	if err != nil {
		return nil, err
	}
	return &revokeKeyOutput{keyOf(c, c.RevokedAt)}, nil
}
