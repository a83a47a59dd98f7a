package identity

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// S10: the original asks for six characters and no more.
func TestEasyPasswordsAreToldFromOthers(t *testing.T) {
	t.Parallel()
	own := []string{"Mira", "", "Okafor-Brandt", "mira.okafor@parceldesk.example"}
	weak := []string{
		"", "password", "P@ssw0rd1", "123456", "12345678901", "qwertyuiop", "qwerty123", "asdfghjkl;", "aaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabc",
		"letmein!", "iloveyou2", "monkey1990", "31.12.1999", "19991231", "zyxwvutsrq", "Summer2024", "password1999", "пппппппппппп",
		"mira.okafor@parceldesk.example", "okaforbrandt", "miraokafor1", "parceldesk", "correct", strings.Repeat("qwerty", 16), strings.Repeat("\xff", 80),
	}
	good := []string{
		"seven lazy couriers", "correct horse battery", goodPassword, "kf83jKs,d", "pbkdf2_sha256$720000$salt$hash", "  spaces  ", "mira okafor likes turnips",
		"пароль лошадь", "一二三四五六", "Tr0ub4dour&3x", "nine eager couriers", strings.Repeat("aQ", 50) + "the rest is not looked at",
	}
	for _, password := range weak {
		if got := strength(password, own...); got >= leastStrength {
			t.Errorf("%q is good: %.1f bits", password, got)
		}
	}
	for _, password := range good[:len(good)-1] {
		if got := strength(password, own...); got < leastStrength {
			t.Errorf("%q is weak: %.1f bits", password, got)
		}
	}
	if got := strength(good[len(good)-1]); got >= leastStrength {
		t.Errorf("what is behind %d characters counts: %.1f bits", looked, got)
	}
}

func TestToKnowMoreNeverMakesAPasswordStronger(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		bits := strength(text)
		if bits < 0 || text == "" && bits != 0 {
			t.Errorf("%q has %f bits", text, bits)
		}
		if own := strength(text, text); own > bits {
			t.Errorf("%q has %f bits, to those who know it %f", text, bits, own)
		}
	})
}

// hostile are passwords that give the estimate most to do, or that made the package that its lists are from
// take seconds.
func hostile() map[string]string {
	return map[string]string{
		"disguises": strings.Repeat("4@8({[<69#!|1$05+7%2", 5), "digits": strings.Repeat("1234567890", 10), "dates": strings.Repeat("12-12-19", 13),
		"words": strings.Repeat("theinformation", 8), "one letter": strings.Repeat("a", 1024), "walks": strings.Repeat("qwedcxza", 13),
		"random": "kf83jK,s.d)f2lkj3r0-sdfkj23r0sdf,m.n23r0sdfj0-23rj0sdfjlk23r0sdf,.m23r0sdjfl;k23jr0sdjf0-23rj0sdfjl23",
	}
}

func TestHostilePasswordsTakeNoTime(t *testing.T) {
	t.Parallel()
	knownWords()
	for name, password := range hostile() {
		start := time.Now()
		strength(password, strings.Repeat("ab", 50), strings.Repeat("ab", 50), strings.Repeat("ab", 50), strings.Repeat("a@", 127))
		if took := time.Since(start); took > 500*time.Millisecond { // 2 ms alone; the machine may be busy
			t.Errorf("%s took %v", name, took)
		}
	}
}

func BenchmarkStrength(b *testing.B) {
	knownWords()
	for name, password := range hostile() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				strength(password, "Mira", "Okafor", "mira.okafor@parceldesk.example")
			}
		})
	}
}
