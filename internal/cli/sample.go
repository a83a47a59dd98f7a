package cli

import (
	"slices"
	"time"
)

// sample is a set of measured durations. Percentiles are exact: every value is kept and sorted, which
// a benchmark of some seconds can afford.
type sample struct {
	values []time.Duration
	sorted bool
}

func (s *sample) add(d ...time.Duration) {
	s.values = append(s.values, d...)
	s.sorted = false
}

// percentile returns the smallest value that at least q of 100 values do not exceed (nearest rank).
// Zero without values.
func (s *sample) percentile(q float64) time.Duration {
	if len(s.values) == 0 {
		return 0
	}
	if !s.sorted {
		slices.Sort(s.values)
		s.sorted = true
	}
	n := float64(len(s.values))
	rank := int(q * n / 100)
	if float64(rank) < q*n/100 {
		rank++
	}
	return s.values[min(max(rank, 1), len(s.values))-1]
}
