package upstream_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"unsaid":               {nil, 0},
		"seconds":              {map[string]string{"Retry-After": " 12 "}, 12 * time.Second},
		"fraction":             {map[string]string{"Retry-After": "0.25"}, 250 * time.Millisecond},
		"milliseconds first":   {map[string]string{"Retry-After": "12", "Retry-After-Ms": "1500"}, 1500 * time.Millisecond},
		"date":                 {map[string]string{"Retry-After": "Sat, 21 Nov 2026 12:01:30 GMT"}, 90 * time.Second},
		"date in an old form":  {map[string]string{"Retry-After": "Sat Nov 21 12:00:05 2026"}, 5 * time.Second},
		"date that has passed": {map[string]string{"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0},
		"date far away":        {map[string]string{"Retry-After": "Sun, 21 Nov 2027 12:00:00 GMT"}, 24 * time.Hour},
		"negative":             {map[string]string{"Retry-After": "-5"}, 0},
		"endless":              {map[string]string{"Retry-After": "1e300"}, 24 * time.Hour},
		"infinite":             {map[string]string{"Retry-After": "Inf"}, 24 * time.Hour},
		"not a number":         {map[string]string{"Retry-After-Ms": "NaN"}, 0},
		"nonsense":             {map[string]string{"Retry-After": "soon"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for k, v := range tc.header {
				h.Set(k, v)
			}
			if got := upstream.RetryAfter(h, now); got != tc.want {
				t.Errorf("RetryAfter = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestCallIDsFitAndStayDistinct(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 65)
	seen := map[string]string{}
	for _, id := range []string{"toolu_01A-b", "functions.bash:0", "functions.bash:1", long, long + "b", ""} {
		got := upstream.CallID(id)
		if got == "" || len(got) > 64 || strings.ContainsAny(got, ".: ") {
			t.Errorf("CallID(%q) = %q does not fit", id, got)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("CallID gives %q and %q the same id", id, other)
		}
		seen[got] = id
	}
	if got := upstream.CallID("toolu_01A-b"); got != "toolu_01A-b" {
		t.Errorf("an id that fits became %q", got)
	}
}

func TestTextOfBlocksThatAModelCannotTake(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		block core.Block
		want  string
	}{
		"text":            {core.Block{Type: core.BlockText, Text: "a"}, "a"},
		"text document":   {core.Block{Type: core.BlockDocument, Title: "T", Source: &core.Source{Type: "text", Data: "words"}}, "T\n\nwords"},
		"base64 document": {core.Block{Type: core.BlockDocument, Source: &core.Source{Type: "base64", MediaType: "text/csv", Data: "YSxi"}}, "a,b"},
		"PDF":             {core.Block{Type: core.BlockDocument, Title: "T", Source: &core.Source{Type: "base64", MediaType: "application/pdf", Data: "x"}}, `[document "T" (application/pdf) is not shown: this model cannot read it]`},
		"image":           {core.Block{Type: core.BlockImage, Source: &core.Source{Type: "url", URL: "https://e.com/a.png"}}, "[image at https://e.com/a.png is not shown: this model cannot see it]"},
		"search result":   {core.Block{Type: core.BlockSearchResult, Title: "T", Extra: json.RawMessage(`{"source":"https://e.com","content":[{"type":"text","text":"found"}]}`)}, "T\n\nhttps://e.com\nfound"},
		"unknown":         {core.Block{Type: "hologram"}, `[content of type "hologram" is not shown]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, upstream.TextOf(tc.block)); diff != "" {
				t.Errorf("TextOf differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBaseURLsThatHideSecretsAreRefused(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://api.example.com":       true,
		"http://127.0.0.1:11434/v1":     true,
		"api.example.com/v1":            false,
		"ftp://api.example.com":         false,
		"https://":                      false,
		"https://u:secret@example.com":  false,
		"https://example.com/?key=abcd": false,
		"https://example.com/\x7f":      false,
	} {
		err := upstream.CheckBaseURL(url)
		if (err == nil) != ok {
			t.Errorf("CheckBaseURL(%q) = %v, want ok %t", url, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
