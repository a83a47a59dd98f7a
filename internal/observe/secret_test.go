package observe

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	lookup43     = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	agentKey     = "agent_hT3vK8sWq1Z_" + lookup43
	sessionToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhZ2VudF9pZCI6IjUxZDlhMGM0LTdlOGItNGY2My1iMWFhLWM3NzA0ZDJmOWUxOCJ9.q-Zr_1xT9mVbY2wLkQ8sHdF0cJ6nGpA3uEoRiMhWvXU"
)

func TestSecretsInTextsBecomeRedacted(t *testing.T) {
	t.Parallel()
	c := newCensor([]string{agentKey, sessionToken, ""})
	cases := []struct{ name, in, want string }{
		{"nothing", "a_b_c %20 \\n agent_short_key", "a_b_c %20 \\n agent_short_key"},
		{"given", "x " + sessionToken + " y", "x [REDACTED] y"},
		{"twice", sessionToken + sessionToken, "[REDACTED][REDACTED]"},
		{"cut off", sessionToken[:len(sessionToken)-1], sessionToken[:len(sessionToken)-1]},
		{"every label", "otas_00000000000_" + lookup43 + ",reeve_00000000000_" + lookup43 + ",sk-reeve_00000000000_" + lookup43 +
			",evr_pat_00000000000_" + lookup43 + ",pt-00000000000_" + lookup43 + ",invite_00000000000_" + lookup43, "[REDACTED],[REDACTED],[REDACTED],[REDACTED],[REDACTED],[REDACTED]"},
		{"other label", "other_00000000000_" + lookup43, "other_00000000000_" + lookup43},
		{"secret too short", "otas_00000000000_" + lookup43[1:], "otas_00000000000_" + lookup43[1:]},
		{"lookup too short", "otas_0000000000_" + lookup43, "otas_0000000000_" + lookup43},
		{"something hangs on", "key=" + agentKey + "xyz.", "key=[REDACTED]."},
		{"in a path", "/v1/" + agentKey + "/items?k=" + url.QueryEscape(sessionToken), "/v1/[REDACTED]/items?k=[REDACTED]"},
		{"percent-encoded", "k=" + strings.ReplaceAll(agentKey, "_", "%5f") + "&l=1", "k=[REDACTED]&l=1"},
		{"percent-encoded as a whole", "k=" + percent(agentKey), "k=[REDACTED]"},
		{"percent-encoded twice", "k=" + percent(percent(sessionToken)) + "%26", "k=[REDACTED]%26"},
		{"escaped", `{"k":"` + unicode(agentKey) + `"}`, `{"k":"[REDACTED]"}`},
		{"escaped twice", `{"k":"{\"l\":\"` + strings.ReplaceAll(unicode(sessionToken), `\`, `\\`) + `\"}"}`, `{"k":"{\"l\":\"[REDACTED]\"}"}`},
		{"escaped, then percent-encoded", "q=" + percent(`{"k":"`+unicode(agentKey)+`"}`), "q=%7b%22%6b%22%3a%22[REDACTED]%22%7d"},
		{"behind an escape", `{"k":"\\` + agentKey + `\n"}`, `{"k":"\\[REDACTED]\n"}`},
		{"behind a percent sign", "100%25" + agentKey, "100%25[REDACTED]"},
	}
	for _, tc := range cases {
		if got := c.text(tc.in); got != tc.want {
			t.Errorf("%s: %q\n became %q,\n want %q", tc.name, tc.in, got, tc.want)
		}
	}
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func unicode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\u%04x`, s[i])
	}
	return b.String()
}

