package identity

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestWhoReports(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin := w.project(t, "a@b")
	a, key, c := w.agent(t, admin)
	sess, token := w.session(t, a, c.ID)
	sdk, sdkKey, err := w.CreateSDKKey(ctx, admin, 30, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.AgentReporter(ctx, key, token)
	want := Reporter{
		By:    core.Principal{Kind: core.PrincipalAgent, Project: admin.Project, Credential: c.ID, Agent: a.ID},
		Agent: a.ID, Session: sess.ID, Secrets: []string{key, token},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("AgentReporter: %v %s", err, diff)
	}
	got, err = w.SDKReporter(ctx, sdk, token)
	want.By, want.Secrets = core.Principal{Kind: core.PrincipalSDK, Project: admin.Project, Credential: sdkKey.ID}, []string{sdk, token}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("SDKReporter: %v %s", err, diff)
	}
}

// S4 and S5: the original takes any signed token, and with an SDK key those of other projects.
func TestAReporterHoldsAKeyAndASessionOfIts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	admin, stranger := w.project(t, "a@b"), w.project(t, "b@b")
	a, key, c := w.agent(t, admin)
	sess, token := w.session(t, a, c.ID)
	colleague, _, _ := w.agent(t, admin)
	_, colleagues := w.session(t, colleague, "")
	theirs, _, _ := w.agent(t, stranger)
	_, foreign := w.session(t, theirs, "")
	// Somebody with the same agent id in another project.
	double := theirs
	double.ID, double.Project = a.ID, stranger.Project
	if err := w.db.CreateAgent(ctx, double); err != nil {
		t.Fatal(err)
	}
	_, doubleToken := w.session(t, double, "")
	archived, archivedToken := w.session(t, a, c.ID)
	archived.ArchivedAt = w.Service.clock()
	if err := w.db.UpdateSession(ctx, archived); err != nil {
		t.Fatal(err)
	}
	off, _, _ := w.agent(t, admin)
	_, offToken := w.session(t, off, "")
	off.Active = false
	if err := w.db.SetAgentState(ctx, off); err != nil {
		t.Fatal(err)
	}
	gone := sess
	gone.ID = core.NewID[core.SessionID]()
	deleted, err := w.SessionToken(gone, w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	_, _, user := w.person(t, "c@b")
	sdk, _, err := w.CreateSDKKey(ctx, admin, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token      string
		agent, sdk string // the codes of the errors
	}{
		"its own":                   {token, "", ""},
		"another agent's":           {colleagues, "session_agent_mismatch", ""},
		"another project's":         {foreign, "session_agent_mismatch", "session_agent_mismatch"},
		"of the double":             {doubleToken, "session_agent_mismatch", "session_agent_mismatch"},
		"archived":                  {archivedToken, "invalid_session_token", "invalid_session_token"},
		"deleted":                   {deleted, "invalid_session_token", "invalid_session_token"},
		"of an agent that is off":   {offToken, "session_agent_mismatch", "invalid_session_token"},
		"nothing":                   {"", "invalid_session_token", "invalid_session_token"},
		"a user's token":            {user, "invalid_session_token", "invalid_session_token"},
		"the key in place of it":    {key, "invalid_session_token", "invalid_session_token"},
		"with its signature broken": {token[:len(token)-3] + "AAA", "invalid_session_token", "invalid_session_token"},
	} {
		for _, got := range []struct {
			err  error
			want string
		}{{second(w.AgentReporter(ctx, key, tc.token)), tc.agent}, {second(w.SDKReporter(ctx, sdk, tc.token)), tc.sdk}} {
			if got.want == "" && got.err != nil || got.want != "" && core.CodeOf(got.err) != got.want {
				t.Errorf("%s: %v, want %q", name, got.err, got.want)
			}
		}
	}
	for name, tc := range map[string]struct {
		err  error
		code string
	}{
		"an SDK key as agent key":      {second(w.AgentReporter(ctx, sdk, token)), "invalid_agent_key"},
		"an agent key as SDK key":      {second(w.SDKReporter(ctx, key, token)), "invalid_sdk_key"},
		"no key, but a good token":     {second(w.AgentReporter(ctx, "", token)), "invalid_agent_key"},
		"both bad":                     {second(w.SDKReporter(ctx, "otas_x", "y")), "invalid_sdk_key"},
		"the token in place of a key":  {second(w.AgentReporter(ctx, token, token)), "invalid_agent_key"},
		"an SDK key of no one, signed": {second(w.SDKReporter(ctx, sdk[:len(sdk)-1]+string(other(sdk[len(sdk)-1])), token)), "invalid_sdk_key"},
	} {
		wantError(t, tc.err, core.Unauthenticated, tc.code)
		if tc.err == nil {
			t.Error(name)
		}
	}
	w.clock.move(25 * time.Hour) // the SDK key has expired, the rest has not
	wantError(t, second(w.SDKReporter(ctx, sdk, token)), core.Unauthenticated, "invalid_sdk_key")
	if _, err := w.AgentReporter(ctx, key, token); err != nil {
		t.Error(err)
	}
}

