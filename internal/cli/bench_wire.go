package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// shot is a request that is made once and sent many times.
type shot struct {
	raw  []byte // as it goes over the wire
	want int    // the status of its success
}

// newShot makes a request of a path below base. A nil body is a GET, any other a POST.
func newShot(base, path string, header http.Header, body []byte, want int) (shot, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(context.Background(), method, base+path, bytes.NewReader(body)) // it is only written down
	if err != nil {
		return shot{}, fmt.Errorf("make the request %s: %w", path, err)
	}
	req.Header = header.Clone()
	req.Header.Set("User-Agent", "reeve-bench")
	if body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	var raw bytes.Buffer
	raw.Grow(len(body) + 1024)
	if err := req.Write(&raw); err != nil {
		return shot{}, fmt.Errorf("make the request %s: %w", path, err)
	}
	return shot{raw: raw.Bytes(), want: want}, nil
}

// answer is what came back for a shot. Its body is good until the next one.
type answer struct {
	status     int
	retryAfter string
	body       []byte
}

// check is the error of an answer that is not the one wanted.
func (a answer) check(s shot) error {
	if a.status == s.want {
		return nil
	}
	line, _, _ := bytes.Cut(s.raw, []byte("\r\n"))
	return fmt.Errorf("%s: the server answered %d: %s", line, a.status, clean(cut(string(a.body), 300)))
}

// into decodes the answer, which must be the one wanted, into out unless that is nil.
func (a answer) into(s shot, out any) error {
	if err := a.check(s); err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	return nil
}

// wire is one client's connection. It does little more than write and read, since the cores are the
// server's too: net/http's client costs several times as much for each request. Its methods are called from
// one goroutine, all with the same context, whose end closes the connection.
type wire struct {
	base string
	conn net.Conn // nil: not connected
	in   *bufio.Reader
	body bytes.Buffer
	off  func() bool
}

// dialTimeout bounds the opening of a connection.
const dialTimeout = 10 * time.Second

func (w *wire) dial(ctx context.Context) error {
	u, err := url.Parse(w.base)
	if err != nil {
		return fmt.Errorf("read the address of the server: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // the dialer knows http and https
	}
	address := net.JoinHostPort(u.Hostname(), port)
	plain := &net.Dialer{Timeout: dialTimeout}
	if u.Scheme == "https" {
		w.conn, err = (&tls.Dialer{NetDialer: plain}).DialContext(ctx, "tcp", address)
	} else {
		w.conn, err = plain.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		w.conn = nil
		return fmt.Errorf("connect to the server: %w", err)
	}
	conn := w.conn
	w.off = context.AfterFunc(ctx, func() { _ = conn.Close() })
	w.in = bufio.NewReaderSize(w.conn, 16<<10)
	return nil
}

// send writes a shot and reads the whole answer, whatever its status.
func (w *wire) send(ctx context.Context, s shot) (answer, error) {
	if w.conn == nil {
		if err := w.dial(ctx); err != nil {
			return answer{}, err
		}
	}
	if _, err := w.conn.Write(s.raw); err != nil {
		return answer{}, fmt.Errorf("send the request: %w", err)
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	w.body.Reset()
	if _, err := io.Copy(&w.body, res.Body); err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if res.Close {
		w.close()
	}
	return answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After"), body: w.body.Bytes()}, nil
}

// must sends a shot that has to succeed, and decodes its answer into out unless that is nil.
func (w *wire) must(ctx context.Context, s shot, out any) error {
	a, err := w.send(ctx, s)
	if err != nil {
		return err
	}
	return a.into(s, out)
}

func (w *wire) close() {
	if w.conn == nil {
		return
	}
	w.off()
	_ = w.conn.Close()
	w.conn = nil
}

// fire sends shots one after the other, beginning with number first, until limited ends; each takes its
// time, and at least one is sent. Only the end of ctx cuts one off: that is for interrupts.
func fire(ctx, limited context.Context, base string, shots []shot, first int) (times []time.Duration, err error) {
	w := wire{base: base}
	defer w.close()
	for i := first; len(times) == 0 || limited.Err() == nil; i++ {
		s := shots[i%len(shots)]
		began := time.Now()
		if err := w.must(ctx, s, nil); err != nil {
			return times, err
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}
