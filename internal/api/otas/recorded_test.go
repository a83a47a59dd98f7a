package otas_test

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// TestRecordedExchanges plays each recording in testdata against a server of its own, with an
// administrator, a member and a viewer of one project, a stranger to it, an access token of it, and somebody
// who has the same things in a foreign one.
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
			access, token, err := w.identity.IssueToken(t.Context(), identity.IssueToken{Project: n.projectID(), Name: "recorded", CreatedBy: n.admin.id})
			if err != nil {
				t.Fatal(err)
			}
			vars := map[string]string{
				"server": w.url, "project": n.project,
				"day1": w.clock.now().AddDate(0, 0, -2).Format(time.DateOnly), "day2": w.clock.now().AddDate(0, 0, -1).Format(time.DateOnly),
				"admin": n.admin.token, "admin_id": core.FormatUUID(n.admin.id), "admin_email": n.admin.email,
				"member": member.token, "member_id": core.FormatUUID(member.id), "member_email": member.email,
				"viewer": viewer.token, "viewer_id": core.FormatUUID(viewer.id), "viewer_email": viewer.email,
				"stranger": stranger.token, "stranger_id": core.FormatUUID(stranger.id), "stranger_email": stranger.email,
				"access": access, "access_id": core.FormatUUID(token.ID),
			}
			maps.Copy(vars, foreign(t, w))
			exchange.Run(t, w.url, file, vars)
		})
	}
}

// foreign makes one thing of each sort in a project of its own.
func foreign(t *testing.T, w *world) map[string]string {
	t.Helper()
	n := w.tenant(t)
	sdk := w.do(t, "POST", "/api/project/v1/sdk/backend/key/create/", n.headers(), `{"validity":1}`).must(t, 201, "backend_sdk_key_created")
	inv := w.do(t, "POST", "/api/project/v1/members/invite/", n.headers(), `{"email":"elsewhere@example.org"}`).must(t, 201, "member_invited")
	return map[string]string{
		"foreign": n.admin.token, "foreign_id": core.FormatUUID(n.admin.id), "foreign_project": n.project, "foreign_agent": n.agent,
		"foreign_agent_key": n.key, "foreign_key_id": n.keyID, "foreign_session": n.sess, "foreign_token": n.sessionToken,
		"foreign_sdk": sdk.text(t, "response_body", "api_key"), "foreign_sdk_id": sdk.text(t, "response_body", "id"),
		"foreign_invitation_id": inv.text(t, "response_body", "invitation", "id"),
	}
}
