package managed

import (
	"fmt"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

// Names of the lists of this file and credential.go, as they stand in cursors.
const (
	vaultList  = "vault"
	secretList = "vcrd"
)

// vaultRoutes are those of vaults and of the credentials in them (CMA section 3.7, qoder.md section 3.8).
func (f *Face) vaultRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/vaults", serve: f.createVault},
		{method: http.MethodGet, path: "/vaults", serve: f.listVaults},
		{method: http.MethodGet, path: "/vaults/{vault}", serve: f.getVault},
		{method: http.MethodPost, path: "/vaults/{vault}", serve: f.updateVault},
		{method: http.MethodDelete, path: "/vaults/{vault}", serve: f.deleteVault},
		{method: http.MethodPost, path: "/vaults/{vault}/archive", serve: f.archiveVault},

		{method: http.MethodPost, path: "/vaults/{vault}/credentials", serve: f.createCredential},
		{method: http.MethodGet, path: "/vaults/{vault}/credentials", serve: f.listCredentials},
		{method: http.MethodGet, path: "/vaults/{vault}/credentials/{credential}", serve: f.getCredential},
		{method: http.MethodPost, path: "/vaults/{vault}/credentials/{credential}", serve: f.updateCredential},
		{method: http.MethodDelete, path: "/vaults/{vault}/credentials/{credential}", serve: f.deleteCredential},
		{method: http.MethodPost, path: "/vaults/{vault}/credentials/{credential}/archive", serve: f.archiveCredential},
		{method: http.MethodPost, path: "/vaults/{vault}/credentials/{credential}/mcp_oauth_validate", serve: f.validateCredential},
	}
}

// createVault serves POST /vaults. Qoder's older clients send the first credentials along.
func (f *Face) createVault(c *call) (reply, error) {
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	n := vault.NewVault{Name: o.text("display_name"), Metadata: o.stringMap("metadata")}
	if c.fl == Qoder {
		for _, first := range o.objects("credentials") {
			n.Secrets = append(n.Secrets, first.newSecret(c.fl))
		}
	}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	if c.once != nil {
		n.ID = core.VaultID(c.once.record.Object)
	}
	made, secrets, err := f.vaults.CreateVault(c.Context(), c.by, n)
	if c.once != nil && core.CodeOf(err) == "vault_already_exists" { // an earlier try made it, and all in it
		if made, err = f.vaults.Vault(c.Context(), c.by, n.ID); err == nil && len(n.Secrets) > 0 {
			secrets, err = f.vaults.Secrets(c.Context(), c.by, n.ID, core.VaultPage{Limit: vault.MaxSecrets, IncludeArchived: true})
		}
	}
	if err != nil {
		return reply{}, err
	}
	w := c.fl.vaultWire(made)
	if c.fl == Qoder {
		list := each(secrets, c.fl.credentialWire)
		w.Credentials = &list
	}
	return reply{c.fl.created, w}, nil
}

// getVault serves GET /vaults/{vault}.
func (f *Face) getVault(c *call) (reply, error) {
	id, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	return c.vaultReply(f.vaults.Vault(c.Context(), c.by, id))
}

// updateVault serves POST /vaults/{vault}.
func (f *Face) updateVault(c *call) (reply, error) {
	id, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	o, err := bodyObject(c)
	if err != nil {
		return reply{}, err
	}
	change := vault.VaultChange{Name: o.given("display_name"), Metadata: o.patch("metadata")}
	if err := o.end(); err != nil {
		return reply{}, err
	}
	return c.vaultReply(f.vaults.UpdateVault(c.Context(), c.by, id, change))
}

// archiveVault serves POST /vaults/{vault}/archive.
func (f *Face) archiveVault(c *call) (reply, error) {
	id, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	return c.vaultReply(f.vaults.ArchiveVault(c.Context(), c.by, id))
}

