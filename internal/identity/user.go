package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits of what people say about themselves, in characters (reference otas.md, 1.1 and 3.1).
const (
	maxPersonName = 100
	maxEmail      = 254
	minPassword   = 6
	maxPassword   = 1024 // ours: long enough for any passphrase
)

// SignUp is what a new person tells. Address is where the request came from, an IP without port.
type SignUp struct {
	FirstName, MiddleName, LastName string
	Email, Password                 string
	Address                         string
}

// SignUp makes a user and logs them in. Texts are trimmed, the email is lowered; the password is
// taken as it is, whatever it looks like, unless it is easily guessed. A taken email is told, because the
// original's interface has an answer for it, but no sooner than success would be (reference otas.md,
// section 8, S12).
//
// Errors: Invalid ("missing_fields" with the names of blank fields in Field, "invalid_email_format",
// "password_too_short", "password_too_weak", "field_too_long"); Conflict ("user_already_exists"); RateLimited; Unavailable.
func (s *Service) SignUp(ctx context.Context, in SignUp) (core.User, string, error) {
	now := s.clock()
	u := core.User{
		ID:        core.NewID[core.UserID](),
		Email:     normalEmail(in.Email),
		CreatedAt: now,
		UpdatedAt: now,
	}
	if err := setNames(&u, Names{in.FirstName, in.MiddleName, in.LastName}); err != nil {
		return core.User{}, "", err
	}
	if err := checkEmail(u.Email); err != nil {
		return core.User{}, "", err
	}
	if err := checkPassword(in.Password); err != nil {
		return core.User{}, "", err
	}
	if err := s.throttle.address(in.Address); err != nil {
		return core.User{}, "", err
	}
	var err error
	if u.PasswordHash, err = s.newPassword(ctx, u, in.Password); err != nil {
		return core.User{}, "", err
	}
	if err := s.store.CreateUser(ctx, u); err != nil {
		return core.User{}, "", fmt.Errorf("create user: %w", err)
	}
	token, err := s.userToken(u)
	return u, token, err
}

// Login is one try to log in. Address is where the request came from, an IP without port.
type Login struct {
	Email, Password string
	Address         string
}

// Login checks a password and returns the person and a new token. An unknown email takes as long and
// says the same as a wrong password.
//
// Errors: Unauthenticated ("login_failed"); RateLimited; Unavailable.
func (s *Service) Login(ctx context.Context, in Login) (core.User, string, error) {
	failed := core.Errorf(core.Unauthenticated, "login_failed", "the email or the password is wrong")
	email := normalEmail(in.Email)
	if checkEmail(email) != nil || utf8.RuneCountInString(in.Password) > maxPassword {
		return core.User{}, "", failed // nobody has such an email or password
	}
	if err := errors.Join(s.throttle.address(in.Address), s.throttle.attempt(email, in.Address)); err != nil {
		return core.User{}, "", err
	}
	u, err := s.store.UserByEmail(ctx, email)
	known := err == nil
	if !known {
		if core.KindOf(err) != core.NotFound {
			return core.User{}, "", fmt.Errorf("read user: %w", err)
		}
		u.PasswordHash = nobody
	}
	ok, err := s.passwords.check(ctx, in.Password, u.PasswordHash)
	if err != nil {
		return core.User{}, "", err
	}
	if !ok || !known {
		return core.User{}, "", failed
	}
	s.throttle.forgive(email, in.Address)
	token, err := s.userToken(u)
	return u, token, err
}

// Names are what a person may change. Middle may be empty.
type Names struct{ First, Middle, Last string }

// Edit replaces a person's names. It returns the person as they are now.
//
// Errors: Forbidden; Invalid ("missing_fields", "field_too_long").
func (s *Service) Edit(ctx context.Context, by core.Principal, names Names) (core.User, error) {
	return s.change(ctx, by, func(u *core.User) error { return setNames(u, names) })
}

// freshLogin is how long after a log-in a person may set a new password without the old one.
const freshLogin = 15 * time.Minute

// ChangePassword sets a new password and revokes every token that was issued until now. Who holds a token
// is not trusted to own the account (reference otas.md, section 8, S10): they know the current password,
// or have logged in within the last 15 minutes, as by.IssuedAt has it. current nil: not given.
//
// Errors: Forbidden (no person; "reauthentication_required": nothing given, and the token too old); Invalid
// ("password_too_short", "field_too_long", "password_too_weak"); Unauthenticated ("wrong_password");
// RateLimited (too many wrong ones); Unavailable.
func (s *Service) ChangePassword(ctx context.Context, by core.Principal, current *string, password string) error {
	if by.Kind != core.PrincipalUser {
		return errNoPerson()
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	u, err := s.store.User(ctx, by.User)
	if err != nil {
		return fmt.Errorf("read user: %w", err)
	}
	if err := s.reauthenticate(ctx, by, u, current); err != nil {
		return err
	}
	hash, err := s.newPassword(ctx, u, password)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, by, func(now *core.User) error {
		if current != nil && now.PasswordHash != u.PasswordHash {
			return errWrongPassword() // somebody changed it while this one was being checked
		}
		now.PasswordHash = hash
		now.TokensAfter = s.afterTokens(*now)
		return nil
	})
	return err
}

