package deployment_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/deployment"
	"github.com/reeve-ai/reeve/internal/vault"
)

func TestTokensOfADeploymentReachItsSessionsSealed(t *testing.T) {
	t.Parallel()
	h, ctx := build(t), t.Context()
	tokens, err := vault.NewTokens([]byte(strings.Repeat("s", 32)))
	need(t, err)
	h.sessions.UseSealer(tokens)
	repository := core.Resource{Type: core.ResourceRepository, URL: "https://github.com/owner/name", Clear: "ghp_secret"}
	d := h.hourly(t, func(d *core.Deployment) { d.Resources = []core.Resource{repository} })
	stored, err := h.db.Deployment(ctx, d.Project, d.ID)
	need(t, err)
	clear, err := tokens.Unseal(d.Project, "deployment", string(d.ID), stored.Resources[0].Token)
	need(t, err)
	same(t, "token", string(clear), "ghp_secret")
	same(t, "what is left of it", string(d.Resources[0].Clear), "")
	run, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{})
	need(t, err)
	sess, err := h.db.Session(ctx, d.Project, run.Session)
	need(t, err)
	clear, err = tokens.Unseal(d.Project, "session", string(sess.ID), sess.Resources[0].Token)
	need(t, err)
	same(t, "token", string(clear), "ghp_secret")
	same(t, "path", sess.Resources[0].MountPath, "/workspace/name")
	// A change of something else leaves the token as it is; the same resources without it take it away.
	d, err = h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { d.Description = "new"; return nil })
	need(t, err)
	same(t, "token", string(d.Resources[0].Token), string(stored.Resources[0].Token))
	repository.Clear = ""
	d, err = h.Update(ctx, h.by, d.ID, func(d *core.Deployment) error { d.Resources = []core.Resource{repository}; return nil })
	need(t, err)
	if d.Resources[0].Token != nil {
		t.Error("the token is still there")
	}
}

func TestARunNamesWhatItCannotAttach(t *testing.T) {
	t.Parallel()
	h, ctx := build(t), t.Context()
	store := core.MemoryStore{Project: h.by.Project, ID: core.NewID[core.MemoryStoreID](), Name: "n", Metadata: map[string]string{}, CreatedAt: noon, UpdatedAt: noon}
	need(t, h.db.CreateMemoryStore(ctx, store))
	d := h.hourly(t, func(d *core.Deployment) {
		d.Resources = []core.Resource{{Type: core.ResourceMemoryStore, Store: store.ID}}
	})
	store.ArchivedAt = noon
	need(t, h.db.UpdateMemoryStore(ctx, store))
	run, err := h.Trigger(ctx, h.by, d.ID, deployment.TriggerOptions{})
	need(t, err)
	if run.Error == nil || run.Error.Type != core.RunMemoryStoreArchived || !strings.HasPrefix(run.Error.Message, "resources[0].memory_store_id") {
		t.Errorf("run = %+v", run.Error)
	}
	_, err = h.Create(ctx, h.by, h.draft(func(d *core.Deployment) {
		d.Resources = []core.Resource{{Type: core.ResourceFile, Source: core.NewID[core.FileID]()}}
	}))
	if core.CodeOf(err) != "file_not_found" {
		t.Errorf("Create = %v", err)
	}
}
