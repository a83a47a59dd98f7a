package identity

import (
	"math"
	"strings"
	"time"
	"unicode"
)

// sequences finds runs of one character, and of letters or digits that follow each other.
func sequences(text []rune) []piece {
	var found []piece
	for from := 0; from+2 < len(text); {
		step := text[from+1] - text[from]
		to := from + 2
		for to < len(text) && text[to]-text[to-1] == step {
			to++
		}
		if n := float64(to - from); n >= 3 && step == 0 {
			found = append(found, piece{from, to, math.Log2(characters(text[from:to]) * n)})
		} else if n >= 3 && (step == 1 || step == -1) && alphabetic(text[from]) && alphabetic(text[to-1]) {
			bits := 1.0
			if !strings.ContainsRune("aAzZ019", text[from]) { // where everybody begins
				bits = math.Log2(characters(text[from:to]))
			}
			found = append(found, piece{from, to, bits + math.Log2(n)})
		}
		from = to - 1
	}
	return found
}

func alphabetic(r rune) bool {
	return r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// What a keyboard is like: how many keys, and how many others one lies beside.
const (
	keys       = 47
	neighbours = 4.6
)

// walks finds characters that lie side by side on a keyboard.
func walks(text []rune, keyboard map[rune][]string) []piece {
	var found []piece
	for from := 0; from < len(text); {
		to, turns, last := from+1, 0, -1
		for to < len(text) {
			way := direction(keyboard[text[to-1]], text[to])
			if way < 0 {
				break
			}
			if way != last {
				turns, last = turns+1, way
			}
			to++
		}
		if to-from >= 3 {
			found = append(found, piece{from, to, walkBits(to-from, turns)})
		}
		from = max(to-1, from+1)
	}
	return found
}

// direction is in which place among the neighbours of a key the character lies; -1 in none.
func direction(around []string, r rune) int {
	for i, key := range around {
		if strings.ContainsRune(key, r) {
			return i
		}
	}
	return -1
}

// walkBits counts the walks of at most that length with at most so many turns.
func walkBits(length, turns int) float64 {
	ways := 0.0
	for n := 2; n <= length; n++ {
		choose := 1.0 // of the n-1 steps, those that turn
		for t := 1; t <= min(turns, n-1); t++ {
			ways += choose * keys * math.Pow(neighbours, float64(t))
			choose *= float64(n-t) / float64(t)
		}
	}
	return math.Log2(ways)
}

// calendars are the ways in which people write days and years, and what each is worth: 365 days, and the
// 130 years that somebody alive may think of.
var calendars = []struct {
	layout string
	bits   float64
}{
	{"2006", 7.1},
	{"0201", 8.6},
	{"0102", 8.6},
	{"020106", 15.6},
	{"010206", 15.6},
	{"060102", 15.6},
	{"02012006", 15.6},
	{"01022006", 15.6},
	{"20060102", 15.6},
}

// dates finds days and years, with or without separators.
func dates(text []rune) []piece {
	var found []piece
	for from := range text {
		var digits strings.Builder
		separated := 0
		for to := from; to < len(text) && digits.Len() < 8; to++ {
			switch r := text[to]; {
			case r >= '0' && r <= '9':
				digits.WriteRune(r)
			case to > from && strings.ContainsRune(" -/._\\", r) && separated < 2:
				separated++
				continue
			default:
				to = len(text)
				continue
			}
			for _, c := range calendars {
				if len(c.layout) != digits.Len() || separated > 0 && len(c.layout) == 4 {
					continue
				}
				at, err := time.Parse(c.layout, digits.String())
				if err != nil || strings.Contains(c.layout, "2006") && (at.Year() < 1900 || at.Year() > 2050) {
					continue
				}
				found = append(found, piece{from, to + 1, c.bits + 2*float64(min(separated, 1))})
			}
		}
	}
	return found
}
