package identity

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestSignUpTidiesAndChecks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	u, token, err := w.SignUp(ctx, SignUp{FirstName: " Ada ", MiddleName: " K ", LastName: "Byron", Email: " Ada@Example.ORG ", Password: goodPassword})
	if err != nil || u.FirstName != "Ada" || u.MiddleName != "K" || u.Email != "ada@example.org" {
		t.Fatalf("SignUp = %+v, %v", u, err)
	}
	if got, by, err := w.User(ctx, token); err != nil || got.ID != u.ID || by != (core.Principal{Kind: core.PrincipalUser, User: u.ID, IssuedAt: w.Service.clock()}) {
		t.Errorf("User = %+v, %+v, %v", got, by, err)
	}
	long := strings.Repeat("é", 101)
	for name, tc := range map[string]struct {
		change      func(*SignUp)
		kind        core.Kind
		code, field string
	}{
		"blank names":    {func(s *SignUp) { s.FirstName, s.LastName = " ", "\t" }, core.Invalid, "missing_fields", "first_name, last_name"},
		"blank last":     {func(s *SignUp) { s.LastName = "" }, core.Invalid, "missing_fields", "last_name"},
		"long first":     {func(s *SignUp) { s.FirstName = long }, core.Invalid, "field_too_long", "first_name"},
		"long middle":    {func(s *SignUp) { s.MiddleName = long }, core.Invalid, "field_too_long", "middle_name"},
		"no at":          {func(s *SignUp) { s.Email = "ada" }, core.Invalid, "invalid_email_format", ""},
		"nothing before": {func(s *SignUp) { s.Email = "@b" }, core.Invalid, "invalid_email_format", ""},
		"nothing behind": {func(s *SignUp) { s.Email = "a@" }, core.Invalid, "invalid_email_format", ""},
		"space inside":   {func(s *SignUp) { s.Email = "a b@c" }, core.Invalid, "invalid_email_format", ""},
		"long email":     {func(s *SignUp) { s.Email = strings.Repeat("a", 253) + "@b" }, core.Invalid, "field_too_long", "email"},
		"short password": {func(s *SignUp) { s.Password = "12345" }, core.Invalid, "password_too_short", ""},
		"weak password":  {func(s *SignUp) { s.Password = "iloveyou2" }, core.Invalid, "password_too_weak", "password"},
		"own name":       {func(s *SignUp) { s.LastName, s.Password = "Krzyzanowski", "krzyzanowski1" }, core.Invalid, "password_too_weak", "password"},
		"long password":  {func(s *SignUp) { s.Password = strings.Repeat("p", 1025) }, core.Invalid, "field_too_long", "password"},
		"email taken":    {func(s *SignUp) { s.Email = "ADA@example.org" }, core.Conflict, "user_already_exists", ""},
	} {
		in := SignUp{FirstName: "A", LastName: "B", Email: "a@b", Password: goodPassword}
		tc.change(&in)
		_, _, err := w.SignUp(ctx, in)
		wantError(t, err, tc.kind, tc.code)
		if e := coreError(err); e == nil || e.Field != tc.field {
			t.Errorf("%s: field at fault is %q", name, e.Field)
		}
	}
}

// S9: the original takes a password that looks like a hash for a hash, and keeps it in clear.
func TestPasswordsThatLookLikeHashes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for i, password := range []string{"pbkdf2_sha256$720000$salt$hash", nobody, "  spaces  "} {
		email := string(rune('a'+i)) + "@b"
		u, _, err := w.SignUp(t.Context(), SignUp{FirstName: "A", LastName: "B", Email: email, Password: password})
		if err != nil || u.PasswordHash == password || !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("%q is kept as %q, %v", password, u.PasswordHash, err)
		}
		if _, _, err := w.Login(t.Context(), Login{Email: email, Password: password}); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// S12: an unknown email must cost and say the same as a wrong password.
func TestLoginDoesNotTellWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.person(t, "a@b")
	_, _, wrong := w.Login(t.Context(), Login{Email: "a@b", Password: "wrong password"})
	_, _, unknown := w.Login(t.Context(), Login{Email: "nobody@b", Password: "wrong password"})
	wantError(t, wrong, core.Unauthenticated, "login_failed")
	if errText(wrong) != errText(unknown) {
		t.Errorf("wrong password: %v; unknown email: %v", wrong, unknown)
	}
	params, _, _, err := argon2id.DecodeHash(nobody)
	if err != nil || *params != *hashCost {
		t.Errorf("the hash for unknown emails costs %+v, %v", params, err)
	}
	for _, odd := range []Login{{}, {Email: "a@b"}, {Email: "a", Password: "x"}, {Email: "a@b", Password: strings.Repeat("p", 5000)}} {
		_, _, err := w.Login(t.Context(), odd)
		wantError(t, err, core.Unauthenticated, "login_failed")
	}
}

