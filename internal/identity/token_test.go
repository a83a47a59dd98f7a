package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestIssueToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	if _, _, err := w.IssueToken(ctx, IssueToken{}); core.CodeOf(err) != "project_not_found" {
		t.Errorf("without a project: %v", err)
	}
	oldest := w.project(t, "a@b")
	w.clock.move(time.Second)
	newest := w.project(t, "b@b")
	for name, tc := range map[string]struct {
		in   IssueToken
		code string // empty: it works
		want core.Principal
	}{
		"defaults":         {in: IssueToken{}, want: core.Principal{Project: oldest.Project, Role: core.RoleAdmin}},
		"project and role": {in: IssueToken{Project: newest.Project, Role: core.RoleViewer}, want: core.Principal{Project: newest.Project, Role: core.RoleViewer}},
		"unknown project":  {in: IssueToken{Project: core.NewID[core.ProjectID]()}, code: "project_not_found"},
		"unknown spelling": {in: IssueToken{Spelling: "github"}, code: "invalid_field"},
		"unknown role":     {in: IssueToken{Role: "root"}, code: "invalid_field"},
		"past":             {in: IssueToken{ExpiresAt: w.clock.now()}, code: "invalid_field"},
		"long name":        {in: IssueToken{Name: strings.Repeat("é", 256)}, code: "field_too_long"},
	} {
		plain, c, err := w.IssueToken(ctx, tc.in)
		if tc.code != "" {
			if core.CodeOf(err) != tc.code {
				t.Errorf("%s: %v, want %s", name, err, tc.code)
			}
			continue
		}
		tc.want.Kind, tc.want.Credential = core.PrincipalToken, c.ID
		if got, err := w.Token(ctx, plain); err != nil || got != tc.want {
			t.Errorf("%s: Token = %+v, %v", name, got, err)
		}
	}
}

func TestATokenEndsOnTime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.project(t, "a@b")
	plain, c, err := w.IssueToken(t.Context(), IssueToken{Name: " ci ", ExpiresAt: w.clock.now().Add(time.Hour)})
	if err != nil || *c.Name != "ci" {
		t.Fatal(c.Name, err)
	}
	w.clock.move(time.Hour - time.Microsecond)
	if _, err := w.Token(t.Context(), plain); err != nil {
		t.Errorf("before its end: %v", err)
	}
	w.clock.move(time.Microsecond)
	_, err = w.Token(t.Context(), plain)
	wantError(t, err, core.Unauthenticated, "invalid_token")
}
