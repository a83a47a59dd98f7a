package webhook

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/reeve-ai/reeve/internal/core"
)

// Secret signs messages: whsec_ and the base64 of 32 bytes. It writes itself, to logs and texts, without them.
type Secret string

const (
	secretLabel = "whsec_"
	secretSize  = 32
	redacted    = "[redacted]"
)

func newSecret() Secret {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails: crypto/rand aborts the program instead
	return Secret(secretLabel + base64.StdEncoding.EncodeToString(raw))
}

// Reveal returns the secret itself, to be shown once.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string { return redacted }

// GoString is as String.
func (s Secret) GoString() string { return redacted }

// LogValue keeps secrets out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// pair is what is sealed: the present secret, and the one before it, if there was one.
type pair struct {
	Now Secret `json:"now"`
	Old Secret `json:"old,omitempty"`
}

// Labels under which keys are derived. They must never change, or what is stored does not open.
const (
	sealLabel  = "reeve/1 webhook"
	keyIDLabel = "reeve/1 webhook key id"
)

// ring seals and opens secrets: AES-256-GCM, a random nonce before the sealed text and the tag behind it
// (RFC 5116, section 5.2). Every node derives the same key from the installation's secret.
type ring struct {
	id   string
	aead tink.AEAD
}

func newRing(secret []byte) (*ring, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, sealLabel, 32) // RFC 5869
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", sealLabel, err)
	}
	id, err := hkdf.Key(sha256.New, secret, nil, keyIDLabel, 8)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", keyIDLabel, err)
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("make the webhooks' cipher: %w", err)
	}
	return &ring{id: hex.EncodeToString(id), aead: aead}, nil
}

// seal fills SealKey and Sealed.
func (r *ring) seal(w *core.Webhook, p pair) error {
	text, err := json.Marshal(p)
	if err != nil {
		return errors.New("encode a webhook's secret") // the cause could quote it
	}
	sealed, err := r.aead.Encrypt(text, place(*w))
	if err != nil {
		return fmt.Errorf("seal the secret of webhook %s: %w", w.ID, err)
	}
	w.SealKey, w.Sealed = r.id, sealed
	return nil
}

// open undoes seal. Errors: Internal, without a word of the secret.
func (r *ring) open(w core.Webhook) (pair, error) {
	if w.SealKey != r.id {
		return pair{}, fmt.Errorf("the secret of webhook %s was sealed with the key %q, which this installation does not have", w.ID, w.SealKey)
	}
	text, err := r.aead.Decrypt(w.Sealed, place(w))
	if err != nil {
		return pair{}, fmt.Errorf("the secret of webhook %s does not open: its row was changed or copied", w.ID)
	}
	var p pair
	if json.Unmarshal(text, &p) != nil {
		return pair{}, fmt.Errorf("the secret of webhook %s holds no JSON", w.ID)
	}
	return p, nil
}

// place is the associated data: a row that is copied to another project or webhook does not open there.
func place(w core.Webhook) []byte {
	return []byte(sealLabel + "\x00" + string(w.Project) + "\x00" + string(w.ID))
}

// signing lists the secrets that sign at a time, the present one first.
func (r *ring) signing(w core.Webhook, now time.Time) ([]Secret, error) {
	p, err := r.open(w)
	if err != nil {
		return nil, err
	}
	list := []Secret{p.Now}
	if p.Old != "" && now.Before(w.OldUntil) {
		list = append(list, p.Old)
	}
	return list, nil
}
