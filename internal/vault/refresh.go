package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	exchangeTime = 10 * time.Second             // for a token endpoint's whole answer
	refreshTime  = exchangeTime + 5*time.Second // and to store what came
	flightTime   = refreshTime + exchangeTime   // first another node's lease may have to run out
	refreshWait  = 100 * time.Millisecond       // between two looks at a refresh that another node makes
	maxLife      = 10 * 365 * 24 * time.Hour    // of an access token; what says more is taken for this
)

// RefreshStatus is how a refresh ended (claude-managed-agents.md section 3.7).
type RefreshStatus string

const (
	RefreshSucceeded RefreshStatus = "succeeded"
	RefreshFailed    RefreshStatus = "failed"        // the token endpoint answered, but with no token
	RefreshNoAnswer  RefreshStatus = "connect_error" // it could not be reached
	RefreshNoToken   RefreshStatus = "no_refresh_token"
)

// Refresh is what came of a refresh.
type Refresh struct {
	Status   RefreshStatus
	Response *Response // only with RefreshFailed
}

// reference names a secret.
type reference struct {
	project core.ProjectID
	vault   core.VaultID
	id      core.SecretID
}

// refreshed is what a flight brings home.
type refreshed struct {
	Refresh
	plain Plain // as it is now, whatever came of the refresh
}

// refresh gets a new access token in place of stale, unless the secret has another one already. Calls at the
// same time for the same token share one exchange, on this node by the flight and among nodes by the lease
// in the row: token endpoints that rotate refresh tokens take a second use for theft, and revoke everything
// (RFC 9700, section 2.2.2). Once begun it runs to its end, whoever leaves: a rotated token that is not
// stored is lost.
func (s *Service) refresh(ctx context.Context, ref reference, stale string) (refreshed, error) {
	s.running.Add(1)
	landed := s.flights.DoChan(string(ref.project)+string(ref.vault)+string(ref.id)+stale, func() (any, error) {
		flight, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
		defer cancel()
		return s.fly(flight, ref, stale)
	})
	results := make(chan singleflight.Result, 1) // holds the one result, so that the goroutine never waits
	go func() {
		defer s.running.Done()
		results <- <-landed
	}()
	select {
	case r := <-results:
		if r.Err != nil {
			return refreshed{}, r.Err
		}
		return r.Val.(refreshed), nil
	case <-ctx.Done():
		return refreshed{}, ctx.Err()
	}
}

// fly waits for the lease, and then refreshes what still has the stale token.
func (s *Service) fly(ctx context.Context, ref reference, stale string) (refreshed, error) {
	for {
		secret, plain, err := s.load(ctx, ref)
		if err != nil {
			return refreshed{}, err
		}
		switch {
		case secret.Terms.Refresh == nil:
			return refreshed{Refresh{Status: RefreshNoToken}, plain}, nil
		case plain.Token != stale: // done since
			return refreshed{Refresh{Status: RefreshSucceeded}, plain}, nil
		}
		now := s.clock()
		until := now.Add(refreshTime)
		mine, err := s.store.LeaseRefresh(ctx, ref.project, ref.vault, ref.id, now, until)
		if err != nil {
			return refreshed{}, fmt.Errorf("lease the refresh of secret %s: %w", ref.id, err)
		}
		if mine {
			return s.leased(ctx, ref, stale, until)
		}
		select {
		case <-time.After(refreshWait):
		case <-ctx.Done():
			return refreshed{Refresh{Status: RefreshNoAnswer}, plain}, nil
		}
	}
}

func (s *Service) load(ctx context.Context, ref reference) (core.Secret, Plain, error) {
	secret, err := s.store.Secret(ctx, ref.project, ref.vault, ref.id)
	if err != nil {
		return core.Secret{}, Plain{}, err
	}
	if !secret.ArchivedAt.IsZero() { // purged: as good as gone
		return core.Secret{}, Plain{}, core.NotFoundError("secret", string(ref.id))
	}
	plain, err := s.ring.open(secret)
	return secret, plain, err
}

