package otas

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// newSDKKey is the answer of reference 3.9, with the key's one-time plain text.
type newSDKKey struct {
	ID        string  `json:"id"`
	Prefix    string  `json:"prefix"`
	APIKey    string  `json:"api_key"`
	ProjectID string  `json:"project_id"`
	Name      *string `json:"name"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"`
	Active    bool    `json:"active"`
}

// listedSDKKey is an entry of reference 3.10.
type listedSDKKey struct {
	ID        string  `json:"id"`
	Prefix    string  `json:"prefix"`
	Name      *string `json:"name"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"`
	Active    bool    `json:"active"` // false also once it has expired (section 8, C10)
	RevokedAt *string `json:"revoked_at"`
}

func listedSDKKeyOf(k core.Credential, now time.Time) listedSDKKey {
	return listedSDKKey{
		ID: core.FormatUUID(k.ID), Prefix: k.Prefix, Name: k.Name, CreatedAt: stamp(k.CreatedAt),
		ExpiresAt: stampOrNull(k.ExpiresAt), Active: k.Live(now), RevokedAt: stampOrNull(k.RevokedAt),
	}
}

// maxSDKKeyName is identity's own limit, in characters. The service says the first thing that is wrong, and
// this face must say all.
const maxSDKKeyName = 255

// sdkKeyFaults are the words of reference 3.9; those about the name are Reeve's own.
var sdkKeyFaults = listed([]string{"validity", "name"}, map[fault]string{
	{"validity", "required"}:      "validity is required",
	{"validity", codeWrongType}:   "validity must be an integer",
	{"validity", "invalid_field"}: "validity must be between 1 and 300 days",
	{"name", codeWrongType}:       "name must be a string",
	{"name", "field_too_long"}:    "name too long (max 255)",
})

// createSDKKey serves POST {project}/sdk/backend/key/create/ (reference 3.9), for administrators only: the
// original lets members make keys too (section 8, S6). An optional "name" is Reeve's own (C10).
func (f *Face) createSDKKey(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	days, given, wrong := body.integer("validity")
	switch {
	case !given:
		wrong = &core.Error{Kind: core.Invalid, Code: "required", Field: "validity", Message: "validity is required"}
	case wrong == nil && (days < identity.MinSDKKeyDays || days > identity.MaxSDKKeyDays):
		wrong = core.InvalidField("validity", "must be between %d and %d days", identity.MinSDKKeyDays, identity.MaxSDKKeyDays)
	}
	name, err := body.text("name")
	if err == nil && utf8.RuneCountInString(strings.TrimSpace(name.V)) > maxSDKKeyName {
		err = &core.Error{Kind: core.Invalid, Code: "field_too_long", Field: "name", Message: "name is too long"}
	}
	if wrong = errors.Join(wrong, err); wrong != nil {
		return reply{}, wrong
	}
	plain, key, err := f.identity.CreateSDKKey(c.r.Context(), c.by, days, name.V)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, "backend_sdk_key_created", "response_body", newSDKKey{
		ID: core.FormatUUID(key.ID), Prefix: key.Prefix, APIKey: plain, ProjectID: core.FormatUUID(key.Project), Name: key.Name,
		CreatedAt: stamp(key.CreatedAt), ExpiresAt: stampOrNull(key.ExpiresAt), Active: true,
	}}, nil
}

// listSDKKeys serves GET {project}/sdk/backend/key/list/ (reference 3.10): newest first, revoked and expired
// ones included.
func (f *Face) listSDKKeys(c *call) (reply, error) {
	keys, err := f.identity.SDKKeys(c.r.Context(), c.by)
	if err != nil {
		return reply{}, err
	}
	now := f.now()
	list := make([]listedSDKKey, 0, len(keys))
	for _, k := range keys {
		list = append(list, listedSDKKeyOf(k, now))
	}
	return reply{http.StatusOK, "backend_sdk_keys_listed", "response_body", struct {
		Keys []listedSDKKey `json:"keys"`
	}{list}}, nil
}

// revokeSDKKey serves POST {project}/sdk/backend/key/revoke/ (reference 3.11).
func (f *Face) revokeSDKKey(c *call) (reply, error) {
	given, err := c.givenID("sdk_key_id")
	if err != nil {
		return reply{}, err
	}
	key, ok := core.ParseID[core.CredentialID](given)
	if !ok { // the original fails with 500 here (section 8, C7)
		return reply{}, core.NotFoundError("sdk_key", given)
	}
	if err := f.identity.RevokeSDKKey(c.r.Context(), c.by, key); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "backend_sdk_key_revoked", "response_body", struct {
		ID string `json:"id"`
	}{core.FormatUUID(key)}}, nil
}

// sdkProject serves POST {project}/sdk/backend/key/authenticate/ (reference 3.12), which the SDK calls when
// its host starts. The guard did the work; the body is not read.
func (f *Face) sdkProject(c *call) (reply, error) {
	type project struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	return reply{http.StatusOK, "authenticated", "response", struct {
		Project project `json:"project"`
	}{project{core.FormatUUID(c.project.ID), c.project.Name, c.project.Description}}}, nil
}

// sdkKeyError is what failures of authenticate say besides: the original sends this member and nothing
// else (reference 2.3, G-SDK).
func sdkKeyError(code string, err *core.Error) any {
	said := code
	switch err.Code {
	case errMissingSDKKey.Code:
		said = "SDK Key missing"
	case errSDKKeyFormat.Code:
		said = "Invalid Key Format"
	case "invalid_sdk_key":
		said = "Invalid SDK Key"
	}
	return struct {
		Error string `json:"error"`
	}{said}
}
