package vault

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/reeve-ai/reeve/internal/core"
)

// tokenLabel must never change, or what is stored does not open.
const tokenLabel = "reeve/1 repository tokens"

// Tokens seals the tokens of repositories, as secrets are sealed: AES-256-GCM under a key of its own.
type Tokens struct{ aead tink.AEAD }

var _ core.Sealer = (*Tokens)(nil)

// NewTokens makes the sealer. secret is the installation's; all nodes have the same.
func NewTokens(secret []byte) (*Tokens, error) {
	key, err := derive(secret, tokenLabel, keySize)
	if err != nil {
		return nil, err
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("make the tokens' cipher: %w", err)
	}
	return &Tokens{aead}, nil
}

// Seal implements core.Sealer.
func (t *Tokens) Seal(project core.ProjectID, owner, id string, token core.Clear) ([]byte, error) {
	sealed, err := t.aead.Encrypt([]byte(token), tokenPlace(project, owner, id))
	if err != nil {
		return nil, fmt.Errorf("seal a token of %s %s: %w", owner, id, err)
	}
	return sealed, nil
}

// Unseal implements core.Sealer.
func (t *Tokens) Unseal(project core.ProjectID, owner, id string, sealed []byte) (core.Clear, error) {
	text, err := t.aead.Decrypt(sealed, tokenPlace(project, owner, id))
	if err != nil {
		return "", fmt.Errorf("a token of %s %s does not open: its row was changed or copied", owner, id)
	}
	return core.Clear(text), nil
}

// tokenPlace is the associated data: a token that is copied to another project or owner does not open there.
func tokenPlace(project core.ProjectID, owner, id string) []byte {
	return []byte(tokenLabel + "\x00" + string(project) + "\x00" + owner + "\x00" + id)
}
