package identity

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestKeysHaveTheShapeOfTheReference(t *testing.T) {
	t.Parallel()
	s := New(nil, testSecret, Options{})
	for label, want := range map[string]int{agentLabel: 61, sdkLabel: 60, accessLabel: 61, managedLabel: 64, everrunsLabel: 63, qoderLabel: 58} {
		plain, c := s.newKey(label, core.NewID[core.ProjectID](), 0)
		if len(plain) != want {
			t.Errorf("%s… has %d characters, want %d", label, len(plain), want)
		}
		lookup, kind, ok := parseKey(plain)
		if !ok || lookup != c.Prefix || kind != c.Kind || len(lookup) != 11 {
			t.Errorf("parseKey(%q) = %q, %q, %v; the credential has %q, %q", plain, lookup, kind, ok, c.Prefix, c.Kind)
		}
		if len(c.Hash) != 32 || strings.Contains(string(c.Hash), plain[len(plain)-secretSize:]) {
			t.Errorf("%s… is stored as %x", label, c.Hash)
		}
	}
}

// C1: of the original's agent keys one in seven never worked, because its parts held separators.
func TestKeysHoldNoSeparators(t *testing.T) {
	t.Parallel()
	counts := map[byte]int{}
	text := randomText(200_000)
	for i := range len(text) {
		counts[text[i]]++
	}
	if len(text) != 200_000 || len(counts) != 62 || !alphanumeric(text) {
		t.Fatalf("%d characters of %d sorts", len(text), len(counts))
	}
	mean := len(text) / 62
	for c, n := range counts { // without rejection eight letters would come a quarter more often
		if n < mean*88/100 || n > mean*112/100 {
			t.Errorf("%q came %d times, the mean is %d", c, n, mean)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	const lookup, secret = "hT3vK8sWq1Z", "0123456789012345678901234567890123456789abc"
	for name, raw := range map[string]string{
		"nothing":                    "",
		"no label":                   lookup + "_" + secret,
		"unknown label":              "key_" + lookup + "_" + secret,
		"label with another end":     "agent-" + lookup + "_" + secret,
		"upper case label":           "AGENT_" + lookup + "_" + secret,
		"hyphen before the secret":   "agent_" + lookup + "-" + secret,
		"short secret":               "agent_" + lookup + "_" + secret[1:],
		"long secret":                "agent_" + lookup + "_" + secret + "x",
		"separator in the lookup":    "agent_hT3v_8sWq1Z_" + secret,
		"separator in the secret":    "agent_" + lookup + "_" + "_" + secret[1:],
		"space in the secret":        "agent_" + lookup + "_" + " " + secret[1:],
		"line end":                   "agent_" + lookup + "_" + secret + "\n",
		"only the part behind label": "_" + secret,
	} {
		if got, kind, ok := parseKey(raw); ok {
			t.Errorf("%s: parseKey(%q) = %q, %q", name, raw, got, kind)
		}
	}
	if !IsAccessToken("pt-"+lookup+"_"+secret) || IsAccessToken("agent_"+lookup+"_"+secret) {
		t.Error("IsAccessToken does not tell an access token from an agent key")
	}
}

func TestNewRefusesAShortSecret(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("New took a secret of 31 bytes")
		}
	}()
	New(nil, testSecret[1:], Options{})
}
