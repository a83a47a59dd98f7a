package identity

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// SecretSize is the least size of the installation's secret, in bytes.
const SecretSize = 32

// Service answers who is calling. It is used from many goroutines. Run must run beside it.
type Service struct {
	store     core.Store
	log       *slog.Logger
	now       func() time.Time
	pepper    []byte // for the HMAC under which keys are stored
	users     signer
	sessions  signer
	work      signer
	passwords *passwords
	throttle  *throttle
	allowance *allowance
	requests  *requests
	used      *lastUsed
}

// Options are what an operator or a test may change. The zero value is right for production.
type Options struct {
	Log    *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
	Limits Limits           // zero fields take the defaults of Limits
}

// New makes the service. The secret is the installation's own: at least SecretSize random bytes, the
// same on every node and after every restart; with another one all keys and tokens stop working.
// New panics if it is shorter, because nothing safe could be made of it.
func New(store core.Store, secret []byte, opts Options) *Service {
	if len(secret) < SecretSize {
		panic(fmt.Sprintf("identity: the secret has %d bytes, it needs %d", len(secret), SecretSize))
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Service{
		store:     store,
		log:       opts.Log,
		now:       opts.Now,
		pepper:    derive(secret, "reeve/1 key pepper"),
		users:     newSigner(derive(secret, "reeve/1 user token"), kindUser, opts.Now),
		sessions:  newSigner(derive(secret, "reeve/1 agent session token"), kindSession, opts.Now),
		work:      newSigner(derive(secret, "reeve/1 work token"), kindWork, opts.Now),
		passwords: newPasswords(),
		throttle:  newThrottle(opts.Limits, opts.Now),
		allowance: newAllowance(opts.Limits, opts.Now),
		requests:  newRequests(opts.Limits, opts.Now),
		used:      &lastUsed{at: map[core.CredentialID]time.Time{}},
	}
}

// derive makes an independent key for one purpose (RFC 5869), so that a token of one kind could not
// be valid as another even if no claim were checked. A label must never change.
func derive(secret []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, label, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("identity: derive %s: %v", label, err)) // only for lengths that RFC 5869 forbids
	}
	return key
}

// clock is the present as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// flushEvery is how long a use of a key may stay unwritten; the time itself is kept to the minute.
const flushEvery = time.Minute

// Run writes the last use of keys to the store in batches, until ctx ends, and once more then. It
// returns nil.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := s.used.flush(last, s.store); err != nil {
				s.log.Error("last use of keys was not saved", "err", err)
			}
			return nil
		}
		if err := s.used.flush(ctx, s.store); err != nil && ctx.Err() == nil {
			s.log.Error("last use of keys was not saved, it will be tried again", "err", err)
		}
	}
}
