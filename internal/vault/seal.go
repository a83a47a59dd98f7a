package vault

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/reeve-ai/reeve/internal/core"
)

// Plain is what a secret keeps secret. It writes itself, to logs and texts, without it.
type Plain struct {
	Token        string `json:"token,omitempty"`         // the bearer or access token, or the variable's value
	RefreshToken string `json:"refresh_token,omitempty"` // of a SecretOAuth with RefreshTerms
	ClientSecret string `json:"client_secret,omitempty"` // unless the token endpoint wants none
}

const redacted = "[redacted]"

func (Plain) String() string { return redacted }

// GoString is as String.
func (Plain) GoString() string { return redacted }

// LogValue keeps secrets out of logs.
func (Plain) LogValue() slog.Value { return slog.StringValue(redacted) }

// values lists what is set.
func (p Plain) values() []string {
	var list []string
	for _, v := range []string{p.Token, p.RefreshToken, p.ClientSecret} {
		if v != "" {
			list = append(list, v)
		}
	}
	return list
}

// Labels under which keys are derived. They must never change, or what is stored does not open.
const (
	sealLabel  = "reeve/1 vault"
	keyIDLabel = "reeve/1 vault key id"
)

// keySize makes it AES-256.
const keySize = 32

// ring seals and opens secrets: AES-256-GCM, a random nonce before the sealed text and the tag behind it
// (RFC 5116, section 5.2). Every node derives the same key from the
// installation's secret. With one key 2^32 seals are safe (NIST SP 800-38D, section 8.3).
type ring struct {
	current string // the id of the key that seals
	keys    map[string]tink.AEAD
}

func newRing(secret []byte) (*ring, error) {
	key, err := derive(secret, sealLabel, keySize)
	if err != nil {
		return nil, err
	}
	id, err := derive(secret, keyIDLabel, 8)
	if err != nil {
		return nil, err
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("make the vaults' cipher: %w", err)
	}
	r := &ring{current: hex.EncodeToString(id), keys: map[string]tink.AEAD{}}
	r.keys[r.current] = aead
	return r, nil
}

// derive makes an independent key for one purpose (RFC 5869).
func derive(secret []byte, label string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, label, size)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	return key, nil
}

// seal fills SealKey and Sealed.
func (r *ring) seal(s *core.Secret, p Plain) error {
	text, err := json.Marshal(p)
	if err != nil {
		return errors.New("encode a secret") // the cause could quote it
	}
	sealed, err := r.keys[r.current].Encrypt(text, place(*s))
	if err != nil {
		return fmt.Errorf("seal secret %s: %w", s.ID, err)
	}
	s.SealKey, s.Sealed = r.current, sealed
	return nil
}

// open undoes seal. Errors: Internal, without a word of the secret.
func (r *ring) open(s core.Secret) (Plain, error) {
	key, known := r.keys[s.SealKey]
	if !known {
		return Plain{}, fmt.Errorf("secret %s was sealed with the key %q, which this installation does not have", s.ID, s.SealKey)
	}
	text, err := key.Decrypt(s.Sealed, place(s))
	if err != nil {
		return Plain{}, fmt.Errorf("secret %s does not open: its row was changed or copied", s.ID)
	}
	var p Plain
	if json.Unmarshal(text, &p) != nil {
		return Plain{}, fmt.Errorf("secret %s holds no JSON", s.ID)
	}
	return p, nil
}

// place is the associated data: a row that is copied to another project, vault or secret does not open there.
func place(s core.Secret) []byte {
	return []byte(sealLabel + "\x00" + string(s.Project) + "\x00" + string(s.Vault) + "\x00" + string(s.ID))
}
