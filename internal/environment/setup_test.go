package environment_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/environment"
	"github.com/reeve-ai/reeve/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked()
	goleak.VerifyTestMain(m)
}

// bundle is the service with real sandboxes, on a data folder of its own.
type bundle struct {
	*environment.Service
	t    *testing.T
	data string
	pool *sandbox.Pool
	log  *lockedBuffer
	opts environment.Options

	mu      sync.Mutex
	secrets []environment.Variable
}

type lockedBuffer struct {
	sync.Mutex
	b bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.Lock()
	defer l.Unlock()
	return l.b.String()
}

// setup skips where sandboxes have no namespaces. What the sandboxes may reach is loopback.
func setup(t *testing.T, change ...func(*environment.Options)) *bundle {
	t.Helper()
	needs(t, "curl", "--version")
	b := &bundle{t: t, data: t.TempDir(), log: &lockedBuffer{}}
	driver, report, err := sandbox.Select(t.Context(), sandbox.ModeAuto, sandbox.Options{DataFolder: b.data})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Namespaces {
		t.Skip(report.Line)
	}
	b.pool = sandbox.NewPool(driver, 0, 0)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1) // holds the one result
	go func() { ended <- b.pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	b.opts = environment.Options{
		Root: filepath.Join(b.data, "environments"), Network: true, Namespaces: true, Sandboxes: b.pool,
		Egress:       egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Installation: []byte(strings.Repeat("i", 32)), Fresh: time.Nanosecond, SetUpTime: time.Minute,
		Now: time.Now, Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Secrets: func(context.Context, core.ProjectID, []core.VaultID) ([]environment.Variable, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.secrets, nil
		},
	}
	for _, c := range change {
		c(&b.opts)
	}
	b.restart()
	return b
}

// needs skips where a program is not among those that sandboxes see.
func needs(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), filepath.Join("/usr/bin", program), args...).CombinedOutput(); err != nil {
		t.Skipf("%s does not work here: %v %s", program, err, out)
	}
}

// restart begins another life of the service on the same folder.
func (b *bundle) restart() {
	b.t.Helper()
	var err error
	if b.Service, err = environment.New(b.opts); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) keep(secrets ...environment.Variable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.secrets = secrets
}

// session is one with a vault.
func session() core.Session {
	return core.Session{
		Project: core.NewID[core.ProjectID](), ID: core.NewID[core.SessionID](), Environment: core.NewID[core.EnvironmentID](),
		VaultIDs: []string{"v"}, Snapshot: &core.AgentSpec{},
	}
}

func limited(hosts ...string) core.EnvironmentConfig {
	return core.EnvironmentConfig{Networking: core.Networking{Limited: true, AllowedHosts: hosts}}
}

// open readies and starts a session's sandbox.
func (b *bundle) open(sess core.Session, recipe core.EnvironmentConfig) (box, error) {
	b.t.Helper()
	ready, err := b.Ready(b.t.Context(), sess, recipe, core.SandboxSpec{Session: sess.ID, Folder: filepath.Join(b.data, "work", string(sess.ID))})
	if err != nil {
		return box{}, err
	}
	sb, err := b.pool.Sandbox(b.t.Context(), ready.Spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return box{b.t, b.Watch(sess.ID, sb)}, nil
}

func (b *bundle) mustOpen(sess core.Session, recipe core.EnvironmentConfig) box {
	b.t.Helper()
	sb, err := b.open(sess, recipe)
	if err != nil {
		b.t.Fatal(err)
	}
	return sb
}

// box is a sandbox under test.
type box struct {
	t *testing.T
	core.Sandbox
}

func (b box) run(command string) core.BashResult {
	b.t.Helper()
	res, err := b.Bash(b.t.Context(), core.BashCommand{Command: command, Timeout: time.Minute})
	if err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	return res
}

func (b box) says(command, want string) {
	b.t.Helper()
	if res := b.run(command); res.ExitCode != 0 || res.Output != want {
		b.t.Errorf("%s = exit code %d, %q; want %q", command, res.ExitCode, res.Output, want)
	}
}

func (b box) contains(command string, wants ...string) {
	b.t.Helper()
	res := b.run(command)
	for _, want := range wants {
		if !strings.Contains(res.Output, want) {
			b.t.Errorf("%s = exit code %d, %q; want %q in it", command, res.ExitCode, res.Output, want)
		}
	}
}

// seen is what a server was sent, newest last.
type seen struct {
	mu   sync.Mutex
	text []string
}

func (s *seen) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.text) == 0 {
		return ""
	}
	return s.text[len(s.text)-1]
}

// echo serves on an address of loopback, repeats what it was sent, and remembers it.
func echo(t *testing.T, ip string, secure bool) (url string, got *seen, roots *x509.CertPool) {
	t.Helper()
	got = &seen{}
	return serve(t, ip, secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := fmt.Sprintf("%s auth=%q key=%q body=%q", r.Method, r.Header.Get("Authorization"), r.Header.Get("X-Key"), body)
		got.mu.Lock()
		got.text = append(got.text, text)
		got.mu.Unlock()
		w.Header().Set("X-Echo", r.Header.Get("X-Key"))
		_, _ = fmt.Fprintf(w, "%s\n", text)
	}), got)
}

func serve(t *testing.T, ip string, secure bool, h http.Handler, got *seen) (string, *seen, *x509.CertPool) {
	t.Helper()
	listener, err := net.Listen("tcp4", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", ip, err)
	}
	srv := httptest.NewUnstartedServer(h)
	_ = srv.Listener.Close()
	srv.Listener = listener
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(srv.Close)
	if !secure {
		srv.Start()
		return srv.URL, got, nil
	}
	cert, roots := certificate(t, ip)
	srv.TLS = cert
	srv.StartTLS()
	return srv.URL, got, roots
}

// wheel is a Python package that is nothing but a module with a greeting, and a program that says it.
func wheel(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string]string{
		"reevedemo.py":                             "def main():\n    print('hello from pip')\n",
		"reevedemo-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: reevedemo\nVersion: 1.0\n",
		"reevedemo-1.0.dist-info/WHEEL":            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"reevedemo-1.0.dist-info/entry_points.txt": "[console_scripts]\nreevedemo = reevedemo:main\n",
		"reevedemo-1.0.dist-info/RECORD":           "reevedemo.py,,\nreevedemo-1.0.dist-info/METADATA,,\nreevedemo-1.0.dist-info/WHEEL,,\nreevedemo-1.0.dist-info/entry_points.txt,,\nreevedemo-1.0.dist-info/RECORD,,\n",
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tarball is an npm package with a module and a program.
func tarball(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for name, text := range map[string]string{
		"package/package.json": `{"name":"reevedemo","version":"1.0.0","main":"index.js","bin":{"reevedemo-js":"bin.js"}}`,
		"package/index.js":     "module.exports = 'hello from npm'\n",
		"package/bin.js":       "#!/usr/bin/env node\nconsole.log(require('./index.js'))\n",
	} {
		err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(tw, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
