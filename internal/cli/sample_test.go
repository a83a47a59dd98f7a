package cli

import (
	"testing"
	"time"
)

func TestPercentilesAreExact(t *testing.T) {
	t.Parallel()
	var s sample
	if got := s.percentile(50); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
	for i := 100; i >= 1; i-- {
		s.add(time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 50: 50, 95: 95, 99: 99, 99.5: 100, 100: 100} {
		if got := s.percentile(q); got != want {
			t.Errorf("p%v = %d, want %d", q, got, want)
		}
	}
	s.add(1000)
	if got := s.percentile(100); got != 1000 {
		t.Errorf("a value added after a percentile was asked for is lost: %d", got)
	}
}
