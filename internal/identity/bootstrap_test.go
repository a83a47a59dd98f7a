package identity

import (
	"sync"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestBootstrapHappensOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	var mu sync.Mutex
	var made []Bootstrap
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			b, first, err := w.Bootstrap(ctx)
			if err != nil {
				t.Error(err)
			}
			if first {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, b)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Fatalf("%d starts were the first", len(made))
	}
	b := made[0]
	by, err := w.Token(ctx, b.Token)
	if err != nil || by.Role != core.RoleAdmin || by.Project != b.Project.ID || by.User != b.User.ID {
		t.Errorf("Token = %+v, %v", by, err)
	}
	u, _, err := w.Login(ctx, Login{Email: AdminEmail, Password: b.Password})
	if err != nil || u.ID != b.User.ID || len(b.Password) != passwordSize {
		t.Errorf("Login = %+v, %v", u, err)
	}
	if admin, p, err := w.Member(ctx, u.ID, b.Project.ID); err != nil || admin.Role != core.RoleAdmin || p.Name != "Default" {
		t.Errorf("Member = %+v, %+v, %v", admin, p, err)
	}
	if again, first, err := w.Bootstrap(ctx); err != nil || first || again.Token != "" {
		t.Errorf("a later start: %+v, %v, %v", again, first, err)
	}
	all, err := w.db.Projects(ctx)
	if err != nil || len(all) != 1 {
		t.Errorf("projects = %v, %v", all, err)
	}
}
