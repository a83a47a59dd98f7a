package observe

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// typical is what the original's SDK reports: about 1 KB of texts, and two secrets in the headers.
func typical() Report {
	return Report{
		Path: "/api/v1/orders/4711/items", Method: "POST", StatusCode: 200, LatencyMS: 84.25, RequestBytes: 240, ResponseBytes: 311,
		RequestHeaders: new(`{"host": "shop.example:8443", "user-agent": "python-requests/2.31.0", "accept-encoding": "gzip, deflate", "accept": "*/*", "connection": "keep-alive", ` +
			`"x-request-id": "0198c1d2-5b1c-7e3a-9d55-0d6a4a7f7c11", "authorization": "[REDACTED]", "x-otas-agent-session-sessionToken": "` + sessionToken + `"}`),
		RequestBody:         new(`{"order_id": "4711", "line_items": [{"sku": "A-100", "quantity": 2, "unit_price": 12.5}, {"sku": "B-7", "quantity": 1, "unit_price": 3.2}], "ship_to": "12 Harbour Lane", "note": "call \"before\" noon\n"}`),
		QueryParams:         new(`{"expand": ["line_items"], "page": ["1"]}`),
		PostData:            new(`{}`),
		ResponseHeaders:     new(`{"Content-Type": "application/json", "X-Frame-Options": "DENY", "Vary": "Cookie, Accept", "Content-Length": "311"}`),
		ResponseBody:        new(`{"order_id": "4711", "status": "accepted", "total_price": 28.2, "estimated_at": "2026-05-02T10:00:01.204417+00:00", "links": {"self": "/api/v1/orders/4711"}}`),
		RequestContentType:  new("application/json"),
		ResponseContentType: new("application/json"),
		CustomProperties:    []byte(`{}`),
		Metadata:            []byte(`{}`),
		Error:               new(""),
	}
}

// BenchmarkCapture is all that happens to a report before the store has it. The budget is 8 µs.
func BenchmarkCapture(b *testing.B) {
	s := New(nil, nil, nil, nil, Options{})
	from := Source{By: core.Principal{Kind: core.PrincipalSDK, Project: "p"}, Agent: "a", Session: "s", Secrets: []string{agentKey, sessionToken}}
	plain := typical()
	plain.RequestHeaders = new(strings.ReplaceAll(*plain.RequestHeaders, sessionToken, "none"))
	encoded := typical()
	encoded.QueryParams = new("next=" + percent("/a?b="+agentKey))
	for name, r := range map[string]Report{"typical": typical(), "no secret": plain, "encoded secret": encoded} {
		b.Run(name, func(b *testing.B) {
			hide, now := newCensor(from.Secrets), s.clock()
			b.ReportAllocs()
			b.SetBytes(r.size())
			for b.Loop() {
				if _, err := s.capture(from, r, now, hide); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode is the slow way: a body full of escapes.
func BenchmarkDecode(b *testing.B) {
	c := newCensor([]string{agentKey, sessionToken})
	for name, text := range map[string]string{
		"percent":    strings.Repeat("%41%5Fb", 150),
		"json":       strings.Repeat(`{\"a_b\":\"c\\u005fd\"}`, 50),
		"underlines": strings.Repeat("a_snake_case_name ", 60),
		"hostile":    strings.Repeat("%25", 350),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c.text(text)
			}
		})
	}
}