func errWrongPassword() error {
	return core.Errorf(core.Unauthenticated, "wrong_password", "the current password is wrong")
}

// reauthenticate asks whether the holder of a token is the person u. Wrong passwords are counted, because
// a stolen token would otherwise be a way to try them.
func (s *Service) reauthenticate(ctx context.Context, by core.Principal, u core.User, current *string) error {
	if current == nil {
		if by.IssuedAt.IsZero() || s.clock().Sub(by.IssuedAt) >= freshLogin {
			return core.Errorf(core.Forbidden, "reauthentication_required", "give the current password, or log in again")
		}
		return nil
	}
	if utf8.RuneCountInString(*current) > maxPassword {
		return errWrongPassword() // nobody has such a password
	}
	if err := s.throttle.confirm(u.Email); err != nil {
		return err
	}
	ok, err := s.passwords.check(ctx, *current, u.PasswordHash)
	if err != nil {
		return err
	}
	if !ok {
		return errWrongPassword()
	}
	s.throttle.forgive(u.Email, confirming)
	return nil
}

// newPassword refuses a password that is easily guessed, with what everybody knows of the person, and
// returns the hash of any other.
func (s *Service) newPassword(ctx context.Context, u core.User, password string) (string, error) {
	if strength(password, u.FirstName, u.MiddleName, u.LastName, u.Email) < leastStrength {
		return "", &core.Error{
			Kind: core.Invalid, Code: "password_too_weak", Field: "password",
			Message: "the password is easily guessed: take a longer one, such as a few unrelated words",
		}
	}
	return s.passwords.hash(ctx, password)
}

// Logout revokes every token of a person that was issued until now, on all their devices.
//
// Errors: Forbidden.
func (s *Service) Logout(ctx context.Context, by core.Principal) error {
	_, err := s.change(ctx, by, func(u *core.User) error {
		u.TokensAfter = s.afterTokens(*u)
		return nil
	})
	return err
}

// afterTokens is a TokensAfter that refuses all tokens issued until now, also those of this very
// microsecond; and it never goes back, whatever the clock does.
func (s *Service) afterTokens(u core.User) time.Time {
	at := s.clock().Add(time.Microsecond)
	if at.Before(u.TokensAfter) {
		return u.TokensAfter
	}
	return at
}

func errNoPerson() error {
	return core.Errorf(core.Forbidden, "forbidden", "only a person may do that, with a user token")
}

// change reads, changes and writes a person in one transaction.
func (s *Service) change(ctx context.Context, by core.Principal, fn func(*core.User) error) (core.User, error) {
	if by.Kind != core.PrincipalUser {
		return core.User{}, errNoPerson()
	}
	var u core.User
	err := s.store.Tx(ctx, func(tx core.Store) error {
		var err error
		if u, err = tx.User(ctx, by.User); err != nil {
			return err
		}
		if err := fn(&u); err != nil {
			return err
		}
		u.UpdatedAt = s.clock()
		return tx.UpdateUser(ctx, u)
	})
	if err != nil {
		return core.User{}, fmt.Errorf("change user: %w", err)
	}
	return u, nil
}

// setNames trims and checks names. A name of spaces is no name (reference otas.md, section 8, C9).
func setNames(u *core.User, n Names) error {
	u.FirstName, u.MiddleName, u.LastName = strings.TrimSpace(n.First), strings.TrimSpace(n.Middle), strings.TrimSpace(n.Last)
	var blank []string
	if u.FirstName == "" {
		blank = append(blank, "first_name")
	}
	if u.LastName == "" {
		blank = append(blank, "last_name")
	}
	if blank != nil {
		return MissingFields(blank...)
	}
	for _, f := range [...]struct{ name, value string }{{"first_name", u.FirstName}, {"middle_name", u.MiddleName}, {"last_name", u.LastName}} {
		if utf8.RuneCountInString(f.value) > maxPersonName {
			return tooLong(f.name)
		}
	}
	return nil
}

// MissingFields is the error for required fields that are absent or blank.
func MissingFields(names ...string) error {
	list := strings.Join(names, ", ")
	return &core.Error{Kind: core.Invalid, Code: "missing_fields", Field: list, Message: "missing or blank: " + list}
}

func tooLong(field string) error {
	return &core.Error{Kind: core.Invalid, Code: "field_too_long", Field: field, Message: field + " is too long"}
}

func normalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// checkEmail asks for something on both sides of an @ and nothing invisible. Whether mail arrives
// there, only sending some would tell.
func checkEmail(email string) error {
	if utf8.RuneCountInString(email) > maxEmail {
		return tooLong("email")
	}
	at := strings.LastIndexByte(email, '@')
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	if at <= 0 || at == len(email)-1 || strings.ContainsFunc(email, odd) {
		return core.Errorf(core.Invalid, "invalid_email_format", "email must look like name@domain")
	}
	return nil
}

func checkPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword:
		return core.Errorf(core.Invalid, "password_too_short", "the password needs at least %d characters", minPassword)
	case n > maxPassword:
		return tooLong("password")
	}
	return nil
}