// A secret whose place begins in the middle of an escape must not leave JSON that nobody can read.
func TestRedactedJSONStaysJSON(t *testing.T) {
	t.Parallel()
	c := newCensor([]string{"41abcdefgh", "1234567890123456"})
	for in, want := range map[string]string{
		`{"k":"` + agentKey + `"}`:                          `{"k":"[REDACTED]"}`,
		`{"` + agentKey + `":1}`:                            `{"[REDACTED]":1}`,
		`{"k":"\reeve_00000000000_` + lookup43 + `"}`:       `"[REDACTED]"`,
		`{"k":"\u0041abcdefgh"}`:                            `"[REDACTED]"`,
		`{"n":1234567890123456}`:                            `"[REDACTED]"`,
		`{"k":"agent_hT3vK8sWq1Z_","l":"` + lookup43 + `"}`: `{"k":"agent_hT3vK8sWq1Z_","l":"` + lookup43 + `"}`,
	} {
		if got := string(c.json(json.RawMessage(in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

// encodings are what may lie between a secret and the text it is reported in.
var encodings = []func(string) string{
	func(s string) string { return s },
	url.QueryEscape,
	url.PathEscape,
	percent,
	unicode,
	func(s string) string { return strings.ToUpper(percent(s)) },
	func(s string) string { return strings.ReplaceAll(s, "_", "%5F") },
	func(s string) string { return strings.ReplaceAll(s, "_", `\x5f`) },
	func(s string) string { return strings.ReplaceAll(s, "-", `\-`) },
	func(s string) string { quoted, _ := json.Marshal(s); return string(quoted) },
	func(s string) string { quoted, _ := json.Marshal(map[string]string{"v": s}); return string(quoted) },
}

// says reports whether a text holds the secret, decoded as often as a reader might.
func says(text, secret string) bool {
	for range maxLayers + 1 {
		if strings.Contains(text, secret) {
			return true
		}
		text = decode(text)
	}
	return false
}

func TestNoSecretSurvives(t *testing.T) {
	t.Parallel()
	letters := func(n int) *rapid.Generator[string] { return rapid.StringMatching(fmt.Sprintf("[0-9A-Za-z]{%d}", n)) }
	noise := rapid.SampledFrom([]string{
		"", " ", "_", "%", `\`, `"`, `\\`, "%25", "%5", `\u00`, `\n`, "agent_", "a", "0", "é", "/", "?k=", "&", "[REDACTED]", "eyJ", "{}", "\x00", "\xff",
	})
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.StringMatching(`eyJ[0-9A-Za-z_-]{10,40}\.[0-9A-Za-z_-]{10,40}`).Draw(t, "token")
		key := rapid.SampledFrom(keyLabels).Draw(t, "label") + letters(lookupSize).Draw(t, "lookup") + "_" + letters(secretSize).Draw(t, "secret")
		var b strings.Builder
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			for _, s := range rapid.SliceOfN(noise, 0, 4).Draw(t, "noise") {
				b.WriteString(s)
			}
			part := rapid.SampledFrom([]string{given, key, "plain text", "snake_case_name", `{"a":"b"}`}).Draw(t, "part")
			for range rapid.IntRange(0, 2).Draw(t, "layers") {
				part = encodings[rapid.IntRange(0, len(encodings)-1).Draw(t, "encoding")](part)
			}
			b.WriteString(part)
		}
		in := storable(b.String())
		got := newCensor([]string{given}).text(in)
		if says(got, given) || says(got, key) {
			t.Fatalf("%q became %q, which says %q or %q", in, got, given, key)
		}
		if got != in && !says(in, given) && !says(in, key) {
			t.Fatalf("%q became %q, but held no secret", in, got)
		}
	})
}

// FuzzCensor looks for texts that break the search, and checks that it does its work once and for all.
func FuzzCensor(f *testing.F) {
	for _, seed := range []string{agentKey, percent(agentKey), unicode(sessionToken), `\\u005f%25%5`, "%", `\`, `\u`, "a" + strings.Repeat(`\`, 9) + "u005f"} {
		f.Add(seed)
	}
	c := newCensor([]string{agentKey, sessionToken})
	f.Fuzz(func(t *testing.T, in string) {
		once := c.text(in)
		if c.text(once) != once {
			t.Errorf("%q became %q, and that %q", in, once, c.text(once))
		}
		if strings.Contains(once, sessionToken) || len(findKeys(nil, once)) > 0 {
			t.Errorf("a secret survived: %q", once)
		}
	})
}

func TestPartsThatOverlapAreCutOnce(t *testing.T) {
	t.Parallel()
	got := cut("0123456789", []span{{6, 8}, {1, 3}, {2, 5}, {3, 4}})
	if want := "0[REDACTED]5[REDACTED]89"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := merge([]span{{0, 2}, {2, 3}}); !slices.Equal(got, []span{{0, 2}, {2, 3}}) {
		t.Errorf("spans that only touch became %v", got)
	}
}
