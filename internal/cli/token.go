package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/store"
)

func (p *program) token() *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Make access tokens", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(p.tokenCreate())
	return c
}

// tokenFlags are the flags of token create.
type tokenFlags struct{ kind, role, project, name, expires string }

func (p *program) tokenCreate() *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use:   "create [flags]",
		Short: "Print a new access token, and nothing else",
		Long: `Print a new access token, and nothing else. It is shown this once: only its hash is kept.

It works beside a running server, on the server's machine and data folder. The kinds differ
only in how a token begins, for clients that look at it; each works on every API.`,
		Example: `# For the official Claude SDKs and tools
export ANTHROPIC_API_KEY=$(reeve token create --kind managed)

# Read-only, for a month
reeve token create --role viewer --name dashboard --expires 30d`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runTokenCreate(cmd, f) },
	}
	add := func(target *string, name, def, arg, usage string) {
		c.Flags().StringVar(target, name, def, usage)
		describe(c.Flags().Lookup(name), "token", arg)
	}
	add(&f.kind, "kind", string(identity.SpellingAccess), "kind", kinds())
	add(&f.role, "role", string(core.RoleAdmin), "role", "What its holder may do: admin, member, viewer")
	add(&f.project, "project", "", "project", "Id or name; without it the oldest active project")
	add(&f.name, "name", "", "name", "What it is for, to recognize it in lists")
	add(&f.expires, "expires", "", "when", "From now on: 30d, 12h; or a date: 2027-01-31; without it never")
	configFlags(c, "data", "database.durability")
	return c
}

// kinds lists what --kind takes.
func kinds() string {
	names := make([]string, len(identity.Spellings))
	for i, k := range identity.Spellings {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func (p *program) runTokenCreate(cmd *cobra.Command, f tokenFlags) error {
	cfg, err := p.configuration(cmd)
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(identity.Spellings, identity.Spelling(f.kind)):
		return usagef("--kind: %q is not one of %s", f.kind, kinds())
	case !core.Role(f.role).Valid():
		return usagef("--role: %q is not one of admin, member, viewer", f.role)
	}
	expires, err := expiry(f.expires, time.Now())
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	service, closeStore, err := app.OpenIdentity(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = closeStore() }()
	project, err := findProject(ctx, cfg, f.project)
	if err != nil {
		return err
	}
	plain, _, err := service.IssueToken(ctx, identity.IssueToken{
		Project: project, Spelling: identity.Spelling(f.kind), Role: core.Role(f.role), Name: f.name, ExpiresAt: expires,
	})
	if core.KindOf(err) == core.Invalid {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.out, plain)
	return err
}

// expiry reads --expires. Empty: never, the zero time.
func expiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	return time.Time{}, usagef("--expires: %q is neither a time from now on, such as 30d or 12h, nor a date such as 2027-01-31", s)
}

// findProject turns an id or a name into an id. Empty stays empty: the oldest active project.
func findProject(ctx context.Context, cfg config.Config, wanted string) (core.ProjectID, error) {
	if wanted == "" {
		return "", nil
	}
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(cfg.Data, "reeve.db"), Durability: store.Durability(cfg.Database.Durability)})
	if err != nil {
		return "", fmt.Errorf("look for project %q: %w", wanted, err)
	}
	defer func() { _ = db.Close() }()
	all, err := db.Projects(ctx)
	if err != nil {
		return "", fmt.Errorf("look for project %q: %w", wanted, err)
	}
	id, isID := core.ParseID[core.ProjectID](wanted)
	var named []core.ProjectID
	for _, pr := range all {
		if isID && pr.ID == id {
			return id, nil
		}
		if strings.EqualFold(pr.Name, wanted) {
			named = append(named, pr.ID)
		}
	}
	switch len(named) {
	case 0:
		return "", fmt.Errorf("there is no project %q", wanted)
	case 1:
		return named[0], nil
	}
	return "", fmt.Errorf("%d projects are named %q: use the id of one", len(named), wanted)
}
