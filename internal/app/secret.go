package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile holds the installation's key: 32 random bytes as hex. The peppers of stored keys and the
// keys of tokens are derived from it, so whoever loses it loses every key and session.
const secretFile = "secret.key"

// loadSecret reads the key file of a data folder, and makes it at the first start. Two processes that
// start at one time agree, because the file appears under its name only when it is whole.
func loadSecret(folder string) ([]byte, error) {
	path := filepath.Join(folder, secretFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(folder, path); err != nil {
			return nil, err
		}
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold 64 hex digits: restore it from a backup (a new one would make every key useless)", path)
	}
	return key, nil
}

func makeSecret(folder, path string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand aborts the program instead
	tmp, err := os.CreateTemp(folder, secretFile+".*")
	if err != nil {
		return fmt.Errorf("make the secret key: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Chmod(0o600), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("make the secret key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the secret key: %w", err)
	}
	return nil
}
