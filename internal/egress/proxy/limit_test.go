package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/egress/proxy"
)

func TestRequestsOnOneConnectionAreLimitedAsConnectionsAre(t *testing.T) {
	t.Parallel()
	const places = 3
	begun, release := make(chan struct{}), make(chan struct{})
	srv, roots := upstream(t, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	})
	h := open(t, func(o *proxy.Options) {
		with(roots, "127.0.0.1")(o)
		o.Connections = places
	})
	client := h.client(t)
	ask := func() (status, major int, said string) {
		res, err := client.Get(srv.URL)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.ProtoMajor, string(body)
	}
	var wg sync.WaitGroup
	held := func() {
		if status, major, said := ask(); status != http.StatusOK || major != 2 {
			t.Errorf("a request that has a place = %d over HTTP/%d, %q", status, major, said)
		}
	}
	wg.Go(held)
	<-begun // the connection stands, the others use it
	for range places - 1 {
		wg.Go(held)
		<-begun
	}
	if status, major, said := ask(); status != http.StatusServiceUnavailable || major != 2 || !strings.Contains(said, "too many requests of this sandbox are under way") {
		t.Errorf("one more = %d over HTTP/%d, %q", status, major, said)
	}
	close(release)
	wg.Wait()
	go func() { <-begun }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, _, said := ask()
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the free places are not given again: %d %q", status, said)
		}
	}
}

func TestSecretGoesUnencryptedOnlyToAddressesTheOperatorAllows(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%t %t", r.Header.Get("X-Key") == "the-value", string(body) == "the-value")
	}
	plain := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(plain.Close)
	_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
	secure, roots := upstream(t, answer)
	h := open(t, with(roots, "127.0.0.1", "localhost"))
	for url, want := range map[string]string{
		"http://127.0.0.1:" + port: "true true",
		"http://localhost:" + port: "false false", // its address is allowed, but who says that it has it?
		secure.URL:                 "true true",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(placeholder))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Key", placeholder)
		req.Header.Set("Content-Type", "text/plain")
		res, err := h.client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if said, _ := io.ReadAll(res.Body); string(said) != want {
			t.Errorf("%s was sent the secret in header and body: %s, want %s", url, said, want)
		}
		_ = res.Body.Close()
	}
}

func TestOnlyWhoNeedsTheSecretsWaitsForThem(t *testing.T) {
	t.Parallel()
	asked, release := make(chan context.Context, 1), make(chan struct{})
	h := open(t, func(o *proxy.Options) {
		o.Secrets = func(ctx context.Context) ([]proxy.Secret, error) {
			asked <- ctx
			<-release
			return nil, nil
		}
	})
	dial := func(request string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(c, request)
		return c
	}
	t.Cleanup(func() { close(release) }) // before the gateway is waited for
	dial("CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if until, ok := (<-asked).Deadline(); !ok || time.Until(until) > 10*time.Second {
		t.Errorf("the lookup may take until %v, %t", until, ok)
	}
	res, err := http.ReadResponse(bufio.NewReader(dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), nil)
	if err != nil {
		t.Fatalf("another connection waits for the secrets: %v", err)
	}
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("no proxy request = %d", res.StatusCode)
	}
	_ = res.Body.Close()
	if got := h.Refusals(); got != nil {
		t.Errorf("refusals = %q", got)
	}
}

func TestHostNamesThatCannotExistAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *proxy.Options) { o.Policy = proxy.Policy{} })
	for length, want := range map[int]int{253: http.StatusForbidden, 254: http.StatusBadRequest} { // 403 is for what could exist
		name := strings.Repeat("a", length-2) + ".b"
		for _, form := range []string{"CONNECT %s:443 HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://%s./ HTTP/1.1\r\nHost: x\r\n\r\n"} {
			c, err := net.Dial("tcp", h.address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(c, form, name)
			res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(form)[0]})
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != want {
				t.Errorf("%s with %d characters = %d, want %d", strings.Fields(form)[0], length, res.StatusCode, want)
			}
			_, _ = res.Body.Close(), c.Close()
		}
	}
}

func TestOneLeafForEveryWayToWriteAHost(t *testing.T) {
	t.Parallel()
	h := open(t, with(nil, "localhost"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.authority.PEM())
	leaves := map[string]bool{}
	for _, host := range []string{"localhost", "LocalHost", "localhost."} {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: x\r\n\r\n", host)
		res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("tunnel to %s: %v, %v", host, res, err)
		}
		_ = res.Body.Close()
		secure := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "localhost"})
		if err := secure.HandshakeContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		leaves[secure.ConnectionState().PeerCertificates[0].SerialNumber.String()] = true
	}
	if len(leaves) != 1 {
		t.Errorf("%d leaves were made for one host", len(leaves))
	}
}
