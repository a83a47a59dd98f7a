package observe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValuesOfSecretHeadersAreHidden(t *testing.T) {
	t.Parallel()
	names := newHeaderNames([]string{" X_Internal_Token "})
	cases := []struct{ name, in, want string }{
		{
			"object", `{"host": "a.example", "authorization": "Bearer x", "Cookie":"a=1; b=2"}`,
			`{"host": "a.example", "authorization": "[REDACTED]", "Cookie":"[REDACTED]"}`,
		},
		{"every name", `{"X-API-Key":"1","x-otas-agent-session-token":"2","X_OTAS_SDK_KEY":"3","x-internal-token":"4"}`, `{"X-API-Key":"[REDACTED]","x-otas-agent-session-token":"[REDACTED]","X_OTAS_SDK_KEY":"[REDACTED]","x-internal-token":"[REDACTED]"}`},
		{"lists", `{"set-cookie":["a=1","b=2"],"vary":["Cookie","Authorization"]}`, `{"set-cookie":"[REDACTED]","vary":["Cookie","Authorization"]}`},
		{"other types", `{"cookie":{"a":["b"]},"authorization":12,"api-key":null}`, `{"cookie":"[REDACTED]","authorization":"[REDACTED]","api-key":null}`},
		{"nested", `{"headers":{"authorization":"x"},"n":[{"cookie":"y"}]}`, `{"headers":{"authorization":"[REDACTED]"},"n":[{"cookie":"[REDACTED]"}]}`},
		{"pairs", `[["host","a"],["Authorization","Bearer x"],["cookie","a","b"]]`, `[["host","a"],["Authorization","[REDACTED]"],["cookie","[REDACTED]","[REDACTED]"]]`},
		{"pairs in an object", `{"headers":[["cookie","x"]]}`, `{"headers":[["cookie","[REDACTED]"]]}`},
		{"names and values take turns", `["Host","a","Cookie","x","Accept","cookie"]`, `["Host","a","Cookie","[REDACTED]","Accept","cookie"]`},
		{
			"HAR", `[{"name":"Cookie","value":"x"},{"value":"y","name":"authorization"},{"name":"accept","value":"cookie"}]`,
			`[{"name":"Cookie","value":"[REDACTED]"},{"value":"[REDACTED]","name":"authorization"},{"name":"accept","value":"cookie"}]`,
		},
		{"escaped name", `{"\u0041uthorization":"x"}`, `{"\u0041uthorization":"[REDACTED]"}`},
		{"escaped value", `{"cookie":"a\"b\\","host":"x\\"}`, `{"cookie":"[REDACTED]","host":"x\\"}`},
		{"WSGI", `{"HTTP_AUTHORIZATION":"x","HTTP_HOST":"y"}`, `{"HTTP_AUTHORIZATION":"[REDACTED]","HTTP_HOST":"y"}`},
		{"Python", `{'Host': 'a', 'Authorization': "it's x", 'n': None, 't': True,}`, `{'Host': 'a', 'Authorization': '[REDACTED]', 'n': None, 't': True,}`},
		{"ASGI", `[(b'host', b'a'), (b'cookie', b'x')]`, `[(b'host', b'a'), (b'cookie', '[REDACTED]')]`},
		{"Python that is no value", `Headers([('host', 'a'), ('cookie', 'x')])`, `Headers([('host', 'a'), ('cookie', [REDACTED]`},
		{"unreadable", `{'host': <Host a>, 'cookie': 'x', 'vary': 'y'}`, `{'host': <Host a>, 'cookie': [REDACTED]`},
		{"cut off", `{"host":"a","authorization":"Bear`, `{"host":"a","authorization":[REDACTED]`},
		{"too deep", strings.Repeat("[", 40) + `{"cookie":"x"}`, strings.Repeat("[", 40) + `{"cookie":[REDACTED]`},
		{"JSON in JSON", `"{\"cookie\": \"x\"}"`, `"{\"cookie\": \"[REDACTED]\"}"`},
		{"a line in a list", `["Authorization: Bearer x"]`, `["Authorization: [REDACTED]"]`},
		{"of curl", `["-H","Authorization: Bearer x","-H","a: b"]`, `["-H","Authorization: [REDACTED]","-H","a: b"]`},
		{"names and values behind something", `["-H","Authorization","Bearer x","y"]`, `["-H","Authorization","[REDACTED]","y"]`},
		{"lines in an object", `{"raw":"Authorization: Bearer x\r\nHost: y"}`, `{"raw":"Authorization: [REDACTED]\r\nHost: y"}`},
		{"Python's lines", `{'raw': b'it\'s\r\nCookie: x'}`, `{'raw': 'it\'s\r\nCookie: [REDACTED]'}`},
		{"JSON in an object", `{"headers":"{\"authorization\":\"x\",\"a\":\"é\\u00e9\"}"}`, `{"headers":"{\"authorization\":\"[REDACTED]\",\"a\":\"é\\u00e9\"}"}`},
		{"JSON in JSON in JSON", `{"a":"{\"b\":\"{\\\"cookie\\\":\\\"x\\\"}\"}"}`, `{"a":"{\"b\":\"{\\\"cookie\\\":\\\"[REDACTED]\\\"}\"}"}`},
		{"names and values take turns in an object", `{"rawHeaders":["Host","a","Authorization","Bearer x"]}`, `{"rawHeaders":["Host","a","Authorization","[REDACTED]"]}`},
		{"names in an object", `{"secret":["Cookie","Authorization"],"Vary":["Cookie","accept"]}`, `{"secret":["Cookie","Authorization"],"Vary":["Cookie","accept"]}`},
		{"names called otherwise", `{"headerName":"Authorization","headerValue":"x"}`, `{"headerName":"Authorization","headerValue":"[REDACTED]"}`},
		{"names called otherwise again", `[{"header_key":"cookie","key":"x","n":null}]`, `[{"header_key":"cookie","key":"[REDACTED]","n":null}]`},
		{"a name in a name", `{"name":"cookie","value":{"name":"cookie","value":["x"]}}`, `{"name":"cookie","value":"[REDACTED]"}`},
		{"a secret in a key", `{"Cookie: x":1}`, `{"Cookie: [REDACTED]":1}`},
		{"a secret in a key of a named object", `{"name":"cookie","Cookie: x":1}`, `{"name":"cookie","Cookie: [REDACTED]":"[REDACTED]"}`},
		{"CGI", `{"REDIRECT_HTTP_AUTHORIZATION":"x","REDIRECT_REDIRECT_HTTP_COOKIE":"y"}`, `{"REDIRECT_HTTP_AUTHORIZATION":"[REDACTED]","REDIRECT_REDIRECT_HTTP_COOKIE":"[REDACTED]"}`},
		{"environment", "REDIRECT_HTTP_AUTHORIZATION=Bearer x\nHTTP_HOST=a", "REDIRECT_HTTP_AUTHORIZATION=[REDACTED]\nHTTP_HOST=a"},
		{"percent-encoded", "Authorization%3A%20Bearer%20x", "Authorization: [REDACTED]"},
		{"percent-encoded twice", `{"q":"a%253Db%250ACookie%253A%2520x"}`, `{"q":"a=b\nCookie: [REDACTED]"}`},
		{"percent-encoded JSON", "%7B%22Cookie%22%3A%22x%22%7D", `{"Cookie":"[REDACTED]"}`},
		{"percent-encoded, no secret", `{"referer":"https://a.example/?q=%7B%22vary%22%3A%22Cookie%22%7D"}`, `{"referer":"https://a.example/?q=%7B%22vary%22%3A%22Cookie%22%7D"}`},
		{
			"more names", `{"x-csrf-token":1,"x-access-token":2,"x-vault-token":3,"private-token":4,"x-gitlab-token":5,"x-functions-key":6}`,
			`{"x-csrf-token":"[REDACTED]","x-access-token":"[REDACTED]","x-vault-token":"[REDACTED]","private-token":"[REDACTED]","x-gitlab-token":"[REDACTED]","x-functions-key":"[REDACTED]"}`,
		},
		{"lines", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nVary: Cookie\r\n", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: [REDACTED]\r\nVary: Cookie\r\n"},
		{"folded lines", "cookie: a\n\tb\n c\nhost: d", "cookie: [REDACTED]\nhost: d"},
		{"value on the next line", "cookie:\n a=1\nhost: d", "cookie:[REDACTED]\nhost: d"},
		{"one line", "host=a; x_api_key=b", "host=a; x_api_key=[REDACTED]"},
		{"Go", "map[Accept:[*/*] Authorization:[Bearer x]]", "map[Accept:[*/*] Authorization:[REDACTED]"},
		{"Ruby", `{"cookie"=>"x"}`, `{"cookie"=>[REDACTED]`},
		{"no value", "Cookie:\r\n", "Cookie:\r\n"},
	}
	for _, tc := range cases {
		if got, _ := names.redact(tc.in); got != tc.want {
			t.Errorf("%s: %s\n became %s,\n want %s", tc.name, tc.in, got, tc.want)
		}
	}
}

