package managed

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestEveryKindOfErrorHasItsBodyInBothFlavours(t *testing.T) {
	t.Parallel()
	for _, fl := range flavours {
		for _, kind := range core.Kinds {
			t.Run(fmt.Sprintf("%s %s", fl.name, kind), func(t *testing.T) {
				t.Parallel()
				err := &core.Error{
					Kind: kind, Code: "some_code", Field: "name", Message: "shown to clients", RetryAfter: 1200 * time.Millisecond,
					Err: fmt.Errorf("secret: /var/lib/reeve"),
				}
				a := fl.failure("req_1", fmt.Errorf("while doing: %w", err))
				if a.status < 400 || a.status > 599 {
					t.Errorf("status = %d", a.status)
				}
				var body map[string]any
				if err := json.Unmarshal(a.body, &body); err != nil {
					t.Fatal(err)
				}
				detail := body["error"].(map[string]any)
				if body["type"] != "error" || body["request_id"] != "req_1" || detail["type"] == "" {
					t.Errorf("body = %s", a.body)
				}
				message, param, retry := "shown to clients", any(nil), "2"
				if kind == core.Internal {
					message, retry = kindTexts[core.Internal], ""
				} else if fl == Qoder {
					param = "name"
				}
				if detail["message"] != message || detail["param"] != param || a.header.Get("Retry-After") != retry {
					t.Errorf("answer = %v %s, want message %q, param %v, Retry-After %q", a.header, a.body, message, param, retry)
				}
				if got := a.header.Get("X-Should-Retry"); (got == "false") != (kind == core.Conflict) {
					t.Errorf("x-should-retry = %q", got)
				}
			})
		}
	}
}

func TestErrorsWithoutAMessageGetOne(t *testing.T) {
	t.Parallel()
	for _, kind := range core.Kinds {
		if got := string(Claude.failure("", &core.Error{Kind: kind}).body); kindTexts[kind] == "" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}
