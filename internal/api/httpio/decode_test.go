package httpio_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestCheckRefusesWhatNoDialectTakes(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", httpio.MaxDepth+1) + strings.Repeat("]", httpio.MaxDepth+1)
	for _, row := range []struct{ name, body, says string }{
		{"empty", "", "is empty"},
		{"blank", " \n\t", "is empty"},
		{"not JSON", "name=x", "not valid JSON"},
		{"half an object", `{"a": `, "not valid JSON"},
		{"two values", `{} {}`, "not valid JSON"},
		{"invalid UTF-8", "{\"a\": \"\xff\"}", "not valid UTF-8"},
		{"NUL escape", `{"a": "x\u0000y"}`, "NUL"},
		{"NUL escape behind a backslash", `{"a": "\\\u0000"}`, "NUL"},
		{"raw NUL", "{\"a\": \"\x00\"}", "not valid JSON"},
		{"too deep", deep, "deeper than 64"},
		{"bare NaN", `{"a": NaN}`, "not valid JSON"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := httpio.Check([]byte(row.body))
			if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), row.says) {
				t.Errorf("Check(%q) = %v, want Invalid with %q", row.body, err, row.says)
			}
		})
	}
	for _, good := range []string{`{}`, `"\\u0000 is text"`, `{"brackets": "[[[[{{{{\"]"}`, strings.Repeat("[", 64) + strings.Repeat("]", 64)} {
		if err := httpio.Check([]byte(good)); err != nil {
			t.Errorf("Check(%q) = %v, want nil", good, err)
		}
	}
}

func TestDecodeNamesTheField(t *testing.T) {
	t.Parallel()
	type inner struct {
		Limit int `json:"limit"`
	}
	type body struct {
		Name  string  `json:"name"`
		Items []inner `json:"items"`
	}
	for _, row := range []struct {
		name, body, field, says string
		unknown                 httpio.Unknown
	}{
		{"wrong type", `{"name": 5}`, "name", "got a number", httpio.IgnoreUnknown},
		{"wrong type below", `{"items": [{"limit": "x"}]}`, "items.limit", "got a string", httpio.IgnoreUnknown},
		{"unknown", `{"nom": "x"}`, "nom", "unknown field", httpio.RejectUnknown},
		{"not an object", `[1]`, "", "must be a JSON object", httpio.IgnoreUnknown},
		{"null", `null`, "", "must be a JSON object", httpio.IgnoreUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var v body
			err := httpio.Decode([]byte(row.body), &v, row.unknown)
			var e *core.Error
			if !errors.As(err, &e) || e.Kind != core.Invalid || e.Field != row.field || !strings.Contains(e.Message, row.says) {
				t.Errorf("Decode(%s) = %v, want Invalid, field %q, %q", row.body, err, row.field, row.says)
			}
		})
	}
	var v body
	if err := httpio.Decode([]byte(`{"name": "a", "more": 1}`), &v, httpio.IgnoreUnknown); err != nil || v.Name != "a" {
		t.Errorf("Decode with an ignored member = %v, %+v", err, v)
	}
}

func TestOptionalTellsAbsentNullAndValueApart(t *testing.T) {
	t.Parallel()
	var v struct {
		A, B, C httpio.Optional[string]
	}
	if err := httpio.Decode([]byte(`{"B": null, "C": "x"}`), &v, httpio.RejectUnknown); err != nil {
		t.Fatal(err)
	}
	if v.A.Set || !v.B.Set || !v.B.Null || !v.C.Set || v.C.Null || v.C.V != "x" {
		t.Errorf("got %+v", v)
	}
}

func TestReadBodyStopsAtItsLimit(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := httpio.ReadBody(w, r, 10)
		if err != nil {
			httpio.WriteJSON(w, http.StatusRequestEntityTooLarge, core.CodeOf(err))
			return
		}
		httpio.WriteJSON(w, http.StatusOK, len(raw))
	}))
	t.Cleanup(srv.Close)
	for size, want := range map[int]int{10: http.StatusOK, 11: http.StatusRequestEntityTooLarge, 10 << 20: http.StatusRequestEntityTooLarge} {
		res, err := http.Post(srv.URL, "application/json", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, res.StatusCode, want)
		}
	}
}
