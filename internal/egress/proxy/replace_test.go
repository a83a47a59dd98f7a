package proxy

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSwappingFindsTextsHoweverTheyCome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		swaps    []swap
		in, want string
	}{
		{[]swap{{"secret", "placeholder"}}, "a secret, a secrets, secre", "a placeholder, a placeholders, secre"},
		{[]swap{{"secret", ""}}, "secretsecret", ""},
		{[]swap{{"ab", "1"}, {"abc", "2"}}, "abcabab", "211"},
		{[]swap{{"abcd", "1"}, {"bc", "2"}}, "abcabcd", "a21"},
		{[]swap{{"aab", "1"}}, "aaaab", "aa1"},
		{[]swap{{"x", "x"}, {"", "never"}}, "xyz", "xyz"},
		{nil, "as it is", "as it is"},
	} {
		for _, slow := range []bool{false, true} {
			src := io.Reader(strings.NewReader(tt.in))
			if slow {
				src = iotest.OneByteReader(src)
			}
			got, err := io.ReadAll(&swapping{src: src, swaps: newSwaps(tt.swaps)})
			if err != nil || string(got) != tt.want {
				t.Errorf("%v of %q, byte by byte %v: %q, %v; want %q", tt.swaps, tt.in, slow, got, err, tt.want)
			}
		}
	}
}

// A whole text and its parts as they come are swapped alike.
func TestSwappingAStreamIsSwappingAText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.StringMatching(`[ab]{1,4}`)
		var list []swap
		for _, old := range rapid.SliceOfNDistinct(word, 1, 3, rapid.ID).Draw(rt, "texts") {
			list = append(list, swap{old, strings.ToUpper(old) + "."})
		}
		s := newSwaps(list)
		text := rapid.StringMatching(`[abc]{0,40}`).Draw(rt, "text")
		parts := rapid.SliceOfN(rapid.IntRange(1, 7), 1, 5).Draw(rt, "parts")
		got, err := io.ReadAll(&swapping{src: &pieces{text, parts}, swaps: s})
		if err != nil || string(got) != s.in(text) {
			rt.Fatalf("%v of %q in %v: %q, %v; want %q", s, text, parts, got, err, s.in(text))
		}
	})
}

// pieces reads a text in pieces of these lengths, over and over.
type pieces struct {
	rest    string
	lengths []int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.lengths[0])])
	p.rest, p.lengths = p.rest[n:], append(p.lengths[1:], p.lengths[0])
	return n, nil
}

func TestSwappingHoldsBackNothingThatIsDecided(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, "data: an event\n\n") }()
	got := make([]byte, 100)
	n, err := (&swapping{src: r, swaps: newSwaps([]swap{{"secret-value", "placeholder"}})}).Read(got)
	if err != nil || string(got[:n]) != "data: an event\n\n" {
		t.Errorf("read %q, %v before the end of the stream", got[:n], err)
	}
}

func TestSwappingPassesErrorsOn(t *testing.T) {
	t.Parallel()
	src := io.MultiReader(strings.NewReader("begun sec"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got, err := io.ReadAll(&swapping{src: src, swaps: newSwaps([]swap{{"secret", "x"}})})
	if string(got) != "begun sec" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}
