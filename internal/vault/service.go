package vault

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/reeve-ai/reeve/internal/core"
)

// secretSize is the least size of the installation's secret, in bytes.
const secretSize = 32

// Service holds the rules of vaults. It is used from many goroutines.
type Service struct {
	store   core.Store
	log     *slog.Logger
	now     func() time.Time
	ring    *ring
	http    *http.Client
	flights singleflight.Group // refreshes that run on this node now
	running sync.WaitGroup     // the same, for Close
	failed  func(context.Context, core.ProjectID, core.VaultID, core.SecretID) error
}

// Options are what an operator or a test may change. The zero value is right for production.
type Options struct {
	Log *slog.Logger     // nil: slog.Default()
	Now func() time.Time // nil: the system clock
	// RefreshFailed is told of each access token that a token endpoint gave no new one for; nil: nobody.
	RefreshFailed func(context.Context, core.ProjectID, core.VaultID, core.SecretID) error
}

// New makes the service. The secret is the installation's own: at least 32 random bytes, the same on every
// node and after every restart; with another one no stored secret opens. New panics if it is shorter, because
// nothing safe could be made of it. way is how token endpoints and MCP servers are reached: it must refuse
// addresses that are not public.
func New(store core.Store, secret []byte, way http.RoundTripper, o Options) *Service {
	if len(secret) < secretSize {
		panic(fmt.Sprintf("vault: the secret has %d bytes, it needs %d", len(secret), secretSize))
	}
	ring, err := newRing(secret)
	if err != nil {
		panic(fmt.Sprintf("vault: %v", err)) // only for lengths that HKDF and AES forbid
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{
		store: store, log: o.Log, now: o.Now, ring: ring, failed: o.RefreshFailed,
		http: &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a token is sent where it belongs, not where a server points
		}},
	}
}

// Close waits for refreshes that run: a new refresh token that is not stored is lost. It takes at most some
// seconds, and is called before the store is closed.
func (s *Service) Close() { s.running.Wait() }

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Check judges the vaults that a new session or deployment names, in the transaction that makes it.
//
// Errors: Invalid, naming vault_ids[i], for a vault that is not there or archived, and for more than
// MaxVaults.
func (s *Service) Check(ctx context.Context, tx core.Store, project core.ProjectID, vaults []core.VaultID) error {
	if n := len(vaults); n > MaxVaults {
		return core.InvalidField("vault_ids", "has %d entries; at most %d are allowed", n, MaxVaults)
	}
	for i, id := range vaults {
		v, err := tx.Vault(ctx, project, id)
		switch field := fmt.Sprintf("vault_ids[%d]", i); {
		case core.KindOf(err) == core.NotFound:
			return unusable("vault_not_found", field, "there is no such vault")
		case err != nil:
			return err
		case !v.ArchivedAt.IsZero():
			return unusable("vault_archived", field, "this vault is archived")
		}
	}
	return nil
}

// unusable is an Invalid error about a vault that is named elsewhere. Its code says what is the matter.
func unusable(code, field, message string) *core.Error {
	e := core.InvalidField(field, "%s", message)
	e.Code = code
	return e
}
