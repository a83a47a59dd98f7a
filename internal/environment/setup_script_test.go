package environment_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/environment"
)

func notReady(t *testing.T, err error, says ...string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Kind != core.Unavailable || e.Code != "environment_not_ready" {
		t.Fatalf("error = %v, want environment_not_ready", err)
	}
	for _, want := range says {
		if !strings.Contains(e.Message, want) {
			t.Errorf("message = %q, want %q in it", e.Message, want)
		}
	}
}

func TestSetupScriptRunsOnceBeforeTheFirstUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep(variable("API_KEY", secretValue, "127.0.0.2"))
	sess := session()
	recipe := core.EnvironmentConfig{SetupScript: "echo \"it's ${API_KEY:0:11}\" >>ran\nshopt -q login_shell && echo login\n"}
	b.mustOpen(sess, recipe).says("cat ran /mnt/reeve/log/setup.log", "it's reevesecret\nlogin\n")
	b.mustOpen(sess, recipe).says("cat ran", "it's reevesecret\n")
	if err := b.pool.Close(sess.ID); err != nil {
		t.Fatal(err)
	}
	b.restart()
	sb := b.mustOpen(sess, recipe)
	sb.says("cat ran", "it's reevesecret\n")
	sb.says("touch /mnt/reeve/log/x 2>/dev/null || echo no", "no\n")
	other := session()
	b.mustOpen(other, recipe).says("cat ran", "it's reevesecret\n")
	if err := b.Forget(sess.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.pool.Close(sess.ID); err != nil {
		t.Fatal(err)
	}
	b.mustOpen(sess, recipe).says("cat ran", "it's reevesecret\nit's reevesecret\n") // nothing was left of it
}

func TestSetupScriptThatFailsIsTheAnswer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var skew atomic.Int64
	b := setup(t, func(o *environment.Options) {
		o.Now = func() time.Time { return now.Add(time.Duration(skew.Load())) }
	})
	sess := session()
	recipe := core.EnvironmentConfig{SetupScript: "echo x >>tries; [ -e fixed ] || { echo what is wrong >&2; exit 3; }"}
	_, err := b.open(sess, recipe)
	notReady(t, err, "the environment's setup script failed with exit code 3", "what is wrong")
	_, err = b.open(sess, recipe)
	notReady(t, err, "what is wrong")
	skew.Store(int64(2 * time.Minute))
	_, err = b.open(sess, recipe)
	notReady(t, err, "what is wrong")
	plain := core.EnvironmentConfig{}
	b.mustOpen(sess, plain).says("cat tries; touch fixed", "x\nx\n") // the second time was spared
	skew.Store(int64(4 * time.Minute))
	b.mustOpen(sess, recipe).says("cat tries", "x\nx\nx\n")
}

func TestSetupScriptThatHangsIsStopped(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *environment.Options) { o.SetUpTime = time.Second })
	_, err := b.open(session(), core.EnvironmentConfig{SetupScript: "echo begun; sleep 1000"})
	notReady(t, err, "took longer than 1s and was stopped", "begun")
}

func TestPackagesAreInstalledOnceForAllSessionsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	needs(t, "npm", "--version")
	needs(t, "python3", "-m", "pip", "--version")
	var asked atomic.Int64
	files := map[string][]byte{"/reevedemo-1.0-py3-none-any.whl": wheel(t), "/reevedemo-1.0.0.tgz": tarball(t)}
	registry, _, _ := serve(t, "127.0.0.2", false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		_, _ = w.Write(body)
	}), nil)
	b.keep(variable("API_KEY", secretValue, "127.0.0.2"))
	recipe := limited("127.0.0.2")
	recipe.SetupScript = "reevedemo >from-script; env | grep -c reevesecret >>from-script"
	recipe.Packages = map[string][]string{
		"pip": {registry + "/reevedemo-1.0-py3-none-any.whl"}, "npm": {registry + "/reevedemo-1.0.0.tgz"}, "gem": {},
	}
	first := session()
	sb := b.mustOpen(first, recipe)
	sb.says("reevedemo; python3 -c 'import reevedemo; reevedemo.main()'; reevedemo-js; node -p 'require(\"reevedemo\")'",
		"hello from pip\nhello from pip\nhello from npm\nhello from npm\n")
	sb.says("cat from-script", "hello from pip\n1\n")
	log := sb.run("cat /mnt/reeve/log/packages.log").Output
	if npm, pip := strings.Index(log, "$ npm install"), strings.Index(log, "$ python3 -m pip install"); npm < 0 || pip < npm {
		t.Errorf("the log does not show npm before pip: %q", log)
	}
	sb.says("touch /mnt/reeve/packages/pip/planted 2>/dev/null || echo no", "no\n")
	once := asked.Load()
	second := session()
	second.Project, second.Environment = first.Project, first.Environment
	b.mustOpen(second, recipe).says("reevedemo", "hello from pip\n")
	if got := asked.Load(); got != once {
		t.Errorf("the second session fetched packages again: %d requests instead of %d", got, once)
	}
}

func TestPackagesThatCannotBeInstalledAreTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	needs(t, "python3", "-m", "pip", "--version")
	registry, got, _ := echo(t, "127.0.0.2", false)
	recipe := limited()
	recipe.Packages = map[string][]string{"pip": {registry + "/reevedemo-1.0-py3-none-any.whl"}}
	_, err := b.open(session(), recipe)
	notReady(t, err, "the installation of the environment's pip packages failed with exit code", "127.0.0.2 is not among the hosts")
	if got.last() != "" {
		t.Errorf("a refused host was sent %q", got.last())
	}
	recipe.Packages = map[string][]string{"apt": {"hello"}}
	_, err = b.open(session(), recipe)
	notReady(t, err, "apt packages", "root")
	recipe.Packages = map[string][]string{"gem": {"$(touch /workspace/planted); echo"}}
	_, err = b.open(session(), recipe)
	notReady(t, err, "gem packages failed")
}
