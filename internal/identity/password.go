package identity

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/reeve-ai/reeve/internal/core"
)

// hashCost is the least that OWASP's password storage cheat sheet asks of argon2id. One hash took
// 32 ms on one core of the machine that this was built on, and 19 MiB.
var hashCost = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// nobody is a hash that no password matches: it is checked when the email is unknown, so that the
// time of the answer does not tell (reference otas.md, section 8, S12). Same cost as hashCost.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// hashWait is how long a request waits for its turn to hash.
const hashWait = 5 * time.Second

// passwords hashes and checks, at most one at a time on each core: more would only take the
// machine's memory and every other request's time.
type passwords struct {
	turns chan struct{} // one entry for each hash under way; when full, callers wait
}

func newPasswords() *passwords {
	return &passwords{turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// take waits for a turn. Errors: Unavailable ("busy"), or the end of ctx.
func (p *passwords) take(ctx context.Context) error {
	patience := time.NewTimer(hashWait)
	defer patience.Stop()
	select {
	case p.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	case <-patience.C:
		return &core.Error{Kind: core.Unavailable, Code: "busy", Message: "too many people are signing in at the moment", RetryAfter: time.Second}
	}
}

// hash returns the encoded hash, with its cost and salt.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.take(ctx); err != nil {
		return "", err
	}
	defer func() { <-p.turns }()
	h, err := argon2id.CreateHash(password, hashCost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return h, nil
}

// check reports whether the password made the hash.
func (p *passwords) check(ctx context.Context, password, hash string) (bool, error) {
	if err := p.take(ctx); err != nil {
		return false, err
	}
	defer func() { <-p.turns }()
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	return ok, nil
}