func TestSecretHeadersAreNamedInOnePlace(t *testing.T) {
	t.Parallel()
	got := SecretHeaders(" X_Internal_Token ", "Cookie", "")
	for _, name := range []string{
		"authorization", "cookie", "x-csrf-token", "x-access-token", "x-vault-token", "private-token", "x-gitlab-token", "x-amz-security-token", "x-goog-api-key",
		"x-functions-key", "ocp-apim-subscription-key", "x-auth-token", "x-session-token", "x-refresh-token", "x-internal-token",
	} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != len(secretHeaders)+1 {
		t.Errorf("%q: a name is there twice, or empty", got)
	}
	if got[0] = "mine"; secretHeaders[0] == "mine" {
		t.Error("the list can be changed from outside")
	}
}

// Texts that are made to cost much: 1 MB of each takes some milliseconds, and none hides what it should show
// or fails to end. Bytes that are looked at are counted, because a clock is not to be trusted here.
func TestHostileHeadersCostLittle(t *testing.T) {
	t.Parallel()
	names := newHeaderNames(nil)
	const size = 1 << 20
	named, inText := strings.Repeat(`{"name":"cookie","value":`, 31), `"cookie: x"`
	for range 12 {
		if next := enquote("["+inText+"]", '"'); len(next) < size {
			inText = next
		}
	}
	for name, text := range map[string]string{
		"named objects in one another": named + `"` + strings.Repeat("x", size) + `"` + strings.Repeat("}", 31),
		"many members":                 named + `{` + strings.Repeat(`"":0,`, size/5) + `}` + strings.Repeat("}", 31),
		"text in text":                 `{"a":` + inText + `}`,
		"percent signs":                `{"a":"` + strings.Repeat("%25", size/3) + `3a"}`,
		"percent-encoded brackets":     strings.Repeat("[%255B%5B", size/9),
		"brackets in texts":            `[` + strings.Repeat(`"{[(%25",`, size/10) + `0]`,
		"names without an end":         strings.Repeat("cookie:\n ", size/9),
		"backslashes":                  `{"a":"` + strings.Repeat(`\\`, size/2) + `:"}`,
	} {
		c := headerCleaner{names: names, work: len(text)*workPerByte + workForAll}
		before := c.work
		got, _ := c.clean(text, headerLayers)
		if spent := before - c.work; spent > 2*before {
			t.Errorf("%s: %d bytes were looked at, of %d", name, spent, len(text))
		}
		if strings.Contains(got, "cookie: x") {
			t.Errorf("%s: the secret is still there", name)
		}
	}
}

