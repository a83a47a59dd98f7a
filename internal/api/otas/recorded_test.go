package otas_test

import (
	"path/filepath"
	"testing"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/core"
)

// TestRecordedExchanges plays each recording in testdata against a server of its own, with an
// administrator, a member and a viewer of one project, and a stranger to it.
func TestRecordedExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			n := tenant{admin: w.person(t)}
			n.project = w.project(t, n.admin)
			member, viewer, stranger := w.person(t), w.person(t), w.person(t)
			w.join(t, member, n, core.RoleMember, true)
			w.join(t, viewer, n, core.RoleViewer, true)
			exchange.Run(t, w.url, file, map[string]string{
				"admin": n.admin.token, "admin_id": core.FormatUUID(n.admin.id), "admin_email": n.admin.email,
				"member": member.token, "viewer": viewer.token, "stranger": stranger.token,
				"project": n.project,
			})
		})
	}
}
