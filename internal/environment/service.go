package environment

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/egress/proxy"
	"github.com/reeve-ai/reeve/internal/turnstile"
)

// Variable is a secret of the session's vaults. It writes itself without its value.
type Variable struct {
	Vault  core.VaultID
	Secret core.SecretID
	Name   string           // of the environment variable
	Value  string           `json:"-"`
	Terms  core.SecretTerms // Reaches, InHeader, InBody
}

func (v Variable) String() string { return "variable " + v.Name + " of secret " + string(v.Secret) }

// GoString leaves the value out, too.
func (v Variable) GoString() string { return v.String() }

// LogValue leaves the value out of logs.
func (v Variable) LogValue() slog.Value { return slog.StringValue(v.String()) }

// Sandboxes gives a session its one living sandbox.
type Sandboxes interface {
	Sandbox(ctx context.Context, spec core.SandboxSpec) (core.Sandbox, error)
	Close(session core.SessionID) error
}

// DefaultSetUpTime is how long packages may take, and the setup script (qoder.md section 3.6).
const DefaultSetUpTime = 10 * time.Minute

// Options are what a Service needs.
type Options struct {
	Root string // a folder that is its own
	// Network is whether the operator lets sandboxes have any.
	Network bool
	// Namespaces is whether sandboxes have network namespaces. Without, there are no gateways: an unrestricted
	// environment shares the machine's network, a limited one has none, and no placeholder is replaced.
	Namespaces   bool
	PackageHosts []string // that environments with AllowPackageManagers reach: names, or *. and a name
	Egress       egress.Options
	Installation []byte // the installation's secret, from which placeholders are derived
	// Secrets lists what the vaults hold now, of two with one name the first alone; nil: there are no vaults.
	Secrets   func(ctx context.Context, project core.ProjectID, vaults []core.VaultID) ([]Variable, error)
	Sandboxes Sandboxes
	SetUpTime time.Duration // 0: DefaultSetUpTime
	Fresh     time.Duration // how long Secrets is believed; 0: proxy.DefaultFresh
	Now       func() time.Time
	Log       *slog.Logger
}

// Service implements core.Environments.
type Service struct {
	opts      Options
	authority *proxy.Authority
	key       []byte                      // of placeholders
	busy      turnstile.Turnstile[string] // what somebody sets up now, by key

	mu       sync.Mutex
	live     map[core.SessionID]*proxy.Gateway // those that serve now
	failures map[string]failure                // by the same keys
}

var _ core.Environments = (*Service)(nil)

// placeholderLabel is under which the key of placeholders is derived.
const placeholderLabel = "reeve/1 sandbox placeholder"

// New makes the service and, for this life of the server, the certificates that sandboxes believe.
func New(o Options) (*Service, error) {
	if o.SetUpTime <= 0 {
		o.SetUpTime = DefaultSetUpTime
	}
	key, err := hkdf.Key(sha256.New, o.Installation, nil, placeholderLabel, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of placeholders: %w", err)
	}
	s := &Service{opts: o, key: key, live: map[core.SessionID]*proxy.Gateway{}, failures: map[string]failure{}}
	if s.authority, err = proxy.NewAuthority(o.Now); err != nil {
		return nil, err
	}
	return s, s.writeTrust()
}

// Ready implements core.Environments.
func (s *Service) Ready(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec) (core.Readied, error) {
	variables, err := s.variables(ctx, sess)
	if err != nil {
		return core.Readied{}, err
	}
	policy := s.policy(sess, recipe)
	out := core.Readied{Unreachable: s.unreachable(variables, policy)}
	spec.Env = maps.Clone(spec.Env)
	if spec.Env == nil {
		spec.Env = map[string]string{}
	}
	for _, v := range variables {
		spec.Env[v.Name] = s.placeholder(sess.ID, v.Secret)
	}
	spec = s.connect(sess, recipe, policy, spec)
	out.Spec, err = s.setUp(ctx, sess, recipe, spec)
	return out, err
}

// placeholder is what a sandbox sees in place of a secret: the same for as long as the session lives, and not
// to be guessed by another one.
func (s *Service) placeholder(session core.SessionID, secret core.SecretID) string {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte(string(session) + "\x00" + string(secret)))
	return "reevesecret" + hex.EncodeToString(mac.Sum(nil)[:20])
}

// variables lists the session's secrets, but for those that would take the place of what is ours.
func (s *Service) variables(ctx context.Context, sess core.Session) ([]Variable, error) {
	if s.opts.Secrets == nil || len(sess.VaultIDs) == 0 {
		return nil, nil
	}
	vaults := make([]core.VaultID, len(sess.VaultIDs))
	for i, id := range sess.VaultIDs {
		vaults[i] = core.VaultID(id)
	}
	list, err := s.opts.Secrets(ctx, sess.Project, vaults)
	if err != nil {
		return nil, fmt.Errorf("look the secrets of session %s up: %w", sess.ID, err)
	}
	kept := make([]Variable, 0, len(list))
	for _, v := range list {
		if reserved[v.Name] {
			s.opts.Log.Warn("a secret has the name of a variable that sandboxes need, and is left out", "session", sess.ID, "secret", v.Secret, "name", v.Name)
			continue
		}
		kept = append(kept, v)
	}
	return kept, nil
}

// Forget removes what is kept of a session that was deleted.
func (s *Service) Forget(session core.SessionID) error {
	s.mu.Lock()
	delete(s.failures, sessionKey(session))
	s.mu.Unlock()
	return os.RemoveAll(s.sessionFolder(session))
}

func (s *Service) sessionFolder(session core.SessionID) string {
	return filepath.Join(s.opts.Root, "sessions", string(session))
}

// Watch implements core.Environments.
func (s *Service) Watch(session core.SessionID, sb core.Sandbox) core.Sandbox {
	return watched{sb, s, session}
}

// watched tells commands which hosts were refused to them: many programs only say that something failed.
type watched struct {
	core.Sandbox
	service *Service
	session core.SessionID
}

func (w watched) Bash(ctx context.Context, cmd core.BashCommand) (core.BashResult, error) {
	res, err := w.Sandbox.Bash(ctx, cmd)
	if err != nil {
		return res, err
	}
	w.service.mu.Lock()
	g := w.service.live[w.session]
	w.service.mu.Unlock()
	if g == nil {
		return res, nil
	}
	for _, why := range g.Refusals() {
		if res.Output != "" && res.Output[len(res.Output)-1] != '\n' {
			res.Output += "\n"
		}
		res.Output += "[network: " + why + "]\n"
	}
	return res, nil
}

// patience is how long a failure is the answer before the same thing is tried again.
const patience = time.Minute

// failure is why something could not be set up.
type failure struct {
	err   *core.Error
	until time.Time
}

// failed returns a failure of a moment ago, or nil.
func (s *Service) failed(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.failures[key]
	switch {
	case !ok:
		return nil
	case s.opts.Now().After(f.until):
		delete(s.failures, key)
		return nil
	}
	return f.err
}

// remember keeps an error for those who come soon, if it is one of the recipe and not of the moment.
func (s *Service) remember(key string, err error) error {
	var e *core.Error
	if errors.As(err, &e) && e.Code == notReady {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failures[key] = failure{e, s.opts.Now().Add(patience)}
	}
	return err
}