// leased refreshes while this node alone may.
func (s *Service) leased(ctx context.Context, ref reference, stale string, until time.Time) (result refreshed, err error) {
	defer func() {
		if ended := s.store.EndRefresh(ctx, ref.project, ref.vault, ref.id, until); ended != nil {
			s.log.Error("the lease of a refresh was not given back, it runs out by itself", "secret", ref.id, "err", ended)
		}
	}()
	secret, plain, err := s.load(ctx, ref) // another node may have been quicker than the lease
	if err != nil {
		return refreshed{}, err
	}
	if plain.Token != stale {
		return refreshed{Refresh{Status: RefreshSucceeded}, plain}, nil
	}
	got, outcome := s.exchange(ctx, *secret.Terms.Refresh, plain)
	if outcome.Status != RefreshSucceeded {
		status := 0
		if outcome.Response != nil {
			status = outcome.Response.Status
		}
		s.log.Warn("an access token was not refreshed", "project", ref.project, "vault", ref.vault, "secret", ref.id, "outcome", outcome.Status, "http_status", status)
		if s.failed != nil {
			if err := s.failed(ctx, ref.project, ref.vault, ref.id); err != nil {
				s.log.Error("that a refresh failed was not told", "secret", ref.id, "err", err)
			}
		}
		return refreshed{outcome, plain}, nil
	}
	now, err := s.keep(ctx, ref, plain, got)
	return refreshed{outcome, now}, err
}

// keep stores what a token endpoint gave. What somebody changed by hand in the meantime stays as it was set.
func (s *Service) keep(ctx context.Context, ref reference, used Plain, got grant) (Plain, error) {
	var plain Plain
	err := s.store.Tx(ctx, func(tx core.Store) error {
		secret, err := tx.Secret(ctx, ref.project, ref.vault, ref.id)
		if err != nil {
			return err
		}
		if !secret.ArchivedAt.IsZero() {
			return core.NotFoundError("secret", string(ref.id))
		}
		if plain, err = s.ring.open(secret); err != nil {
			return err
		}
		if plain.RefreshToken == used.RefreshToken && got.refresh != "" {
			plain.RefreshToken = got.refresh
		}
		if plain.Token == used.Token {
			plain.Token, secret.ExpiresAt = got.access, got.expires
		}
		if err := s.ring.seal(&secret, plain); err != nil {
			return err
		}
		secret.UpdatedAt = s.clock()
		return tx.UpdateSecret(ctx, secret)
	})
	if err != nil {
		return Plain{}, fmt.Errorf("keep a refreshed token: %w", err)
	}
	return plain, nil
}

// grant is what a token endpoint gave.
type grant struct {
	access, refresh string    // refresh is empty if the old one stays
	expires         time.Time // zero: not said
}

// exchange asks a token endpoint for a new access token (RFC 6749, section 6).
func (s *Service) exchange(ctx context.Context, terms core.RefreshTerms, p Plain) (grant, Refresh) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.RefreshToken}}
	if terms.Scope != "" {
		form.Set("scope", terms.Scope)
	}
	if terms.Resource != "" {
		form.Set("resource", terms.Resource)
	}
	switch terms.Auth {
	case core.TokenAuthPost:
		form.Set("client_secret", p.ClientSecret)
		fallthrough
	case core.TokenAuthNone:
		form.Set("client_id", terms.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, terms.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, Refresh{Status: RefreshNoAnswer}
	}
	if terms.Auth == core.TokenAuthBasic { // both parts are form-encoded first (RFC 6749, section 2.3.1)
		req.SetBasicAuth(url.QueryEscape(terms.ClientID), url.QueryEscape(p.ClientSecret))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return grant{}, Refresh{Status: RefreshNoAnswer}
	}
	defer func() { _ = res.Body.Close() }()
	body, cut := readSome(res.Body)
	got, err := readGrant(body, s.clock())
	if res.StatusCode/100 == 2 && !cut && err == nil {
		return got, Refresh{Status: RefreshSucceeded}
	}
	return grant{}, Refresh{Status: RefreshFailed, Response: show(res, body, cut, append(p.values(), got.access, got.refresh))}
}

// readGrant reads a token endpoint's answer (RFC 6749, section 5.1).
func readGrant(body []byte, now time.Time) (grant, error) {
	var answer struct {
		Access  string      `json:"access_token"`
		Refresh string      `json:"refresh_token"`
		Expires json.Number `json:"expires_in"` // seconds; some send it as a string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return grant{}, errors.New("the answer is not the JSON of a token")
	}
	got := grant{access: answer.Access, refresh: answer.Refresh}
	if !isToken(got.access) || len(got.refresh) > maxToken {
		return got, errors.New("the answer holds no usable token")
	}
	if seconds, err := strconv.ParseFloat(string(answer.Expires), 64); err == nil && seconds > 0 {
		got.expires = now.Add(time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))).Truncate(time.Microsecond)
	}
	return got, nil
}