// S12: that an email is taken must not be told sooner than success would be: after the hash.
func TestSignUpDoesNotTellAtOnceWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.person(t, "a@b")
	for range cap(w.passwords.turns) {
		w.passwords.turns <- struct{}{}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	in := SignUp{FirstName: "A", LastName: "B", Password: goodPassword}
	answers := map[string]string{}
	for _, email := range []string{"a@b", "new@b"} {
		in.Email = email
		_, _, err := w.SignUp(ctx, in)
		answers[email] = errText(err)
	}
	if answers["a@b"] != answers["new@b"] || !strings.Contains(answers["a@b"], "wait to hash") {
		t.Errorf("without a hash the answers are %q", answers)
	}
}

func TestLoginIsThrottled(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	w.throttle = newThrottle(Limits{LoginBurst: 2, LoginEvery: time.Minute, AddressBurst: 5, AddressEvery: time.Minute}, w.clock.now)
	w.person(t, "a@b") // from no address
	right := Login{Email: "a@b", Password: goodPassword, Address: "192.0.2.1"}
	wrong := right
	wrong.Password = "wrong password"
	try := func(in Login, want string) {
		t.Helper()
		_, _, err := w.Login(ctx, in)
		if code := core.CodeOf(err); (want == "") != (err == nil) || want != "" && code != want {
			t.Errorf("Login(%s from %s) = %v, want %q", in.Email, in.Address, err, want)
		}
	}
	try(wrong, "login_failed")
	try(right, "") // and the slate is clean again
	try(wrong, "login_failed")
	try(wrong, "login_failed")
	_, _, err := w.Login(ctx, right)
	wantError(t, err, core.RateLimited, "rate_limited")
	if e := coreError(err); e.RetryAfter != time.Minute {
		t.Errorf("RetryAfter = %v", e.RetryAfter)
	}
	elsewhere := right
	elsewhere.Address = "192.0.2.2"
	try(elsewhere, "") // who guesses from one place does not lock out the owner at another
	w.clock.move(time.Minute)
	try(right, "")

	for i := range 5 {
		_, _, err := w.Login(ctx, Login{Email: string(rune('f'+i)) + "@b", Password: "x", Address: "2001:db8::" + string(rune('1'+i))})
		wantError(t, err, core.Unauthenticated, "login_failed")
	}
	try(Login{Email: "z@b", Password: "x", Address: "2001:db8::ffff"}, "rate_limited") // one network is one address
	_, _, err = w.SignUp(ctx, SignUp{FirstName: "A", LastName: "B", Email: "y@b", Password: goodPassword, Address: "2001:db8::1"})
	wantError(t, err, core.RateLimited, "rate_limited")
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "", "@": "@",
	} {
		if got := network(in); got != want {
			t.Errorf("network(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHashingWaitsItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		for range cap(p.turns) {
			p.turns <- struct{}{}
		}
		start := time.Now()
		_, err := p.hash(t.Context(), "x")
		wantError(t, err, core.Unavailable, "busy")
		if waited := time.Since(start); waited != hashWait || coreError(err).RetryAfter == 0 {
			t.Errorf("waited %v: %v", waited, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := p.check(ctx, "x", nobody); core.KindOf(err) == core.Unavailable || err == nil {
			t.Errorf("a caller who left: %v", err)
		}
		<-p.turns
		if ok, err := p.check(t.Context(), "x", nobody); ok || err != nil {
			t.Errorf("after a turn came free: %v, %v", ok, err)
		}
	})
}

// S3: the original has no revocation, and a password change leaves old tokens valid.
func TestLogoutAndPasswordChangeRevokeTokens(t *testing.T) {
	t.Parallel()
	w := setup(t) // its clock stands still: all of this happens in one microsecond
	ctx := t.Context()
	_, by, old := w.person(t, "a@b")
	check := func(token, want string) {
		t.Helper()
		if _, _, err := w.User(ctx, token); want == "" && err != nil || want != "" && core.CodeOf(err) != want {
			t.Errorf("User = %v, want %q", err, want)
		}
	}
	if err := w.Logout(ctx, by); err != nil {
		t.Fatal(err)
	}
	check(old, "invalid_token")
	_, second, err := w.Login(ctx, Login{Email: "a@b", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	check(second, "")
	w.clock.move(-time.Hour) // a clock that was set back must not bring tokens back
	if err := w.ChangePassword(ctx, by, nil, "another green bicycle"); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Hour + time.Microsecond)
	if err := w.ChangePassword(ctx, by, nil, "third green bicycle"); err != nil {
		t.Fatal(err)
	}
	check(second, "invalid_token")
	check(old, "invalid_token")
	_, _, err = w.Login(ctx, Login{Email: "a@b", Password: goodPassword})
	wantError(t, err, core.Unauthenticated, "login_failed")
	_, third, err := w.Login(ctx, Login{Email: "a@b", Password: "third green bicycle"})
	if err != nil {
		t.Fatal(err)
	}
	check(third, "")
	wantError(t, w.ChangePassword(ctx, by, nil, "short"), core.Invalid, "password_too_short")
	wantError(t, w.Logout(ctx, core.Principal{Kind: core.PrincipalToken, User: by.User}), core.Forbidden, "forbidden")
}

// S10: in the original, whoever holds a token may set a new password.
func TestANewPasswordNeedsTheOldOneOrAFreshLogin(t *testing.T) {
	t.Parallel()
	w := setupLimited(t, Limits{LoginBurst: 3, LoginEvery: time.Minute})
	ctx := t.Context()
	_, by, token := w.person(t, "a@b")
	current, wrong, long := goodPassword, "wrong green bicycle", strings.Repeat("p", 5000)
	const next, last = "purple elephant lamp", "silver giraffe kettle"
	w.clock.move(freshLogin)
	wantError(t, w.ChangePassword(ctx, by, nil, next), core.Forbidden, "reauthentication_required")
	member := by
	member.IssuedAt = time.Time{} // as Member returns it
	wantError(t, w.ChangePassword(ctx, member, nil, next), core.Forbidden, "reauthentication_required")
	wantError(t, w.ChangePassword(ctx, by, &long, next), core.Unauthenticated, "wrong_password")
	wantError(t, w.ChangePassword(ctx, by, &current, "password1"), core.Invalid, "password_too_weak")
	wantError(t, w.ChangePassword(ctx, by, &current, "mira okafor"), core.Invalid, "password_too_weak")
	wantError(t, w.ChangePassword(ctx, core.Principal{Kind: core.PrincipalToken, User: by.User}, &current, next), core.Forbidden, "forbidden")
	for range 3 {
		wantError(t, w.ChangePassword(ctx, by, &wrong, next), core.Unauthenticated, "wrong_password")
	}
	wantError(t, w.ChangePassword(ctx, by, &current, next), core.RateLimited, "rate_limited")
	if _, _, err := w.User(ctx, token); err != nil {
		t.Fatalf("nothing was changed, but the token is revoked: %v", err)
	}
	if _, _, err := w.Login(ctx, Login{Email: "a@b", Password: goodPassword, Address: "192.0.2.1"}); err != nil {
		t.Errorf("the thief of a token locks the owner out: %v", err)
	}
	w.clock.move(time.Minute)
	if err := w.ChangePassword(ctx, by, &current, next); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.User(ctx, token)
	wantError(t, err, core.Unauthenticated, "invalid_token")
	_, token, err = w.Login(ctx, Login{Email: "a@b", Password: next})
	if err != nil {
		t.Fatal(err)
	}
	if _, by, err = w.User(ctx, token); err != nil {
		t.Fatal(err)
	}
	w.clock.move(freshLogin - time.Microsecond)
	if err := w.ChangePassword(ctx, by, nil, last); err != nil {
		t.Errorf("just after a log-in: %v", err)
	}
	if _, _, err := w.Login(ctx, Login{Email: "a@b", Password: last}); err != nil {
		t.Error(err)
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	before, by, token := w.person(t, "a@b")
	w.clock.move(time.Second)
	u, err := w.Edit(ctx, by, Names{First: " Grace ", Last: "Hopper"})
	if err != nil || u.FirstName != "Grace" || u.MiddleName != "" || u.LastName != "Hopper" || !u.UpdatedAt.After(before.UpdatedAt) {
		t.Errorf("Edit = %+v, %v", u, err)
	}
	if got, _, err := w.User(ctx, token); err != nil || got.FirstName != "Grace" || got.PasswordHash != before.PasswordHash {
		t.Errorf("User = %+v, %v", got, err)
	}
	_, err = w.Edit(ctx, by, Names{First: "Grace"})
	wantError(t, err, core.Invalid, "missing_fields")
	_, err = w.Edit(ctx, core.Principal{}, Names{First: "Grace", Last: "Hopper"})
	wantError(t, err, core.Forbidden, "forbidden")
}