func BenchmarkHostileHeaders(b *testing.B) {
	names := newHeaderNames(nil)
	for name, text := range map[string]string{
		"named":   strings.Repeat(`{"name":"cookie","value":`, 31) + `{` + strings.Repeat(`"":0,`, 1<<20/5) + `}` + strings.Repeat("}", 31),
		"percent": `{"a":"` + strings.Repeat("%25", 1<<20/3) + `3a"}`,
		"mixed":   `[` + strings.Repeat(`"{[(%25",`, 1<<20/10) + `0]`,
		"lines":   strings.Repeat("a: b%3A\n", 1<<20/8),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				names.redact(text)
			}
		})
	}
}

// headerText writes pairs of names and values in one of the forms in which they are reported.
func headerText(t *rapid.T, pairs [][2]string) string {
	var b strings.Builder
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		b.WriteString("{")
		for i, p := range pairs {
			name, _ := json.Marshal(p[0])
			value, _ := json.Marshal(p[1])
			fmt.Fprintf(&b, "%s%s: %s", strings.Repeat(", ", min(i, 1)), name, value)
		}
		b.WriteString("}")
	case 1:
		raw, _ := json.Marshal(pairs)
		b.Write(raw)
	case 2:
		for _, p := range pairs {
			fmt.Fprintf(&b, "%s: %s\r\n", p[0], p[1])
		}
	case 3:
		b.WriteString("{")
		for _, p := range pairs {
			fmt.Fprintf(&b, `'%s': '%s', `, p[0], strings.ReplaceAll(p[1], "'", `\'`))
		}
		b.WriteString("}")
	}
	return b.String()
}

