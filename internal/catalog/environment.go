package catalog

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bounds of environments. Those without a source are Reeve's own.
const (
	maxEnvironmentName        = 256 // qoder.md section 3.6
	maxEnvironmentDescription = 2048
	maxSetupScript            = 64 << 10 // bytes; the larger of the two limits in qoder.md section 3.6
	maxAllowedHosts           = 256
	maxPackages               = 256 // of one package manager
	maxPackage                = 256
)

// packageManagers are the keys of config.packages (claude-managed-agents.md section 3.2).
var packageManagers = []string{"apt", "cargo", "gem", "go", "npm", "pip"}

// hostPattern is a bare host name, or *. and a name: no scheme, port or path
// (claude-managed-agents.md section 3.2).
var hostPattern = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// CreateEnvironment registers the recipe in e; Project, the times and, if empty, ID are made here.
//
// Errors: Forbidden (below admin); Invalid, naming the field.
func (s *Service) CreateEnvironment(ctx context.Context, by core.Principal, e core.Environment) (core.Environment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Environment{}, err
	}
	if e.ID == "" {
		e.ID = core.NewID[core.EnvironmentID]()
	} else if id, ok := core.ParseID[core.EnvironmentID](string(e.ID)); !ok || id != e.ID {
		return core.Environment{}, core.InvalidField("id", "must be 32 lower-case hex digits behind its prefix")
	}
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	if err := checkEnvironment(e); err != nil {
		return core.Environment{}, err
	}
	now := s.clock()
	e.Project, e.CreatedAt, e.UpdatedAt = by.Project, now, now
	e.ArchivedAt = time.Time{}
	if err := s.store.CreateEnvironment(ctx, e); err != nil {
		return core.Environment{}, err
	}
	return e, nil
}

// Environment returns one environment, archived or not. Errors: Forbidden; NotFound.
func (s *Service) Environment(ctx context.Context, by core.Principal, id core.EnvironmentID) (core.Environment, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Environment{}, err
	}
	return s.store.Environment(ctx, by.Project, id)
}

// Environments lists the project's environments, newest first. Errors: Forbidden; Invalid (limit
// outside of 1 to 1000).
func (s *Service) Environments(ctx context.Context, by core.Principal, page core.EnvironmentPage) ([]core.Environment, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return nil, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return nil, err
	}
	return s.store.Environments(ctx, by.Project, page)
}

// UpdateEnvironment changes the recipe; sandboxes that live already keep the old one. change gets a
// copy, may be called more than once, and ends the update by an error. What it does to the project,
// the id or the times is ignored.
//
// Errors: Forbidden (below admin); NotFound; Invalid, naming the field, or "environment_archived".
func (s *Service) UpdateEnvironment(ctx context.Context, by core.Principal, id core.EnvironmentID, change func(*core.Environment) error) (core.Environment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Environment{}, err
	}
	var e core.Environment
	err := s.store.Tx(ctx, func(tx core.Store) error {
		stored, err := tx.Environment(ctx, by.Project, id)
		if err != nil {
			return err
		}
		if !stored.ArchivedAt.IsZero() {
			return core.Errorf(core.Invalid, "environment_archived", "the environment is archived and cannot be changed")
		}
		e = cloneEnvironment(stored)
		if err := change(&e); err != nil {
			return err
		}
		if e.Metadata == nil {
			e.Metadata = map[string]string{}
		}
		e.Project, e.ID, e.CreatedAt, e.UpdatedAt, e.ArchivedAt = stored.Project, stored.ID, stored.CreatedAt, stored.UpdatedAt, stored.ArchivedAt
		if equalJSON(stored, e) {
			return nil
		}
		if err := checkEnvironment(e); err != nil {
			return err
		}
		e.UpdatedAt = s.clock()
		return tx.UpdateEnvironment(ctx, e)
	})
	if err != nil {
		return core.Environment{}, err
	}
	return e, nil
}

// ArchiveEnvironment archives an environment for good: no new session may use it, running ones go on.
// Doing so again changes nothing. Errors: Forbidden (below admin); NotFound.
func (s *Service) ArchiveEnvironment(ctx context.Context, by core.Principal, id core.EnvironmentID) (core.Environment, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return core.Environment{}, err
	}
	var e core.Environment
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if e, err = tx.Environment(ctx, by.Project, id); err != nil || !e.ArchivedAt.IsZero() {
			return err
		}
		e.ArchivedAt = s.clock()
		e.UpdatedAt = e.ArchivedAt
		return tx.UpdateEnvironment(ctx, e)
	})
	if err != nil {
		return core.Environment{}, err
	}
	return e, nil
}

