package identity

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestEverySpellingOfAnAccessTokenWorks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	for _, spelling := range Spellings {
		plain, c, err := w.IssueToken(t.Context(), IssueToken{Spelling: spelling, Role: core.RoleMember, CreatedBy: admin.User})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Token(t.Context(), plain)
		want := core.Principal{Kind: core.PrincipalToken, Project: admin.Project, Role: core.RoleMember, Credential: c.ID, User: admin.User}
		if err != nil || got != want {
			t.Errorf("%s: Token = %+v, %v", spelling, got, err)
		}
		if !IsAccessToken(plain) {
			t.Errorf("%s: %q is not taken for an access token", spelling, plain)
		}
	}
}

// keys returns a working key of each kind, of one project.
func (w world) keys(t *testing.T, admin core.Principal) map[core.CredentialKind]string {
	t.Helper()
	access, _, err := w.IssueToken(t.Context(), IssueToken{Project: admin.Project})
	if err != nil {
		t.Fatal(err)
	}
	sdk, _, err := w.CreateSDKKey(t.Context(), admin, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	_, agent, _ := w.agent(t, admin)
	return map[core.CredentialKind]string{core.CredentialAccess: access, core.CredentialSDK: sdk, core.CredentialAgent: agent}
}

func TestAKeyOfOneKindIsNeverAnother(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	try := map[core.CredentialKind]func(context.Context, string) (core.Principal, error){
		core.CredentialAccess: w.Token,
		core.CredentialSDK: func(ctx context.Context, raw string) (core.Principal, error) {
			by, p, err := w.SDKProject(ctx, raw)
			if err == nil && (p.ID != admin.Project || p.Name != "Parcel Desk") {
				t.Errorf("SDKProject = %+v", p)
			}
			return by, err
		},
		core.CredentialAgent: func(ctx context.Context, raw string) (core.Principal, error) {
			by, _, err := w.AgentKey(ctx, raw)
			return by, err
		},
	}
	label := map[core.CredentialKind]string{core.CredentialAccess: accessLabel, core.CredentialSDK: sdkLabel, core.CredentialAgent: agentLabel}
	for is, raw := range w.keys(t, admin) {
		for as, check := range try {
			_, err := check(t.Context(), raw)
			if (err == nil) != (is == as) {
				t.Errorf("%s key as %s: %v", is, as, err)
			}
			if is == as {
				continue
			}
			renamed := label[as] + raw[len(raw)-secretSize-1-lookupSize:]
			if _, err := check(t.Context(), renamed); core.KindOf(err) != core.Unauthenticated {
				t.Errorf("%s key under the label of %s: %v", is, as, err)
			}
		}
	}
}

func TestWhyAKeyFailsIsNotTold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	a, good, _ := w.agent(t, admin)
	stopped, deactivated, _ := w.agent(t, admin)
	stopped.Active = false
	gone, archived, _ := w.agent(t, admin)
	gone.ArchivedAt = w.Service.clock()
	for _, agent := range []core.Agent{stopped, gone} {
		if err := w.db.SetAgentState(ctx, agent); err != nil {
			t.Fatal(err)
		}
	}
	inactive := core.Project{ID: core.NewID[core.ProjectID](), Name: "off", CreatedBy: admin.User, CreatedAt: w.Service.clock(), UpdatedAt: w.Service.clock()}
	if err := w.db.CreateProject(ctx, inactive); err != nil {
		t.Fatal(err)
	}
	_, ofInactive, _ := w.agent(t, core.Principal{Project: inactive.ID})
	_, revoked, key := w.agent(t, admin)
	if err := w.RevokeAgentKey(ctx, admin, key.ID); err != nil {
		t.Fatal(err)
	}
	unknown, _ := w.NewAgentKey(a, admin)
	old := setup(t)
	foreign, c := old.NewAgentKey(a, admin)
	c.Hash = New(nil, append([]byte("x"), testSecret...), Options{}).sum(foreign) // stored under another secret
	if err := w.db.CreateCredential(ctx, c); err != nil {
		t.Fatal(err)
	}

	if _, agent, err := w.AgentKey(ctx, good); err != nil || agent.ID != a.ID {
		t.Fatalf("the good key: %v, %v", agent, err)
	}
	for name, raw := range map[string]string{
		"empty": "", "unknown": unknown, "wrong secret": good[:len(good)-1] + string(other(good[len(good)-1])), "revoked": revoked,
		"agent deactivated": deactivated, "agent archived": archived, "project inactive": ofInactive, "another pepper": foreign,
		"huge": good + string(make([]byte, 1<<20)),
	} {
		_, _, err := w.AgentKey(ctx, raw)
		if diff := cmp.Diff(refused(core.CredentialAgent).Error(), errText(err)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	w.clock.move(AgentKeyLifetime)
	if _, _, err := w.AgentKey(ctx, good); errText(err) != refused(core.CredentialAgent).Error() {
		t.Errorf("expired: %v", err)
	}
}

func other(c byte) byte {
	if c == 'a' {
		return 'b'
	}
	return 'a'
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// broken is a store that fails in one place.
type broken struct {
	core.Store
	lookup, touch error
}

func (b broken) KeyState(ctx context.Context, prefix string, session core.SessionID) (core.KeyState, error) {
	if b.lookup != nil {
		return core.KeyState{}, b.lookup
	}
	return b.Store.KeyState(ctx, prefix, session)
}

func (b broken) SessionState(ctx context.Context, project core.ProjectID, session core.SessionID) (core.SessionState, error) {
	if b.lookup != nil {
		return core.SessionState{}, b.lookup
	}
	return b.Store.SessionState(ctx, project, session)
}

func (b broken) TouchCredentials(ctx context.Context, used map[core.CredentialID]time.Time) error {
	if b.touch != nil {
		return b.touch
	}
	return b.Store.TouchCredentials(ctx, used)
}

// C5: the original called a key invalid when its own side was down, and clients dropped it.
func TestTroubleOfTheStoreIsNoBadKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	a, key, c := w.agent(t, admin)
	_, token := w.session(t, a, c.ID)
	raw := w.keys(t, admin)
	trouble := errors.New("disk on fire")
	s := New(broken{Store: w.db, lookup: trouble}, testSecret, Options{Now: w.clock.now})
	for name, check := range map[string]func(context.Context) error{
		"AgentKey":      func(ctx context.Context) error { _, _, err := s.AgentKey(ctx, key); return err },
		"SDKProject":    func(ctx context.Context) error { _, _, err := s.SDKProject(ctx, raw[core.CredentialSDK]); return err },
		"Token":         func(ctx context.Context) error { _, err := s.Token(ctx, raw[core.CredentialAccess]); return err },
		"Session":       func(ctx context.Context) error { _, _, err := s.Session(ctx, token); return err },
		"AgentReporter": func(ctx context.Context) error { _, err := s.AgentReporter(ctx, key, token); return err },
		"SDKReporter": func(ctx context.Context) error {
			_, err := s.SDKReporter(ctx, raw[core.CredentialSDK], token)
			return err
		},
	} {
		if err := check(t.Context()); core.KindOf(err) != core.Internal || !errors.Is(err, trouble) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestLastUseIsWrittenInBatches(t *testing.T) {
	t.Parallel()
	w := setup(t)
	admin := w.project(t, "a@b")
	_, plain, key := w.agent(t, admin)
	_, unused, _ := w.agent(t, admin)
	_ = unused
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := w.AgentKey(t.Context(), plain); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.lastUse(t, key); !got.IsZero() {
		t.Errorf("a use was written at once: %v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	if got, want := w.lastUse(t, key), w.clock.now().UTC().Truncate(time.Minute); !got.Equal(want) {
		t.Errorf("last use = %v, want %v", got, want)
	}
	if _, _, err := w.AgentKey(t.Context(), plain); err != nil || len(w.used.at) != 0 {
		t.Errorf("a second use in the same minute is to be written again: %v, %v", w.used.at, err)
	}
}

func (w world) lastUse(t *testing.T, c core.Credential) time.Time {
	t.Helper()
	got, err := w.db.Credential(t.Context(), c.Project, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got.LastUsedAt
}

func TestLastUseSurvivesAFailedWrite(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, _, key := w.agent(t, w.project(t, "a@b"))
	now := w.clock.now()
	w.used.note(key, now)
	for i := range 2*touchBatch + 1 {
		w.used.note(core.Credential{ID: core.NewID[core.CredentialID]()}, now.Add(time.Duration(i)))
	}
	trouble := errors.New("disk full")
	if err := w.used.flush(t.Context(), broken{Store: w.db, touch: trouble}); !errors.Is(err, trouble) {
		t.Errorf("flush = %v", err)
	}
	if n := len(w.used.at); n != 2*touchBatch+2 {
		t.Errorf("%d uses are remembered", n)
	}
	if err := w.used.flush(t.Context(), w.db); err != nil || len(w.used.at) != 0 {
		t.Errorf("flush = %v, %d left", err, len(w.used.at))
	}
	if w.lastUse(t, key).IsZero() {
		t.Error("the use was lost")
	}
}
