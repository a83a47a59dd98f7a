package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// A key is a label, a lookup part, "_" and a secret:
//
//	agent_hT3vK8sWq1Z_<43 letters and digits>
//
// The lookup part finds the row in one indexed read; the secret holds 256 bits. Both are letters and
// digits only: the original drew them from an alphabet with "_" in it, and a seventh of its agent
// keys never worked (reference otas.md, section 8, C1).
const (
	lookupSize = 11
	secretSize = 43 // 43 × log2(62) = 256.03 bits
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Spelling is how an access token begins. It says nothing about what the token may do: each works on
// every face. Clients of some dialects recognize their own.
type Spelling string

const (
	SpellingAccess    Spelling = "access"   // reeve_…
	SpellingManaged   Spelling = "managed"  // sk-reeve_…
	SpellingEverruns  Spelling = "everruns" // evr_pat_…
	SpellingQoder     Spelling = "qoder"    // pt-…
	agentLabel                 = "agent_"   // reference otas.md, 1.7
	environmentLabel           = "sk-reeve-env_"
	sdkLabel                   = "otas_"     // the same
	accessLabel                = "reeve_"    //
	managedLabel               = "sk-reeve_" //
	everrunsLabel              = "evr_pat_"  //
	qoderLabel                 = "pt-"       //
	inviteLabel                = "invite_"   // no credential: it admits to a project, once
	maxCredentialSize          = 4096        // bytes of any key or token; ours are far shorter
)

// Spellings lists every Spelling, for help texts.
var Spellings = []Spelling{SpellingAccess, SpellingManaged, SpellingEverruns, SpellingQoder}

// label returns what the spelling puts before the lookup part; empty for an unknown one.
func (s Spelling) label() string {
	switch s {
	case SpellingAccess:
		return accessLabel
	case SpellingManaged:
		return managedLabel
	case SpellingEverruns:
		return everrunsLabel
	case SpellingQoder:
		return qoderLabel
	}
	return ""
}

// labels says what kind of credential a label stands for, so that a key of one kind is refused as
// another before anything is read.
var labels = map[string]core.CredentialKind{
	accessLabel:   core.CredentialAccess,
	managedLabel:  core.CredentialAccess,
	everrunsLabel: core.CredentialAccess,
	qoderLabel:    core.CredentialAccess,
	agentLabel:    core.CredentialAgent,
	sdkLabel:      core.CredentialSDK,

	environmentLabel: core.CredentialEnvironment,
}

// IsAccessToken reports whether raw is shaped like an access token. It does not say that it works.
func IsAccessToken(raw string) bool {
	_, kind, ok := parseKey(raw)
	return ok && kind == core.CredentialAccess
}

// parseKey reads a key and says what kind of credential its label stands for.
func parseKey(raw string) (lookup string, kind core.CredentialKind, ok bool) {
	label, lookup, ok := cutKey(raw)
	if !ok {
		return "", "", false
	}
	kind, ok = labels[label]
	return lookup, kind, ok
}

// cutKey reads a key from its end: the parts behind the label have fixed sizes, and labels may hold
// separators themselves.
func cutKey(raw string) (label, lookup string, ok bool) {
	cut := len(raw) - secretSize - 1 - lookupSize
	if cut <= 0 || raw[cut+lookupSize] != '_' {
		return "", "", false
	}
	label, lookup = raw[:cut], raw[cut:cut+lookupSize]
	return label, lookup, alphanumeric(lookup) && alphanumeric(raw[cut+lookupSize+1:])
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// randomText returns n letters and digits, each equally likely.
func randomText(n int) string {
	const fair = 256 - 256%len(alphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, n)
	for len(out) < n {
		var raw [64]byte
		_, _ = rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
		for _, b := range raw {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// newKey draws a key and the credential that will recognize it. The caller sets what is special to
// its kind. lifetime zero: it never expires.
func (s *Service) newKey(label string, project core.ProjectID, lifetime time.Duration) (string, core.Credential) {
	plain, lookup := drawKey(label)
	c := core.Credential{
		ID:        core.NewID[core.CredentialID](),
		Project:   project,
		Kind:      labels[label],
		Prefix:    lookup,
		Hash:      s.sum(plain),
		CreatedAt: s.clock(),
	}
	if lifetime > 0 {
		c.ExpiresAt = c.CreatedAt.Add(lifetime)
	}
	return plain, c
}

// drawKey draws a key and returns its lookup part as well.
func drawKey(label string) (plain, lookup string) {
	lookup = randomText(lookupSize)
	return label + lookup + "_" + randomText(secretSize), lookup
}

// sum is what is stored of a key. A fast keyed hash is enough for 256 random bits, and the pepper
// makes a stolen database useless for checking guesses.
func (s *Service) sum(plain string) []byte {
	mac := hmac.New(sha256.New, s.pepper)
	mac.Write([]byte(plain))
	return mac.Sum(nil)
}
