package workspace_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
	"github.com/reeve-ai/reeve/internal/vault"
	"github.com/reeve-ai/reeve/internal/workspace"
)

// forge serves one repository, owner/name, over https as a real host of repositories does.
type forge struct {
	*httptest.Server
	ca     string
	token  string // that opens it; empty: it is public
	commit string // the first of two
	tokens *vault.Tokens

	mu   sync.Mutex
	auth []string // the Authorization headers that came
}

// gitHere skips the test where git is missing: tools/prepare.sh installs it.
func gitHere(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: run tools/prepare.sh")
	}
}

func newForge(t *testing.T, token string) *forge {
	t.Helper()
	gitHere(t)
	root := t.TempDir()
	f := &forge{token: token}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	work, bare := filepath.Join(root, "work"), filepath.Join(root, "srv", "owner", "name")
	git("init", "--quiet", "--initial-branch=main", work)
	need(t, os.WriteFile(filepath.Join(work, "README.md"), []byte("first\n"), 0o600))
	need(t, os.WriteFile(filepath.Join(work, "run.sh"), []byte("#!/bin/sh\n"), 0o700))
	need(t, os.Symlink("/etc/passwd", filepath.Join(work, "link")))
	need(t, os.WriteFile(filepath.Join(work, ".gitattributes"), []byte("* filter=evil\n"), 0o600))
	git("-C", work, "add", ".")
	git("-C", work, "commit", "--quiet", "-m", "first")
	f.commit = git("-C", work, "rev-parse", "HEAD")
	git("-C", work, "branch", "old")
	need(t, os.WriteFile(filepath.Join(work, "README.md"), []byte("second\n"), 0o600))
	git("-C", work, "commit", "--quiet", "-am", "second")
	git("clone", "--quiet", "--bare", work, bare)
	git("init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(root, "srv", "owner", "empty"))
	backend := git("--exec-path") + "/git-http-backend"
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.auth = append(f.auth, r.Header.Get("Authorization"))
		f.mu.Unlock()
		if _, password, _ := r.BasicAuth(); f.token != "" && password != f.token {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		(&cgi.Handler{Path: backend, Root: "/", Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(root, "srv"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}).ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	f.ca = filepath.Join(root, "ca.pem")
	cert, err := x509.ParseCertificate(f.TLS.Certificates[0].Certificate[0])
	need(t, err)
	need(t, os.WriteFile(f.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600))
	f.tokens, err = vault.NewTokens([]byte(strings.Repeat("s", 32)))
	need(t, err)
	return f
}

// part is the part under test, which may reach the loopback.
func (f *forge) part(o workspace.RepositoryOptions) *workspace.Repositories {
	client := egress.New(egress.Options{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if o.Dial == nil {
		o.Dial = client.Dial
	}
	o.Sealer, o.CAFile = f.tokens, f.ca
	return workspace.NewRepositories(o)
}

// attach gives the session a repository of the forge.
func (h *house) attach(t *testing.T, f *forge, token core.Clear, edit ...func(*core.Resource)) core.Resource {
	t.Helper()
	r := core.Resource{ID: core.NewID[core.ResourceID](), Type: core.ResourceRepository, URL: f.URL + "/owner/name", MountPath: "/workspace/name"}
	if token != "" {
		var err error
		r.Token, err = f.tokens.Seal(h.sess.Project, "session", string(h.sess.ID), token)
		need(t, err)
	}
	for _, e := range edit {
		e(&r)
	}
	h.sess.Resources = append(h.sess.Resources, r)
	h.sess = stored(t, h.sess)
	return r
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	need(t, err)
	return string(raw)
}

func TestARepositoryIsClonedIntoTheWorkingFolder(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, "ghp_secret"), build(t)
	h.attach(t, f, "ghp_secret")
	p := f.part(workspace.RepositoryOptions{})
	mounts, err := p.Open(t.Context(), h.sess, h.folder, h.work)
	if err != nil || mounts != nil {
		t.Fatalf("Open = %v, %v", mounts, err)
	}
	at := filepath.Join(h.work, "name")
	same(t, "README.md", content(t, filepath.Join(at, "README.md")), "second\n")
	if target, err := os.Readlink(filepath.Join(at, "link")); err != nil || target != "/etc/passwd" {
		t.Errorf("link = %q, %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(at, "run.sh")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("run.sh = %v, %v", info.Mode(), err)
	}
	// The agent finds a whole repository, and no trace of the token or of our way there.
	config := content(t, filepath.Join(at, ".git", "config"))
	if !strings.Contains(config, f.URL+"/owner/name") {
		t.Errorf("config = %s", config)
	}
	need(t, filepath.WalkDir(h.folder, noTrace(t)))
	need(t, filepath.WalkDir(h.work, noTrace(t)))
	if entries, err := os.ReadDir(filepath.Join(at, ".git", "hooks")); err == nil && len(entries) > 0 {
		t.Errorf("hooks = %v", entries)
	}
	text, err := p.Brief(t.Context(), h.sess)
	if err != nil || !strings.Contains(text, "- /workspace/name: "+f.URL+"/owner/name") {
		t.Errorf("brief = %q, %v", text, err)
	}
	// What the agent does with it stays.
	need(t, os.WriteFile(filepath.Join(at, "README.md"), []byte("changed\n"), 0o600))
	f.Close()
	_, err = p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "README.md", content(t, filepath.Join(at, "README.md")), "changed\n")
	need(t, os.RemoveAll(at))
	_, err = p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	if _, err := os.Stat(at); err == nil {
		t.Error("what the agent removed came back")
	}
}

// noTrace fails the test for a file that holds the token, in either spelling.
func noTrace(t *testing.T) func(string, os.DirEntry, error) error {
	return func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw := content(t, p)
		for _, secret := range []string{"ghp_secret", "eC1hY2Nlc3MtdG9rZW46Z2hwX3NlY3JldA", "Authorization", "127.0.0.1:0"} {
			if strings.Contains(raw, secret) {
				t.Errorf("%s holds %q", p, secret)
			}
		}
		return nil
	}
}

func TestABranchOrACommitIsCheckedOut(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, ""), build(t)
	h.attach(t, f, "", func(r *core.Resource) { r.Branch, r.MountPath = "old", "/workspace/a/b/old" })
	h.attach(t, f, "", func(r *core.Resource) { r.Commit, r.MountPath = f.commit[:12], "/workspace/commit" })
	h.attach(t, f, "", func(r *core.Resource) { r.URL, r.MountPath = f.URL+"/owner/empty", "/workspace/empty" })
	_, err := f.part(workspace.RepositoryOptions{}).Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "branch", content(t, filepath.Join(h.work, "a", "b", "old", "README.md")), "first\n")
	same(t, "branch's HEAD", content(t, filepath.Join(h.work, "a", "b", "old", ".git", "HEAD")), "ref: refs/heads/old\n")
	same(t, "commit", content(t, filepath.Join(h.work, "commit", "README.md")), "first\n")
	same(t, "commit's HEAD", content(t, filepath.Join(h.work, "commit", ".git", "HEAD")), f.commit+"\n")
	if _, err := os.Stat(filepath.Join(h.work, "empty", ".git")); err != nil {
		t.Errorf("the empty repository: %v", err)
	}
	for _, header := range f.auth {
		if header != "" {
			t.Errorf("a public repository was sent %q", header)
		}
	}
}

func TestAWrongTokenIsToldAndTheNextOneTried(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, "ghp_right"), build(t)
	r := h.attach(t, f, "ghp_wrong")
	p := f.part(workspace.RepositoryOptions{})
	_, err := p.Open(t.Context(), h.sess, h.folder, h.work)
	if core.KindOf(err) != core.Invalid || core.CodeOf(err) != "repository_not_cloned" || !strings.Contains(err.Error(), "its token is missing or not valid") || strings.Contains(err.Error(), "ghp_wrong") {
		t.Fatalf("Open = %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.work, "name")); err == nil {
		t.Error("something was left in the working folder")
	}
	h.sess.Resources[0].Token, err = f.tokens.Seal(h.sess.Project, "session", string(h.sess.ID), "ghp_right")
	need(t, err)
	_, err = p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	same(t, "README.md", content(t, filepath.Join(h.work, strings.TrimPrefix(r.MountPath, "/workspace/"), "README.md")), "second\n")
}

func TestWhatCannotBeClonedIsTold(t *testing.T) {
	t.Parallel()
	f := newForge(t, "")
	blocked := egress.New(egress.Options{})
	for _, row := range []struct {
		name string
		opts workspace.RepositoryOptions
		edit func(*core.Resource)
		code string
		says string
	}{
		{"no repository", workspace.RepositoryOptions{}, func(r *core.Resource) { r.URL = f.URL + "/owner/none" }, "repository_not_cloned", "was not found"},
		{"no branch", workspace.RepositoryOptions{}, func(r *core.Resource) { r.Branch = "none" }, "repository_not_cloned", "was not found"},
		{"no commit", workspace.RepositoryOptions{}, func(r *core.Resource) { r.Commit = strings.Repeat("ab", 20) }, "repository_not_cloned", "commit"},
		{"a private address", workspace.RepositoryOptions{Dial: blocked.Dial}, nil, "repository_unavailable", "is not on the public internet"},
		{"too large", workspace.RepositoryOptions{Bytes: 2000}, nil, "repository_not_cloned", "too large"},
		{"no git", workspace.RepositoryOptions{Git: "no-such-git"}, nil, "git_missing", "git is not installed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			if row.edit == nil {
				row.edit = func(*core.Resource) {}
			}
			h.attach(t, f, "", row.edit)
			_, err := f.part(row.opts).Open(t.Context(), h.sess, h.folder, h.work)
			if core.CodeOf(err) != row.code || !strings.Contains(fmt.Sprint(err), row.says) {
				t.Errorf("Open = %v", err)
			}
			if entries, err := os.ReadDir(h.folder); err != nil || len(entries) > 0 {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}

func TestACloneThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	gitHere(t)
	f, h := newForge(t, ""), build(t)
	h.attach(t, f, "")
	asked := make(chan struct{}, 1)
	silent := func(ctx context.Context, _ string) (net.Conn, error) { // a host that never answers
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := f.part(workspace.RepositoryOptions{Dial: silent, Timeout: 300 * time.Millisecond}).Open(t.Context(), h.sess, h.folder, h.work)
	if core.KindOf(err) != core.Unavailable || !strings.Contains(err.Error(), "took more than") {
		t.Errorf("Open = %v", err)
	}
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := f.part(workspace.RepositoryOptions{Dial: silent}).Open(ctx, h.sess, h.folder, h.work); err == nil || ctx.Err() == nil {
		t.Errorf("Open = %v", err)
	}
}

func TestALinkInTheWorkingFolderLeadsNoCloneOutOfIt(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, ""), build(t)
	outside := t.TempDir()
	need(t, os.MkdirAll(h.work, 0o700))
	need(t, os.Symlink(outside, filepath.Join(h.work, "a")))
	h.attach(t, f, "", func(r *core.Resource) { r.MountPath = "/workspace/a/name" })
	if _, err := f.part(workspace.RepositoryOptions{}).Open(t.Context(), h.sess, h.folder, h.work); err == nil {
		t.Error("the clone went through a link")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
}

func TestACloneBelongsToWhoOwnsTheWorkingFolder(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	f, h := newForge(t, ""), build(t)
	const uid = 700_123
	need(t, os.MkdirAll(h.work, 0o700))
	need(t, os.Chown(h.work, uid, uid))
	h.attach(t, f, "", func(r *core.Resource) { r.MountPath = "/workspace/a/name" })
	_, err := f.part(workspace.RepositoryOptions{}).Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	need(t, filepath.WalkDir(h.work, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if owner := ownerOf(t, p); owner != uid {
			t.Errorf("%s belongs to %d", p, owner)
		}
		return nil
	}))
}

func TestWhatLiesAtARepositorysPathIsNotTakenForItsClone(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, ""), build(t)
	r := h.attach(t, f, "")
	at := filepath.Join(h.work, "name")
	need(t, os.MkdirAll(at, 0o700))
	p := f.part(workspace.RepositoryOptions{})
	_, err := p.Open(t.Context(), h.sess, h.folder, h.work)
	if core.KindOf(err) != core.Invalid || core.CodeOf(err) != "repository_not_cloned" || !strings.Contains(err.Error(), "something is at its path already") {
		t.Fatalf("Open = %v", err)
	}
	// With our mark, it is what a former life moved there.
	mark := filepath.Join(h.folder, string(r.ID)+".moving")
	need(t, os.WriteFile(mark, nil, 0o600))
	_, err = p.Open(t.Context(), h.sess, h.folder, h.work)
	need(t, err)
	if _, err := os.Stat(mark); err == nil {
		t.Error("the mark stays")
	}
}

func TestAFileAboveARepositorysPathIsTold(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, ""), build(t)
	r := h.attach(t, f, "", func(r *core.Resource) { r.MountPath = "/workspace/a/name" })
	need(t, os.MkdirAll(h.work, 0o700))
	need(t, os.WriteFile(filepath.Join(h.work, "a"), nil, 0o600))
	_, err := f.part(workspace.RepositoryOptions{}).Open(t.Context(), h.sess, h.folder, h.work)
	if core.CodeOf(err) != "repository_not_cloned" {
		t.Errorf("Open = %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.folder, string(r.ID)+".moving")); err == nil {
		t.Error("the mark stays")
	}
}

func TestACloneThatFailedIsNotTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	f := newForge(t, "")
	for _, row := range []struct {
		retry time.Duration
		want  int64
	}{{time.Hour, 1}, {time.Nanosecond, 2}} {
		h := build(t)
		h.attach(t, f, "")
		var dials atomic.Int64
		p := f.part(workspace.RepositoryOptions{Retry: row.retry, Dial: func(context.Context, string) (net.Conn, error) {
			dials.Add(1)
			return nil, core.Errorf(core.Unavailable, "x", "no way there")
		}})
		for range 2 {
			if _, err := p.Open(t.Context(), h.sess, h.folder, h.work); core.CodeOf(err) != "repository_unavailable" {
				t.Errorf("Open = %v", err)
			}
		}
		if n := dials.Load(); n != row.want {
			t.Errorf("again after %v: %d dials, want %d", row.retry, n, row.want)
		}
	}
}