func TestHeadersKeepNoSecretAndLoseNothingElse(t *testing.T) {
	t.Parallel()
	names := newHeaderNames(nil)
	rapid.Check(t, func(t *rapid.T) {
		harmless := rapid.SampledFrom([]string{"host", "Accept", "x-request-id", "Vary", "cookie-policy", "my-authorization", "Access-Control-Allow-Headers"})
		value := rapid.SampledFrom([]string{"a.example", "*/*", "Cookie", "authorization, x-api-key", `"quoted"`, "it's", "x;q=0.9", "é", "{}", "[1]", ""})
		secret := rapid.StringMatching(`s3cret[0-9a-z"'{}\[\], ;=%]{0,12}`)
		pairs := make([][2]string, rapid.IntRange(0, 6).Draw(t, "headers"))
		hidden := false
		for i := range pairs {
			pairs[i] = [2]string{harmless.Draw(t, "name"), value.Draw(t, "value")}
			if rapid.Bool().Draw(t, "secret header") {
				name := rapid.SampledFrom(secretHeaders).Draw(t, "secret name")
				if rapid.Bool().Draw(t, "other spelling") {
					name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
				}
				pairs[i], hidden = [2]string{name, secret.Draw(t, "secret")}, true
			}
		}
		in := headerText(t, pairs)
		got, _ := names.redact(in)
		if strings.Contains(got, "s3cret") {
			t.Fatalf("%s became %s", in, got)
		}
		if !hidden && got != in {
			t.Fatalf("%s became %s, but has no secret header", in, got)
		}
		if json.Valid([]byte(in)) && !json.Valid([]byte(got)) {
			t.Fatalf("%s became %s, which is no JSON", in, got)
		}
		if again, _ := names.redact(got); again != got && in[0] == '{' {
			t.Fatalf("%s became %s, and that %s", in, got, again)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{`{"cookie":"x"}`, `[["cookie","x"]]`, "cookie: x\r\n y\r\n", `{'cookie': b'x'}`, `{"a":"\`, `{"name":"cookie","value":{"k":[]}}`} {
		f.Add(seed)
	}
	names := newHeaderNames(nil)
	f.Fuzz(func(t *testing.T, in string) {
		got, _ := names.redact(in)
		var before, after map[string]any
		if json.Unmarshal([]byte(in), &before) != nil {
			return
		}
		if err := json.Unmarshal([]byte(got), &after); err != nil {
			t.Fatalf("%q became %q: %v", in, got, err)
		}
		for name, value := range after {
			if names.has(name) && value != nil && value != redacted {
				t.Errorf("%q became %q", in, got)
			}
		}
	})
}
