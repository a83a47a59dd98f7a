package otas

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestDaysOfAQuery(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"2026-05-02": "2026-05-02", "2026-5-2": "2026-05-02", "2024-02-29": "2024-02-29", "0001-01-01": "0001-01-01", "9999-12-31": "9999-12-31",
		"2026-02-29": "", "0000-01-01": "", "10000-01-01": "", "26-05-02": "", "2026-13-01": "", "2026/05/02": "", "2026-05-02T00:00": "", " 2026-05-02": "", "x": "", "2026-005-02": "",
	} {
		day, err := parseDay(given)
		if want == "" && err == nil || want != "" && (err != nil || day.String() != want) {
			t.Errorf("%q is %v, %v, want %q", given, day, err, want)
		}
	}
}

func TestLimitOfAQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{
		"": 200, "limit=1": 1, "limit=500": 500, "limit=501": 500, "limit=0": 1, "limit=-7": 1, "limit=%2B7": 7, "limit=+7+": 7,
		"limit=99999999999999999999": 500, "limit=-99999999999999999999": 1, "limit=": 0, "limit=1.5": 0, "limit=x": 0, "limit=0x10": 0,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := limit(values, 200, 500)
		if want == 0 && !errors.Is(err, errInvalidLimit) || want != 0 && (err != nil || got != want) {
			t.Errorf("%q is %d, %v, want %d", query, got, err, want)
		}
	}
}

func TestCursorOfCaptures(t *testing.T) {
	t.Parallel()
	key := core.CaptureKey{At: core.Day(20000).Time(), ID: "c60e1d842b974f3a9e5570a8d1c2b346"}
	got, err := captureAfter(url.Values{"after": {captureCursor(&key)}})
	if err != nil || *got != key {
		t.Errorf("cursor = %v, %v, want %v", got, err, key)
	}
	for _, wrong := range []string{"1", ".", "1.", "x.c60e1d842b974f3a9e5570a8d1c2b346", "1.x"} {
		if _, err := captureAfter(url.Values{"after": {wrong}}); core.CodeOf(err) != "invalid_field" {
			t.Errorf("after %q: %v", wrong, err)
		}
	}
}

// TestUnknownGuardLetsNobodyPass: a guard that somebody adds and forgets to check must not be open.
func TestUnknownGuardLetsNobodyPass(t *testing.T) {
	t.Parallel()
	if err := New(Deps{}).check(guardRead+1, &call{r: httptest.NewRequest("GET", "/", nil)}); core.KindOf(err) != core.Internal || err == nil {
		t.Errorf("error = %v", err)
	}
}
