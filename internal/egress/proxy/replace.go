package proxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// swap is one text that another takes the place of.
type swap struct{ old, new string }

// swaps are tried longest first, so that a text which begins with another one is found whole. It is ready
// when it was sorted by newSwaps.
type swaps []swap

func newSwaps(list []swap) swaps {
	list = slices.DeleteFunc(list, func(s swap) bool { return s.old == "" || s.old == s.new })
	slices.SortStableFunc(list, func(a, b swap) int { return len(b.old) - len(a.old) })
	return list
}

// in returns the text with everything swapped.
func (s swaps) in(text string) string {
	if len(s) == 0 {
		return text
	}
	args := make([]string, 0, 2*len(s))
	for _, one := range s {
		args = append(args, one.old, one.new)
	}
	return strings.NewReplacer(args...).Replace(text) // of two that begin at one place the first argument counts
}

// chunk is how much is read at one time.
const chunk = 16 << 10

// swapping reads from a body and swaps on the way. What comes in goes out at once, but for an end that may be
// the beginning of a text to be swapped.
type swapping struct {
	io.Closer
	src   io.Reader
	swaps swaps
	atEOF func() // called once when the body has ended; nil: nobody asks

	in  []byte // read and not yet searched to its end
	out []byte // to be returned
	err error  // of src
}

func (r *swapping) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			if errors.Is(r.err, io.EOF) && r.atEOF != nil {
				r.atEOF()
				r.atEOF = nil
			}
			return 0, r.err
		}
		buf := make([]byte, chunk)
		n, err := r.src.Read(buf)
		r.in, r.err = append(r.in, buf[:n]...), err
		r.search()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// search moves what is decided from in to out.
func (r *swapping) search() {
	r.out = nil
	for {
		at, which := r.first()
		held := len(r.in)
		if r.err == nil {
			held = r.beginning()
		}
		if which == nil || held <= at {
			r.out = append(r.out, r.in[:held]...)
			r.in = r.in[held:]
			return
		}
		r.out = append(append(r.out, r.in[:at]...), which.new...)
		r.in = r.in[at+len(which.old):]
	}
}

// first finds the first text to be swapped, and of two at one place the longer one.
func (r *swapping) first() (at int, which *swap) {
	for i, s := range r.swaps {
		if found := bytes.Index(r.in, []byte(s.old)); found >= 0 && (which == nil || found < at) {
			at, which = found, &r.swaps[i]
		}
	}
	return at, which
}

// beginning is where the end of in may be the beginning of a text whose rest is still to come; the length of
// in if that is nowhere.
func (r *swapping) beginning() int {
	from := len(r.in)
	for _, s := range r.swaps {
		for n := min(len(s.old)-1, len(r.in)); n > 0; n-- {
			if bytes.HasSuffix(r.in, []byte(s.old[:n])) {
				from = min(from, len(r.in)-n)
				break
			}
		}
	}
	return from
}
