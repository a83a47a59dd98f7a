package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/reeve-ai/reeve/internal/core"
)

// tokenLifetime is that of user and agent session tokens (reference otas.md, 1.9).
const tokenLifetime = 30 * 24 * time.Hour

const (
	issuer      = "reeve"
	kindUser    = "user"
	kindSession = "agent_session"
	kindWork    = "work"

	// skew is how far the clocks of two nodes may differ: a token issued on one is used on the other
	// at once.
	skew = 30 * time.Second
)

// signer makes and checks the tokens of one kind: HS256 and nothing else (reference otas.md, section
// 8, S1 and S3), with a key, an audience and a kind of its own.
type signer struct {
	key    []byte
	kind   string
	parser *jwt.Parser
}

func newSigner(key []byte, kind string, now func() time.Time) signer {
	return signer{key: key, kind: kind, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(issuer+"/"+kind),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(skew),
		jwt.WithTimeFunc(now),
		jwt.WithStrictDecoding(),
	)}
}

// common are the claims of all kinds. exp and iat are whole seconds.
type common struct {
	jwt.RegisteredClaims
	Kind string `json:"kind"`
}

func (c common) tokenKind() string { return c.Kind }

func (s signer) claims(now time.Time) common { return s.claimsFor(now, tokenLifetime) }

func (s signer) claimsFor(now time.Time, lifetime time.Duration) common {
	return common{Kind: s.kind, RegisteredClaims: jwt.RegisteredClaims{
		Issuer:    issuer,
		Audience:  jwt.ClaimStrings{issuer + "/" + s.kind},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
	}}
}

func (s signer) sign(claims jwt.Claims) (string, error) {
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign %s token: %w", s.kind, err)
	}
	return raw, nil
}

// read fills claims, a pointer, from raw and reports whether raw is a token of this kind that holds
// now.
func (s signer) read(raw string, claims interface {
	jwt.Claims
	tokenKind() string
},
) bool {
	if len(raw) > maxCredentialSize {
		return false
	}
	_, err := s.parser.ParseWithClaims(raw, claims, func(*jwt.Token) (any, error) { return s.key, nil })
	return err == nil && claims.tokenKind() == s.kind
}

// userClaims: user_id and email as the reference 1.9 has them. iat_us is the exact time of issue in
// microseconds: with whole seconds, a token from the second of a logout could not be told from the
// next one.
type userClaims struct {
	common
	UserID   string `json:"user_id"`
	Email    string `json:"email"`
	IssuedUS int64  `json:"iat_us"`
}

func (s *Service) userToken(u core.User) (string, error) {
	now := s.clock()
	issued := now
	if issued.Before(u.TokensAfter) { // the clock went back since the last logout
		issued = u.TokensAfter
	}
	return s.users.sign(userClaims{
		common:   s.users.claims(now),
		UserID:   core.FormatUUID(u.ID),
		Email:    u.Email,
		IssuedUS: issued.UnixMicro(),
	})
}

// User returns whose user token this is. The principal belongs to no project yet; see Member. Its IssuedAt
// is that of the token.
//
// Errors: Unauthenticated ("invalid_token").
func (s *Service) User(ctx context.Context, token string) (core.User, core.Principal, error) {
	none := core.Errorf(core.Unauthenticated, "invalid_token", "the user token is not valid")
	var c userClaims
	if !s.users.read(token, &c) {
		return core.User{}, core.Principal{}, none
	}
	id, ok := core.ParseID[core.UserID](c.UserID)
	if !ok {
		return core.User{}, core.Principal{}, none
	}
	u, err := s.store.User(ctx, id)
	if core.KindOf(err) == core.NotFound {
		return core.User{}, core.Principal{}, none
	}
	if err != nil {
		return core.User{}, core.Principal{}, fmt.Errorf("read user: %w", err)
	}
	if time.UnixMicro(c.IssuedUS).Before(u.TokensAfter) {
		return core.User{}, core.Principal{}, none
	}
	return u, core.Principal{Kind: core.PrincipalUser, User: id, IssuedAt: time.UnixMicro(c.IssuedUS).UTC()}, nil
}

// sessionClaims: the reference 1.9, and the project, under which the session is found again.
type sessionClaims struct {
	common
	Session string `json:"agent_session_id"`
	Agent   string `json:"agent_id"`
	Project string `json:"project_id"`
}

// SessionToken makes the token under which an agent reports into a session, valid for 30 days from
// now.
func (s *Service) SessionToken(sess core.Session, now time.Time) (string, error) {
	return s.sessions.sign(sessionClaims{
		common:  s.sessions.claims(now),
		Session: core.FormatUUID(sess.ID),
		Agent:   core.FormatUUID(sess.Agent),
		Project: core.FormatUUID(sess.Project),
	})
}

// sessionTo is what a session token says, read.
type sessionTo struct {
	project core.ProjectID
	agent   core.AgentID
	session core.SessionID
}

func (c sessionTo) account() account { return account{c.project, c.agent} }

func errSessionToken() error {
	return core.Errorf(core.Unauthenticated, "invalid_session_token", "the agent session token is not valid")
}

// sessionClaims reads a session token and reports whether it is one of ours and its time is not over.
// Whether its session goes on is another question.
func (s *Service) sessionClaims(raw string) (sessionTo, bool) {
	var c sessionClaims
	if !s.sessions.read(raw, &c) {
		return sessionTo{}, false
	}
	session, ok1 := core.ParseID[core.SessionID](c.Session)
	agent, ok2 := core.ParseID[core.AgentID](c.Agent)
	project, ok3 := core.ParseID[core.ProjectID](c.Project)
	if !ok1 || !ok2 || !ok3 {
		return sessionTo{}, false
	}
	return sessionTo{project, agent, session}, true
}

// Session returns who reports into which session. The token ends with its session, archived or deleted,
// and with its key, if that was revoked for itself; it does not work while its agent or project is
// switched off (reference otas.md, section 8, S4). That its key was replaced, or has expired, does not
// matter (3.15). The principal has no role. It costs one read.
//
// Errors: Unauthenticated ("invalid_session_token").
func (s *Service) Session(ctx context.Context, raw string) (core.Principal, core.SessionID, error) {
	c, ok := s.sessionClaims(raw)
	if !ok {
		return core.Principal{}, "", errSessionToken()
	}
	st, err := s.store.SessionState(ctx, c.project, c.session)
	if err != nil && core.KindOf(err) != core.NotFound {
		return core.Principal{}, "", fmt.Errorf("read session: %w", err)
	}
	if err != nil || st.Agent != c.agent || !st.Open || !st.AgentActive || !st.ProjectActive {
		return core.Principal{}, "", errSessionToken()
	}
	by := core.Principal{Kind: core.PrincipalAgentSession, Project: c.project, Credential: st.AgentKey, Agent: c.agent}
	return by, c.session, nil
}
