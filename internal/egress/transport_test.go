package egress_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/reeve-ai/reeve/internal/egress"
)

func TestTransportSendsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer x" || string(body) != "a=b" {
			t.Errorf("request = %s %v %q, %v", r.Method, r.Header, body, err)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("a=b"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	res, err := (&http.Client{Transport: egress.New(local()).Transport()}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("status = %d", res.StatusCode)
	}
}

func TestTransportReachesNoPrivateAddress(t *testing.T) {
	t.Parallel()
	inside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	redirecting := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(inside.URL, "127.0.0.1", "127.0.0.2", 1), http.StatusTemporaryRedirect)
	})
	closed := &http.Client{Transport: egress.New(egress.Options{}).Transport()}
	open := &http.Client{Transport: egress.New(local()).Transport()}
	for _, tt := range []struct {
		client    *http.Client
		url, says string
	}{
		{closed, inside.URL, "public"},
		{open, redirecting.URL, "public"},
		{open, "ftp://example.com/", "http"},
		{open, "http://user:secret@" + strings.TrimPrefix(inside.URL, "http://"), "password"},
	} {
		res, err := tt.client.Post(tt.url, "text/plain", strings.NewReader("x"))
		if err == nil {
			_ = res.Body.Close()
		}
		check(t, err, "url_not_allowed", tt.says)
	}
}

func TestConnectionsAreKeptOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for keep, want := range map[bool]int{false: 3, true: 2} {
		var mu sync.Mutex
		from := map[string]bool{}
		srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			from[r.RemoteAddr] = true
		})
		o := local()
		o.KeepAlive = keep
		c := egress.New(o)
		get := func() {
			res, err := (&http.Client{Transport: c.Transport()}).Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		get()
		get()
		c.Close()
		get()
		c.Close()
		if len(from) != want {
			t.Errorf("kept %v: 3 requests made %d connections, want %d", keep, len(from), want)
		}
	}
}
