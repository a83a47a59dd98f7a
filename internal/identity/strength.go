package identity

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/ccojocar/zxcvbn-go/data"
)

// leastStrength is the strength, in bits, that a password needs: where zxcvbn's score becomes 2, at 10,000 s
// of 10,000 guesses a second, tried in half of the cases.
const leastStrength = 27.6

// looked is how much of a password is looked at, in characters: enough to be strong, and what bounds the
// time, which was 2 ms for the worst that was tried.
const looked = 100

// strength estimates how many guesses a password takes, in bits, by the method of zxcvbn (Wheeler, USENIX
// Security 2016): it is cut into words, names, known passwords, keyboard walks, sequences, dates and
// rest, in the way that is cheapest to guess. own is what everybody knows of the person.
//
// Only the word lists of the zxcvbn package are used, not its code: that decodes them when the program
// starts, which cost each start 70 ms and 6 MB, and took 4.5 s for a password full of digits and signs.
func strength(password string, own ...string) float64 {
	text := []rune(password)
	text = text[:min(len(text), looked)]
	known := knownWords()
	mine := ownWords(own)
	bits := cheapest(text, known, mine)
	if block := period(text); block < len(text) { // "abcabcabc"
		repeats := math.Log2(float64(len(text)) / float64(block))
		bits = min(bits, cheapest(text[:block], known, mine)+repeats)
	}
	return bits
}

// period is the length of the shortest block whose repetition is the whole text; that of the text if none is.
func period(text []rune) int {
	for size := 1; size <= len(text)/2; size++ {
		if slices.Equal(text[size:], text[:len(text)-size]) {
			return size
		}
	}
	return len(text)
}

// piece is a part of a password that can be guessed as a whole.
type piece struct {
	from, to int // characters; to is behind the last
	bits     float64
}

// cheapest cuts the text into pieces and single characters so that the sum of their bits is least.
func cheapest(text []rune, known *lexicon, own map[string]int) float64 {
	pieces := slices.Concat(words(text, known, own), sequences(text), walks(text, known.keyboard), dates(text))
	ends := make([][]piece, len(text)+1)
	for _, p := range pieces {
		ends[p.to] = append(ends[p.to], p)
	}
	single := math.Log2(characters(text))
	least := make([]float64, len(text)+1)
	for to := 1; to <= len(text); to++ {
		least[to] = least[to-1] + single
		for _, p := range ends[to] {
			least[to] = min(least[to], least[p.from]+p.bits)
		}
	}
	return least[len(text)]
}

// characters is from how many characters those of the text are, by their classes.
func characters(text []rune) float64 {
	var lower, upper, digit, sign, more float64
	for _, r := range text {
		switch {
		case r > unicode.MaxASCII:
			more = 100
		case unicode.IsLower(r):
			lower = 26
		case unicode.IsUpper(r):
			upper = 26
		case unicode.IsDigit(r):
			digit = 10
		default:
			sign = 33
		}
	}
	return max(lower+upper+digit+sign+more, 1)
}

// lexicon is what everybody knows. It is not changed once it is made.
type lexicon struct {
	ranks    map[string]int // words, names and passwords, lower-case; 1 is the most frequent of its list
	longest  int            // bytes
	keyboard map[rune][]string
}

// knownWords decodes the lists when they are first needed (60 ms, 4 MB, once): most runs of the program
// never are asked for a new password.
var knownWords = sync.OnceValue(func() *lexicon {
	l := &lexicon{ranks: make(map[string]int, 90_000)}
	for _, name := range []string{"Passwords", "English", "Surnames", "FemaleNames", "MaleNames"} {
		var list struct{ List []string }
		mustDecode(name, &list)
		for i, word := range list.List {
			word = strings.ToLower(word)
			if rank, ok := l.ranks[word]; !ok || i+1 < rank {
				l.ranks[word] = i + 1
			}
			l.longest = max(l.longest, len(word))
		}
	}
	var graph struct{ Graph map[string][]string }
	mustDecode("Qwerty", &graph)
	l.keyboard = make(map[rune][]string, len(graph.Graph))
	for key, around := range graph.Graph {
		l.keyboard[[]rune(key)[0]] = around
	}
	return l
})

func mustDecode(name string, to any) {
	raw, err := data.Asset("data/" + name + ".json")
	if err == nil {
		err = json.Unmarshal(raw, to)
	}
	if err != nil {
		panic(fmt.Sprintf("identity: read the list %s: %v", name, err)) // the lists are part of the binary
	}
}

// ownWords are a person's names and email, whole and in parts, as words that are guessed first.
func ownWords(own []string) map[string]int {
	ranks := map[string]int{}
	add := func(word string) {
		if _, ok := ranks[word]; !ok && len(word) > 2 { // a single letter is no hint
			ranks[word] = len(ranks) + 1
		}
	}
	for _, text := range own {
		text = strings.ToLower(text)
		add(text)
		for _, part := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			add(part)
		}
	}
	return ranks
}

// disguises are the usual stand-ins for letters. Where one stands for two, there are two rows.
var disguises = []*strings.Replacer{
	strings.NewReplacer(),
	strings.NewReplacer("4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "6", "g", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t", "2", "z"),
	strings.NewReplacer("4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "9", "g", "1", "l", "|", "l", "0", "o", "$", "s", "5", "s", "7", "l", "+", "t", "2", "z"),
}

// words finds known words, plain and disguised.
func words(text []rune, known *lexicon, own map[string]int) []piece {
	var found []piece
	longest := known.longest
	for word := range own {
		longest = max(longest, len(word))
	}
	plain := strings.ToLower(string(text))
	for _, disguise := range disguises {
		spelled := disguise.Replace(plain) // one character for one: the places stay
		if disguise != disguises[0] && spelled == plain {
			continue
		}
		places := starts(spelled)
		if len(places) != len(text)+1 {
			continue // a letter whose lower case is more than one: the places differ
		}
		for from := range text {
			for to := from + 1; to <= len(text) && places[to]-places[from] <= longest; to++ {
				word := spelled[places[from]:places[to]]
				rank, ok := known.ranks[word]
				if mine, isOwn := own[word]; isOwn && (!ok || mine < rank) {
					rank, ok = mine, true
				}
				if !ok {
					continue
				}
				bits := math.Log2(float64(rank)) + capitals(text[from:to])
				if disguise != disguises[0] && word != plain[places[from]:places[to]] {
					bits++
				}
				found = append(found, piece{from, to, bits})
			}
		}
	}
	return found
}

// starts are the places in bytes at which the characters begin, and the end.
func starts(s string) []int {
	places := make([]int, 0, len(s)+1)
	for i := range s {
		places = append(places, i)
	}
	return append(places, len(s))
}

// capitals is what upper-case letters add to a word: little where everybody puts them.
func capitals(word []rune) float64 {
	upper, lower := 0.0, 0.0
	for _, r := range word {
		switch {
		case unicode.IsUpper(r):
			upper++
		case unicode.IsLower(r):
			lower++
		}
	}
	switch {
	case upper == 0:
		return 0
	case lower == 0, upper == 1 && (unicode.IsUpper(word[0]) || unicode.IsUpper(word[len(word)-1])):
		return 1
	}
	ways, choose := 0.0, 1.0
	for k := 1.0; k <= min(upper, lower); k++ {
		choose *= (upper + lower - k + 1) / k
		ways += choose
	}
	return math.Log2(ways)
}