func TestOnlySoManyClonesRunAtOneTime(t *testing.T) {
	t.Parallel()
	f := newForge(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 10)
	p := f.part(workspace.RepositoryOptions{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	var all sync.WaitGroup
	for range 4 {
		h := build(t)
		h.attach(t, f, "")
		all.Go(func() { _, _ = p.Open(ctx, h.sess, h.folder, h.work) })
	}
	for range 4 {
		<-asked
	}
	h := build(t)
	h.attach(t, f, "")
	short, end := context.WithTimeout(ctx, 300*time.Millisecond)
	defer end()
	if _, err := p.Open(short, h.sess, h.folder, h.work); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open = %v", err)
	}
	cancel()
	all.Wait()
	if len(asked) > 0 {
		t.Error("a fifth clone was begun")
	}
}

func TestGitHasLittleMemoryAndAName(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, ""), build(t)
	h.attach(t, f, "")
	program := filepath.Join(t.TempDir(), "git")
	need(t, os.WriteFile(program, []byte("#!/bin/sh\necho $(ulimit -v) $GIT_COMMITTER_NAME $GIT_COMMITTER_EMAIL >$HOME/said\nexit 1\n"), 0o700))
	if _, err := f.part(workspace.RepositoryOptions{Git: program}).Open(t.Context(), h.sess, h.folder, h.work); err == nil {
		t.Error("Open = nil")
	}
	same(t, "said", content(t, filepath.Join(h.folder, "said")), "4194304 Reeve reeve@localhost\n")
}
