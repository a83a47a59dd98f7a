package store

import (
	"math"
	"testing"
)

func TestCaptureHistogramsStaySmall(t *testing.T) {
	t.Parallel()
	var h histogram
	n := int64(0)
	last := uint32(0)
	for latency := math.SmallestNonzeroFloat64; latency < math.MaxFloat64/2; latency *= 1.01 {
		latency = max(latency, math.Nextafter(latency, math.Inf(1)))
		b := bucketOf(latency)
		if b < last || latency < bucketFrom(b) || latency >= bucketFrom(b+1) {
			t.Fatalf("%g is in bucket %d, which is from %g to %g, after %d", latency, b, bucketFrom(b), bucketFrom(b+1), last)
		}
		last = b
		h.add(latency)
		h.add(latency)
		n += 2
	}
	h.add(0)
	if len(h) > 1167 || h.total() != n+1 || len(h.encode()) > 15_000 {
		t.Errorf("%d buckets of %d latencies in %d bytes, want at most 1167 of %d", len(h), h.total(), len(h.encode()), n+1)
	}
	for _, pair := range [][2]float64{{0, 0.000999}, {1, 1.02}, {5e-324, 0.0005}} {
		if a, b := bucketOf(pair[0]), bucketOf(pair[1]); a != b {
			t.Errorf("%g and %g are in buckets %d and %d", pair[0], pair[1], a, b)
		}
	}
	if a, b := bucketOf(86_000_000), bucketOf(83_000_000); a == b {
		t.Errorf("a day and an hour less share bucket %d", a)
	}
}