func second(_ Reporter, err error) error { return err }

// An agent that floods is turned away before the store is asked anything, and nobody else is.
func TestAFloodReadsNothing(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{AgentRate: 10, AgentBurst: 5})
	ctx := t.Context()
	admin := w.project(t, "a@b")
	a, key, c := w.agent(t, admin)
	_, token := w.session(t, a, c.ID)
	calm, calmKey, calmC := w.agent(t, admin)
	_, calmToken := w.session(t, calm, calmC.ID)
	sdk, _, err := w.CreateSDKKey(ctx, admin, 30, "")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context) error{
		"AgentKey":      func(ctx context.Context) error { _, _, err := w.AgentKey(ctx, key); return err },
		"AgentReporter": func(ctx context.Context) error { return second(w.AgentReporter(ctx, key, token)) },
		"SDKReporter":   func(ctx context.Context) error { return second(w.SDKReporter(ctx, sdk, token)) },
	}
	for name, call := range calls {
		if err := call(ctx); err != nil {
			t.Fatalf("%s before the flood: %v", name, err)
		}
	}
	by := core.Principal{Project: admin.Project}
	wantError(t, w.Spend(by, a.ID, 6), core.TooLarge, "over_allowance")
	if err := w.Spend(by, a.ID, 0); err != nil {
		t.Error(err)
	}
	if err := w.Spend(by, a.ID, 4); err != nil { // AgentKey took one
		t.Fatal(err)
	}
	err = w.Spend(by, a.ID, 3)
	wantError(t, err, core.RateLimited, "rate_limited")
	if got := coreError(err).RetryAfter; got != 300*time.Millisecond {
		t.Errorf("RetryAfter of three = %v", got)
	}
	before := w.db.Stats().Statements
	for range 100 {
		for name, call := range calls {
			err := call(ctx)
			wantError(t, err, core.RateLimited, "rate_limited")
			if e := coreError(err); e == nil || e.RetryAfter != 100*time.Millisecond {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if n := w.db.Stats().Statements - before; n != 0 {
		t.Errorf("300 refused calls cost %d statements", n)
	}
	if _, err := w.AgentReporter(ctx, calmKey, calmToken); err != nil {
		t.Errorf("another agent: %v", err)
	}
	if _, err := w.SDKReporter(ctx, sdk, calmToken); err != nil {
		t.Errorf("another agent's call, with the same SDK key: %v", err)
	}
	if n := w.db.Stats().Statements - before; n != 2 {
		t.Errorf("two reporters cost %d statements", n)
	}
	// A rotated key is not known yet: the first call reads, and is refused all the same.
	fresh, _, err := w.RotateAgentKey(ctx, admin, a.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, second(w.AgentReporter(ctx, fresh, token)), core.RateLimited, "rate_limited")
	w.clock.move(100 * time.Millisecond)
	if _, _, err := w.AgentKey(ctx, fresh); err != nil {
		t.Errorf("when one has come back: %v", err)
	}
	_, _, err = w.AgentKey(ctx, fresh)
	wantError(t, err, core.RateLimited, "rate_limited")
	// What is remembered lets nobody in: the old key was valid once.
	w.clock.move(time.Minute)
	wantError(t, second(w.AgentReporter(ctx, key, token)), core.Unauthenticated, "invalid_agent_key")
}

func TestTheAllowanceIsThatOfOneProject(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{AgentRate: 1, AgentBurst: 1})
	id := core.NewID[core.AgentID]()
	for _, project := range []core.ProjectID{"one", "two"} {
		if err := w.Spend(core.Principal{Project: project}, id, 1); err != nil {
			t.Errorf("%s: %v", project, err)
		}
	}
	wantError(t, w.Spend(core.Principal{Project: "one"}, id, 1), core.RateLimited, "rate_limited")
}
