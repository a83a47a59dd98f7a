package vault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/vault"
)

func TestTokensOpenOnlyWhereTheyWereSealed(t *testing.T) {
	t.Parallel()
	tokens, err := vault.NewTokens([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := vault.NewTokens([]byte(strings.Repeat("s", 32))) // another node
	if err != nil {
		t.Fatal(err)
	}
	other, err := vault.NewTokens([]byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := tokens.Seal("p", "session", "s", "ghp_secret")
	if err != nil || bytes.Contains(sealed, []byte("ghp_secret")) {
		t.Fatalf("Seal = %q, %v", sealed, err)
	}
	if got, err := again.Unseal("p", "session", "s", sealed); err != nil || got != "ghp_secret" {
		t.Errorf("Unseal = %q, %v", string(got), err)
	}
	for name, open := range map[string]func() (core.Clear, error){
		"project":      func() (core.Clear, error) { return tokens.Unseal("q", "session", "s", sealed) },
		"session":      func() (core.Clear, error) { return tokens.Unseal("p", "session", "t", sealed) },
		"owner":        func() (core.Clear, error) { return tokens.Unseal("p", "deployment", "s", sealed) },
		"installation": func() (core.Clear, error) { return other.Unseal("p", "session", "s", sealed) },
		"row":          func() (core.Clear, error) { return tokens.Unseal("p", "session", "s", sealed[:4]) },
	} {
		if got, err := open(); err == nil || got != "" || strings.Contains(err.Error(), "ghp_secret") {
			t.Errorf("of another %s: %q, %v", name, string(got), err)
		}
	}
}

func TestClearTextWritesItselfWithoutTheToken(t *testing.T) {
	t.Parallel()
	r := core.Resource{ID: "r", Type: core.ResourceRepository, Clear: "ghp_secret"}
	row, err := json.Marshal(map[string]any{"a": r, "b": r.Clear})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", r, r, r, r.Clear, r.Clear), string(row), r.Clear.LogValue().String()} {
		if strings.Contains(text, "ghp_secret") {
			t.Errorf("the token is in %s", text)
		}
	}
}