// DeleteEnvironment removes an environment that no session refers to. Errors: Forbidden (below
// admin); NotFound; Conflict ("environment_in_use").
func (s *Service) DeleteEnvironment(ctx context.Context, by core.Principal, id core.EnvironmentID) error {
	if err := by.Require(core.RoleAdmin); err != nil {
		return err
	}
	return s.store.DeleteEnvironment(ctx, by.Project, id)
}

func cloneEnvironment(e core.Environment) core.Environment {
	e.Metadata = maps.Clone(e.Metadata)
	e.Config.Networking.AllowedHosts = slices.Clone(e.Config.Networking.AllowedHosts)
	e.Config.Packages = maps.Clone(e.Config.Packages)
	for manager, names := range e.Config.Packages {
		e.Config.Packages[manager] = slices.Clone(names)
	}
	return e
}

// checkEnvironment runs in the same order as the review of an agent.
func checkEnvironment(e core.Environment) error {
	if e.Name == "" {
		return core.InvalidField("name", "is required and must not be empty")
	}
	if err := checkLength("name", e.Name, maxEnvironmentName); err != nil {
		return err
	}
	if err := checkLength("description", e.Description, maxEnvironmentDescription); err != nil {
		return err
	}
	if n := len(e.Config.SetupScript); n > maxSetupScript {
		return overLimit("config.setup_script", "is %d bytes long; at most %d are allowed", n, maxSetupScript)
	}
	if err := checkText("config.setup_script", e.Config.SetupScript); err != nil {
		return err
	}
	lim := ClaudeLimits // metadata has the same bounds on every resource (claude-managed-agents.md section 1.7)
	if err := checkMetadataText(e.Metadata, lim); err != nil {
		return err
	}
	if n := len(e.Metadata); n > lim.MetadataPairs {
		return overLimit("metadata", "has %d entries; at most %d are allowed", n, lim.MetadataPairs)
	}
	if err := checkHosts(e.Config.Networking.AllowedHosts); err != nil {
		return err
	}
	if err := checkPackages(e.Config.Packages); err != nil {
		return err
	}
	return checkPlace(e.Config)
}

func checkHosts(hosts []string) error {
	const field = "config.networking.allowed_hosts"
	if n := len(hosts); n > maxAllowedHosts {
		return overLimit(field, "has %d entries; at most %d are allowed", n, maxAllowedHosts)
	}
	for i, host := range hosts {
		if len(host) > 255 || !hostPattern.MatchString(host) {
			return core.InvalidField(fmt.Sprintf("%s[%d]", field, i), "must be a host name or *. and a host name, without scheme, port or path")
		}
	}
	return nil
}

// checkPackages refuses names that begin with "-": the package manager would take them as options.
func checkPackages(packages map[string][]string) error {
	for _, manager := range slices.Sorted(maps.Keys(packages)) {
		field := "config.packages." + clip(manager)
		if !slices.Contains(packageManagers, manager) {
			return core.InvalidField(field, "is not one of %s", strings.Join(packageManagers, ", "))
		}
		if n := len(packages[manager]); n > maxPackages {
			return overLimit(field, "has %d entries; at most %d are allowed", n, maxPackages)
		}
		for i, name := range packages[manager] {
			at := fmt.Sprintf("%s[%d]", field, i)
			if strings.TrimSpace(name) == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, "\r\n") {
				return core.InvalidField(at, "must be the name of a package on one line, not empty and not beginning with -")
			}
			if err := checkLength(at, name, maxPackage); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPlace holds what goes together: where the sandbox runs decides what may be said about it
// (claude-managed-agents.md section 3.2, qoder.md section 3.6).
func checkPlace(c core.EnvironmentConfig) error {
	n := c.Networking
	switch {
	case c.Scope != "" && c.Scope != "organization" && c.Scope != "account":
		return core.InvalidField("scope", "must be one of organization, account")
	case c.Scope != "" && !c.SelfHosted:
		return core.InvalidField("scope", "is only for self_hosted environments")
	case !c.SelfHosted:
		return nil
	case n.Limited || n.AllowMCPServers || n.AllowPackageManagers || len(n.AllowedHosts) > 0:
		return core.InvalidField("config.networking", "is not for self_hosted environments: there the worker decides")
	case len(c.Packages) > 0:
		return core.InvalidField("config.packages", "is not for self_hosted environments: there the worker decides")
	case c.SetupScript != "":
		return core.InvalidField("config.setup_script", "is not for self_hosted environments: there the worker decides")
	}
	return nil
}
