package observe

import (
	"encoding/json"
	"fmt"
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
		{"JSON in JSON", `"{\"cookie\": \"x\"}"`, `"{\"cookie\": [REDACTED]`},
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
