package catalog

import (
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Service is used from several goroutines.
type Service struct {
	store  core.Store
	models core.Models
	tools  core.Tools
	now    func() time.Time
}

// New makes the service. now may be nil: the wall clock.
func New(store core.Store, models core.Models, tools core.Tools, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{store: store, models: models, tools: tools, now: now}
}

// clock returns the time as the store keeps it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// maxPage is the longest list that one call returns; faces ask for less.
const maxPage = 1000

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return core.InvalidField("limit", "must be between 1 and %d", maxPage)
	}
	return nil
}
