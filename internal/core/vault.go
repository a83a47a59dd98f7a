package core

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
)

// VaultID is an id as in id.go.
type VaultID string

// SecretID is an id as in id.go.
type SecretID string

// Vault is a named set of secrets that sessions may use.
type Vault struct {
	Project    ProjectID
	ID         VaultID
	Name       string            // 1–255 characters; not unique
	Metadata   map[string]string // never nil
	CreatedAt  time.Time
	UpdatedAt  time.Time
	ArchivedAt time.Time // zero: not archived. One way
}

// SecretKind says what a secret is and how it is used. A secret never changes its kind.
type SecretKind string

const (
	SecretBearer   SecretKind = "static_bearer"        // a token for one MCP server
	SecretOAuth    SecretKind = "mcp_oauth"            // an access token for one MCP server, that can be refreshed
	SecretVariable SecretKind = "environment_variable" // a value that takes the place of a placeholder at egress
)

// Secret is a credential kept in a vault. What must stay secret is in Sealed alone, and only internal/vault
// opens that.
type Secret struct {
	Project  ProjectID
	Vault    VaultID
	ID       SecretID
	Kind     SecretKind
	Target   string            // what it is for: NormalURL of the MCP server, or the variable's name. Unique among the vault's active secrets; never changes
	Name     *string           // 1–255 characters; nil: none
	Metadata map[string]string // never nil
	Terms    SecretTerms
	// ExpiresAt is when the access token of a SecretOAuth ends; zero: not known.
	ExpiresAt time.Time
	// RefreshUntil is until when a node holds the right to refresh the access token; zero: nobody does.
	RefreshUntil time.Time
	// SealKey names the key under which Sealed was made; empty when the secret was purged.
	SealKey    string
	Sealed     []byte // nil when the secret was purged
	CreatedAt  time.Time
	UpdatedAt  time.Time
	ArchivedAt time.Time // zero: active. One way, and it purges Sealed
}

// SecretTerms is what may be shown of a secret. It is stored as JSON under these names.
type SecretTerms struct {
	URL      string        `json:"url,omitempty"`      // of the MCP server, as the client spelled it
	Protocol string        `json:"protocol,omitempty"` // sse, streamable_http: only of secrets made with Qoder's older body
	Refresh  *RefreshTerms `json:"refresh,omitempty"`  // nil: the access token cannot be refreshed

	Limited  bool     `json:"limited,omitempty"`   // SecretVariable: only for Hosts; else for every host
	Hosts    []string `json:"hosts,omitempty"`     // ≤ 16: names, IPv4 addresses, or *. and a name
	InHeader bool     `json:"in_header,omitempty"` // put into header values
	InBody   bool     `json:"in_body,omitempty"`   // put into bodies
}

// Ways in which a client proves itself to a token endpoint (RFC 6749, section 2.3.1).
const (
	TokenAuthNone  = "none"
	TokenAuthBasic = "client_secret_basic"
	TokenAuthPost  = "client_secret_post"
)

// RefreshTerms is how an access token is refreshed (RFC 6749, section 6).
type RefreshTerms struct {
	Endpoint string `json:"endpoint"`
	ClientID string `json:"client_id"`
	Auth     string `json:"auth"`               // one of the TokenAuth constants
	Scope    string `json:"scope,omitempty"`    // empty: not sent
	Resource string `json:"resource,omitempty"` // RFC 8707; empty: not sent
}

// Reaches reports whether a SecretVariable may be put into requests to a host: a name or an address,
// without port. *.example.com stands for every name below example.com, not for that itself.
func (t SecretTerms) Reaches(host string) bool {
	return !t.Limited || HostAmong(t.Hosts, host)
}

// HostAmong reports whether a host, a name or an address without port, is among allowed ones. *.example.com
// stands for every name below example.com, not for that itself.
func HostAmong(allowed []string, host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(allowed, func(a string) bool {
		a = strings.ToLower(a)
		if below, ok := strings.CutPrefix(a, "*."); ok {
			return len(host) > len(below)+1 && strings.HasSuffix(host, "."+below)
		}
		return host == a
	})
}

// NormalURL writes a URL as it is compared with others: scheme and host lower-case, without the scheme's
// own port, final slashes and fragment (claude-managed-agents.md section 3.7). It reports false for what
// is no http or https URL with a host.
func NormalURL(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	switch port := u.Port(); {
	case scheme != "http" && scheme != "https":
		return "", false
	case port == "", scheme == "http" && port == "80", scheme == "https" && port == "443":
	default:
		host += ":" + port
	}
	normal := scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		normal += "?" + u.RawQuery
	}
	return normal, true
}

// VaultStore keeps vaults and their secrets.
type VaultStore interface {
	// CreateVault stores a vault; a taken id is Conflict ("vault_already_exists").
	CreateVault(ctx context.Context, v Vault) error
	// Vault returns a vault. Inside Tx it also holds the vault until the end.
	Vault(ctx context.Context, project ProjectID, id VaultID) (Vault, error)
	// UpdateVault replaces Name, Metadata, UpdatedAt and ArchivedAt.
	UpdateVault(ctx context.Context, v Vault) error
	// DeleteVault removes a vault and all of its secrets.
	DeleteVault(ctx context.Context, project ProjectID, id VaultID) error
	// Vaults lists newest first.
	Vaults(ctx context.Context, project ProjectID, page VaultPage) ([]Vault, error)

	// CreateSecret stores a secret. A taken id is Conflict ("secret_already_exists"), a target that an active
	// secret of the vault has is Conflict ("secret_target_taken"), an unknown vault NotFound.
	CreateSecret(ctx context.Context, s Secret) error
	// Secret returns one secret of a vault. Inside Tx it also holds the secret until the end.
	Secret(ctx context.Context, project ProjectID, vault VaultID, id SecretID) (Secret, error)
	// UpdateSecret replaces all fields but Project, Vault, ID, Kind, Target, RefreshUntil and CreatedAt.
	UpdateSecret(ctx context.Context, s Secret) error
	DeleteSecret(ctx context.Context, project ProjectID, vault VaultID, id SecretID) error
	// Secrets lists those of one vault, newest first.
	Secrets(ctx context.Context, project ProjectID, vault VaultID, page VaultPage) ([]Secret, error)
	// CountSecrets counts the active secrets of a vault.
	CountSecrets(ctx context.Context, project ProjectID, vault VaultID) (int, error)
	// ArchiveSecrets archives and purges every active secret of a vault and returns how many.
	ArchiveSecrets(ctx context.Context, project ProjectID, vault VaultID, at time.Time) (int, error)
	// TargetSecrets lists the active secrets of all given vaults that are for target, in no order.
	TargetSecrets(ctx context.Context, project ProjectID, vaults []VaultID, target string) ([]Secret, error)
	// KindSecrets lists the active secrets of one kind of all given vaults, in no order.
	KindSecrets(ctx context.Context, project ProjectID, vaults []VaultID, kind SecretKind) ([]Secret, error)
	// LeaseRefresh sets RefreshUntil of an active secret unless it lies after now, and reports whether it did.
	// Two callers never both get it.
	LeaseRefresh(ctx context.Context, project ProjectID, vault VaultID, id SecretID, now, until time.Time) (bool, error)
	// EndRefresh clears RefreshUntil if it is until. Of a secret that is gone it is no error.
	EndRefresh(ctx context.Context, project ProjectID, vault VaultID, id SecretID, until time.Time) error
}

// VaultPage is a query for vaults, or for the secrets of one, newest first.
type VaultPage struct {
	Limit           int
	After           *PageKey
	Before          *PageKey
	IncludeArchived bool
}
