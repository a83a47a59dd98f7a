package work

import (
	"context"
	"maps"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bounds of metadata, the same on every resource (claude-managed-agents.md section 1.7), and of a list.
const (
	maxPairs = 16
	maxKey   = 64  // characters
	maxValue = 512 // characters
	maxPage  = 1000
)

// Work returns one item. Errors: Forbidden (below viewer); NotFound.
func (s *Service) Work(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID) (core.Work, error) {
	if err := by.Require(core.RoleViewer); err != nil {
		return core.Work{}, err
	}
	return s.store.Work(ctx, by.Project, environment, id)
}

// Works lists the items of an environment, newest first; past the end it is empty.
//
// Errors: Forbidden (below viewer); NotFound (environment); Invalid (limit outside of 1 to 1000).
func (s *Service) Works(ctx context.Context, by core.Principal, environment core.EnvironmentID, page core.WorkPage) ([]core.Work, error) {
	if err := s.readable(ctx, by, environment); err != nil {
		return nil, err
	}
	if page.Limit < 1 || page.Limit > maxPage {
		return nil, core.InvalidField("limit", "must be between 1 and %d", maxPage)
	}
	return s.store.Works(ctx, by.Project, environment, page)
}

// Counts describes the queue of an environment. Its workers are those that asked for work in the last 30
// seconds; it may be 5 seconds late to miss one. Errors: Forbidden (below viewer); NotFound (environment).
func (s *Service) Counts(ctx context.Context, by core.Principal, environment core.EnvironmentID) (core.WorkCounts, error) {
	if err := s.readable(ctx, by, environment); err != nil {
		return core.WorkCounts{}, err
	}
	return s.store.CountWork(ctx, by.Project, environment, s.clock().Add(-seenFor))
}

func (s *Service) readable(ctx context.Context, by core.Principal, environment core.EnvironmentID) error {
	if err := by.Require(core.RoleViewer); err != nil {
		return err
	}
	_, err := s.store.Environment(ctx, by.Project, environment)
	return err
}

// Update merges metadata into that of an item, in any state: a nil value deletes its key.
//
// Errors: Forbidden (below member); NotFound; Invalid, naming the field.
func (s *Service) Update(ctx context.Context, by core.Principal, environment core.EnvironmentID, id core.WorkID, patch map[string]*string) (core.Work, error) {
	if err := by.Require(core.RoleMember); err != nil {
		return core.Work{}, err
	}
	var w core.Work
	err := s.store.Tx(ctx, func(tx core.Store) (err error) {
		if w, err = tx.Work(ctx, by.Project, environment, id); err != nil {
			return err
		}
		merged := maps.Clone(w.Metadata)
		for k, v := range patch {
			if delete(merged, k); v != nil {
				merged[k] = *v
			}
		}
		if maps.Equal(merged, w.Metadata) {
			return nil
		}
		if err := checkMetadata(merged); err != nil {
			return err
		}
		w.Metadata = merged
		return tx.UpdateWork(ctx, w)
	})
	if err != nil {
		return core.Work{}, err
	}
	return w, nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxPairs {
		return core.InvalidField("metadata", "at most %d pairs", maxPairs)
	}
	for k, v := range m {
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxKey:
			return core.InvalidField("metadata", "keys have 1 to %d characters", maxKey)
		case utf8.RuneCountInString(v) > maxValue:
			return core.InvalidField("metadata."+k, "at most %d characters", maxValue)
		}
	}
	return nil
}
