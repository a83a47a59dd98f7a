package store

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// histogram counts latencies by size, in order of buckets. A bucket is about 3 % wide: it holds the
// floating-point numbers that agree in exponent and the first five bits of the fraction, so that its
// bounds are exact. All below 0.001 ms are in the lowest bucket and all above a day, which is more than any
// service reports, in the highest: with 32 buckets for each power of two, there are at most 1,167.
type histogram []bucket

type bucket struct {
	number uint32
	count  int64
	// same says that all latencies of the bucket were value when they came; then nothing has to be
	// looked up.
	same  bool
	value float64
}

// bucketShift leaves of a float64's bits the exponent and five bits of the fraction.
const bucketShift = 52 - 5

// The leading bits of the latencies in the lowest bucket, but for those below it, and in the highest.
var (
	lowestBits  = math.Float64bits(0.001) >> bucketShift
	highestBits = math.Float64bits(86_400_000)>>bucketShift + 1
)

// bucketOf is the number of a latency's bucket; higher latencies never have lower numbers. The latency is
// 0 or more.
func bucketOf(latency float64) uint32 {
	bits := math.Float64bits(latency) >> bucketShift
	return uint32(min(max(bits, lowestBits), highestBits) - lowestBits)
}

// bucketFrom is the lowest latency of a bucket, and more than all latencies for the number after the last.
func bucketFrom(number uint32) float64 {
	switch bits := uint64(number) + lowestBits; {
	case number == 0:
		return 0
	case bits > highestBits:
		return math.Inf(1)
	default:
		return math.Float64frombits(bits << bucketShift)
	}
}

func (h *histogram) add(latency float64) {
	n := bucketOf(latency)
	i, there := h.find(n)
	if !there {
		*h = slices.Insert(*h, i, bucket{number: n, count: 1, same: true, value: latency})
		return
	}
	b := &(*h)[i]
	b.count++
	if b.same && b.value != latency {
		b.same, b.value = false, 0
	}
}

// remove takes out a latency that was added before.
func (h *histogram) remove(latency float64) {
	i, there := h.find(bucketOf(latency))
	if !there {
		return
	}
	if b := &(*h)[i]; b.count > 1 {
		b.count--
	} else {
		*h = slices.Delete(*h, i, i+1)
	}
}

func (h *histogram) find(number uint32) (at int, there bool) {
	return slices.BinarySearchFunc(*h, number, func(b bucket, n uint32) int { return int(b.number) - int(n) })
}

func (h *histogram) total() (n int64) {
	for _, b := range *h {
		n += b.count
	}
	return n
}

// place is where the latency with a rank is: in which bucket, and how many of that are smaller or before
// it. Ranks begin at 0.
func (h *histogram) place(rank int64) (bucket, int64) {
	for _, b := range *h {
		if rank < b.count {
			return b, rank
		}
		rank -= b.count
	}
	return bucket{}, 0
}

// encode writes the buckets as varints: the distance from the bucket before, then twice the count, plus 1
// if value follows as eight bytes.
func (h *histogram) encode() []byte {
	out := make([]byte, 0, 6*len(*h))
	last := uint32(0)
	for _, b := range *h {
		out = binary.AppendUvarint(out, uint64(b.number-last))
		last = b.number
		if !b.same {
			out = binary.AppendUvarint(out, uint64(b.count)<<1)
			continue
		}
		out = binary.AppendUvarint(out, uint64(b.count)<<1|1)
		out = binary.BigEndian.AppendUint64(out, math.Float64bits(b.value))
	}
	return out
}

var errHistogram = errors.New("histogram is damaged")

func decodeHistogram(in []byte) (histogram, error) {
	h := make(histogram, 0, len(in)/3)
	last := uint64(0)
	for len(in) > 0 {
		distance, width := binary.Uvarint(in)
		if width <= 0 {
			return nil, errHistogram
		}
		in = in[width:]
		count, width := binary.Uvarint(in)
		if width <= 0 {
			return nil, errHistogram
		}
		in = in[width:]
		last += distance
		b := bucket{number: uint32(last), count: int64(count >> 1), same: count&1 == 1}
		if b.same {
			if len(in) < 8 {
				return nil, errHistogram
			}
			b.value = math.Float64frombits(binary.BigEndian.Uint64(in))
			in = in[8:]
		}
		h = append(h, b)
	}
	return h, nil
}
