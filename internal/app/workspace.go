package app

import (
	"path/filepath"

	"github.com/reeve-ai/reeve/internal/vault"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// openWorkspaces makes what lays out sandboxes: where sessions see what they have attached.
func (a *App) openWorkspaces(tokens *vault.Tokens) {
	uses := a.catalog.NeedsSandbox
	a.unpacked = workspace.NewSkills(filepath.Join(a.cfg.Data, "skills"), a.store, a.skills, uses)
	a.workspaces = workspace.New(filepath.Join(a.cfg.Data, "workspaces"),
		workspace.NewFiles(a.files, uses),
		workspace.NewRepositories(workspace.RepositoryOptions{Dial: a.outside().Dial, Sealer: tokens}),
		workspace.NewOutputs(a.files, uses, a.log, workspace.OutputLimits{}),
		workspace.NewMemory(a.memory),
		a.unpacked,
	)
}