// deleteVault serves DELETE /vaults/{vault}.
func (f *Face) deleteVault(c *call) (reply, error) {
	id, err := pathID[core.VaultID](c, "vault")
	if err != nil {
		return reply{}, err
	}
	if err := f.vaults.DeleteVault(c.Context(), c.by, id); err != nil {
		return reply{}, named(err, "vault", c.PathValue("vault"))
	}
	return ok(deleted{ID: c.fl.vaultPrefix + string(id), Type: "vault_deleted"})
}

// listVaults serves GET /vaults, newest first.
func (f *Face) listVaults(c *call) (reply, error) {
	w, page, err := c.vaultPage(vaultList, func(spelled string) (cursor, error) {
		id, known := core.ParseID[core.VaultID](spelled)
		if !known {
			return cursor{}, core.NotFoundError("vault", spelled)
		}
		v, err := f.vaults.Vault(c.Context(), c.by, id)
		return cursor{at: v.CreatedAt.UnixMicro(), id: string(v.ID)}, err
	})
	if err != nil {
		return reply{}, err
	}
	vaults, err := f.vaults.Vaults(c.Context(), c.by, page)
	if err != nil {
		return reply{}, err
	}
	return ok(w.envelope(each(vaults, func(v core.Vault) entry {
		return entry{at: v.CreatedAt.UnixMicro(), id: string(v.ID), wire: c.fl.vaultPrefix + string(v.ID), body: c.fl.vaultWire(v)}
	})))
}

// vaultPage reads the query of a list of vaults or credentials.
func (c *call) vaultPage(list string, locate func(id string) (cursor, error)) (window, core.VaultPage, error) {
	w, err := c.window(list, false, defaultPage, maxPage, locate)
	if err != nil {
		return w, core.VaultPage{}, err
	}
	if w.asc {
		return w, core.VaultPage{}, core.InvalidField("order", "this list is newest first: must be desc")
	}
	page := core.VaultPage{Limit: w.fetch()}
	page.After, page.Before = w.keys()
	page.IncludeArchived, err = c.query.flag("include_archived")
	return w, page, err
}

func (c *call) vaultReply(v core.Vault, err error) (reply, error) {
	if err != nil {
		return reply{}, named(err, "vault", c.PathValue("vault"))
	}
	return ok(c.fl.vaultWire(v))
}

// vaultWire is a vault on the wire.
type vaultWire struct {
	Type        string            `json:"type"`
	ID          string            `json:"id"`
	DisplayName string            `json:"display_name"`
	Metadata    map[string]string `json:"metadata"`
	Credentials *[]credentialWire `json:"credentials,omitempty"` // Qoder only, and only when the vault is made
	ArchivedAt  any               `json:"archived_at"`
	CreatedAt   string            `json:"created_at"`
	UpdatedAt   string            `json:"updated_at"`
}

func (fl *Flavour) vaultWire(v core.Vault) vaultWire {
	return vaultWire{
		Type: "vault", ID: fl.vaultPrefix + string(v.ID), DisplayName: v.Name, Metadata: metadata(v.Metadata),
		ArchivedAt: maybeTime(v.ArchivedAt), CreatedAt: timestamp(v.CreatedAt), UpdatedAt: timestamp(v.UpdatedAt),
	}
}

// vaultIDs reads the vaults of a session. What is no id names nothing.
func (o *object) vaultIDs(name string) []string {
	v := read[[]string](o, name)
	if len(v.V) == 0 {
		return nil
	}
	ids := make([]string, len(v.V))
	for i, spelled := range v.V {
		id, known := core.ParseID[string](spelled)
		if !known {
			o.fail(core.InvalidField(fmt.Sprintf("%s[%d]", o.field(name), i), "there is no such vault"))
		}
		ids[i] = id
	}
	return ids
}

// given reads a string that an update may change and not clear; nil: absent.
func (o *object) given(name string) *string {
	v := read[string](o, name)
	if v.Null {
		o.fail(core.InvalidField(o.field(name), "cannot be cleared"))
	}
	if !v.Set || v.Null {
		return nil
	}
	return &v.V
}
