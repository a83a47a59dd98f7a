package environment_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/environment"
)

const curl = "curl -sS --max-time 30 "

func TestLimitedSandboxReachesItsHostsAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	allowed, _, _ := echo(t, "127.0.0.2", false)
	refused, got, _ := echo(t, "127.0.0.3", false)
	secure, _, _ := echo(t, "127.0.0.2", true)
	sess := session()
	sess.VaultIDs = nil
	sb := b.mustOpen(sess, limited("127.0.0.2"))
	sb.contains(curl+allowed, "GET auth=")
	sb.contains(curl+"-k "+secure, "GET auth=") // a tunnel, not opened up: the certificate is the server's
	sb.contains(curl+secure+" 2>&1", "curl: (60)")
	why := "the network of this session's environment is limited, and 127.0.0.3 is not among the hosts that it allows"
	sb.says(curl+"-w '%{http_code}\\n' "+refused, "Reeve: "+why+".\n403\n[network: "+why+"]\n")
	sb.contains(curl+strings.Replace(refused, "http", "https", 1)+" 2>&1; true", "403", "[network: "+why+"]")
	sb.says(curl+"-o /dev/null "+allowed, "") // told once
	for _, direct := range []string{"--noproxy '*' " + allowed, "--noproxy '*' http://192.0.2.1/"} {
		if res := sb.run(curl + direct + " 2>/dev/null"); res.ExitCode == 0 {
			t.Errorf("%s got past the proxy: %q", direct, res.Output)
		}
	}
	sb.says("(echo x >/dev/udp/192.0.2.1/53) 2>/dev/null || echo no", "no\n")
	if got.last() != "" {
		t.Errorf("the refused host was sent %q", got.last())
	}
}

func TestUnrestrictedSandboxReachesNoPrivateAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *environment.Options) {
		o.Egress.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	})
	open, _, _ := echo(t, "127.0.0.2", false)
	private, got, _ := echo(t, "127.0.0.3", false)
	sb := b.mustOpen(session(), core.EnvironmentConfig{})
	sb.contains(curl+open, "GET auth=")
	sb.contains(curl+"-w '%{http_code}' "+private, "is not on the public internet", "403")
	sb.contains(curl+"-x http://127.0.0.1:3128 http://169.254.169.254/", "is not on the public internet")
	sb.contains(curl+"-p "+private+" 2>&1; true", "403")
	if got.last() != "" {
		t.Errorf("a private host was sent %q", got.last())
	}
}

func TestNoNetworkWhereTheOperatorAllowsNone(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *environment.Options) { o.Network = false })
	open, got, _ := echo(t, "127.0.0.2", false)
	sb := b.mustOpen(session(), core.EnvironmentConfig{})
	for _, way := range []string{"", "-x http://" + core.GatewayAddress + " "} {
		if res := sb.run(curl + way + open + " 2>/dev/null"); res.ExitCode == 0 {
			t.Errorf("curl %s= %q", way, res.Output)
		}
	}
	if got.last() != "" {
		t.Errorf("a host was sent %q", got.last())
	}
}

func TestWhatALimitedEnvironmentAllowsBesidesItsHosts(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *environment.Options) { o.PackageHosts = []string{"127.0.0.4"} })
	server, _, _ := echo(t, "127.0.0.3", false)
	packages, _, _ := echo(t, "127.0.0.4", false)
	for _, on := range []bool{false, true} {
		sess := session()
		sess.Snapshot.MCPServers = []core.MCPServer{{Type: "url", Name: "s", URL: server + "/mcp"}}
		recipe := limited()
		recipe.Networking.AllowMCPServers, recipe.Networking.AllowPackageManagers = on, on
		sb := b.mustOpen(sess, recipe)
		want := "GET auth="
		if !on {
			want = "is not among the hosts"
		}
		sb.contains(curl+server, want)
		sb.contains(curl+packages, want)
	}
}

// secretValue needs escaping everywhere, and is long enough to be found in answers.
const secretValue = `s3cr3t/"quoted"+value&x`

func variable(name, value string, hosts ...string) environment.Variable {
	return environment.Variable{
		Vault: core.NewID[core.VaultID](), Secret: core.NewID[core.SecretID](), Name: name, Value: value,
		Terms: core.SecretTerms{Limited: true, Hosts: hosts, InHeader: true, InBody: true},
	}
}

func TestSecretTakesThePlaceOfItsPlaceholderAtEgress(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		name := map[bool]string{false: "http", true: "https"}[secure]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			good, got, roots := echo(t, "127.0.0.2", secure)
			other, stranger, _ := echo(t, "127.0.0.3", false)
			b.opts.Egress.Roots = roots
			b.restart()
			b.keep(variable("API_KEY", secretValue, "127.0.0.2"))
			sb := b.mustOpen(session(), core.EnvironmentConfig{})
			placeholder := strings.TrimSpace(sb.run("echo $API_KEY").Output)
			if len(placeholder) < 30 || strings.Contains(placeholder, "s3cr3t") {
				t.Fatalf("placeholder = %q", placeholder)
			}
			// The answers repeat what the server was sent: the sandbox finds the placeholder in them.
			for command, want := range map[string]string{
				`-H "X-Key: $API_KEY" ` + good:                                                        `GET auth="" key=` + quoted(secretValue) + ` body=""`,
				`-H "Authorization: Bearer $API_KEY" ` + good:                                         `GET auth=` + quoted("Bearer "+secretValue) + ` key="" body=""`,
				`-u "me:$API_KEY" ` + good:                                                            `GET auth="Basic ` + base64.StdEncoding.EncodeToString([]byte("me:"+secretValue)) + `" key="" body=""`,
				`-d "a=$API_KEY&b=1" ` + good:                                                         `POST auth="" key="" body="a=s3cr3t%2F%22quoted%22%2Bvalue%26x&b=1"`,
				`-H 'Content-Type: application/json' -d "{\"a\":\"$API_KEY\"}" ` + good:               `POST auth="" key="" body=` + quoted(`{"a":"s3cr3t/\"quoted\"+value&x"}`),
				`-H 'Content-Type: text/plain' -H 'Transfer-Encoding: chunked' -d "$API_KEY" ` + good: `POST auth="" key="" body=` + quoted(secretValue),
			} {
				res := sb.run(curl + "-i " + command)
				if got.last() != want {
					t.Errorf("%s sent %s, want %s; curl: %s", command, got.last(), want, res.Output)
				}
				for _, form := range []string{secretValue, "s3cr3t", base64.StdEncoding.EncodeToString([]byte("me:" + secretValue))} {
					if strings.Contains(res.Output, form) && !strings.Contains(want, `{`) { // JSON inside of Go's quotes is escaped twice
						t.Errorf("%s shows the sandbox %q: %s", command, form, res.Output)
					}
				}
			}
			sb.contains(curl+`-i -H "X-Key: $API_KEY" `+good, "cho: "+placeholder)
			sb.run(curl + `-H "X-Key: $API_KEY" ` + other)
			if want := `GET auth="" key=` + quoted(placeholder) + ` body=""`; stranger.last() != want {
				t.Errorf("another host was sent %s, want %s", stranger.last(), want)
			}
			notInside(t, b, sb)
		})
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// notInside looks for the secret wherever a sandbox can look, and in what the service keeps and logs.
func notInside(t *testing.T, b *bundle, sb box) {
	t.Helper()
	res := sb.run(`env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; grep -rls s3cr3t /workspace /tmp /mnt /etc /dev/shm; true`)
	if strings.Contains(res.Output, "s3cr3t") {
		t.Error("the sandbox finds the secret")
	}
	if res := sb.run("grep -rls s3cr3t /workspace /tmp /mnt /etc /dev/shm"); res.Output != "" {
		t.Errorf("files of the sandbox hold the secret: %s", res.Output)
	}
	if strings.Contains(b.log.String(), "s3cr3t") {
		t.Error("the log holds the secret")
	}
	err := filepath.WalkDir(b.data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "s3cr3t") || strings.Contains(string(text), "PRIVATE KEY") {
			t.Errorf("%s holds the secret, or a key", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSecretGoesOnlyWhereItsTermsSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, got, _ := echo(t, "127.0.0.2", false)
	header, body := variable("IN_HEADER", "header-value", "127.0.0.2"), variable("IN_BODY", "body-value", "127.0.0.2")
	header.Terms.InBody, body.Terms.InHeader = false, false
	b.keep(header, body)
	sb := b.mustOpen(session(), core.EnvironmentConfig{})
	sb.run(curl + `-H "X-Key: $IN_HEADER $IN_BODY" -H 'Content-Type: text/plain' -d "$IN_HEADER $IN_BODY" ` + good)
	values := strings.Fields(sb.run("echo $IN_HEADER $IN_BODY").Output)
	want := `POST auth="" key="header-value ` + values[1] + `" body="` + values[0] + ` body-value"`
	if got.last() != want {
		t.Errorf("sent %s, want %s", got.last(), want)
	}
}

func TestChangedSecretsReachARunningSandbox(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, got, _ := echo(t, "127.0.0.2", false)
	secret := variable("API_KEY", "first-value", "127.0.0.2")
	b.keep(secret)
	sb := b.mustOpen(session(), core.EnvironmentConfig{})
	placeholder := strings.TrimSpace(sb.run("echo $API_KEY").Output)
	send := func(want string) {
		t.Helper()
		sb.run(curl + `-H "X-Key: $API_KEY" ` + good)
		if want = `GET auth="" key="` + want + `" body=""`; got.last() != want {
			t.Errorf("sent %s, want %s", got.last(), want)
		}
	}
	send("first-value")
	secret.Value = "second-value"
	b.keep(secret)
	send("second-value")
	b.keep() // archived
	send(placeholder)
}

func TestSecretsThatTheEnvironmentDoesNotLetOutAreReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	free := variable("FREE", "value")
	free.Terms = core.SecretTerms{InHeader: true}
	lost := variable("LOST", "value", "api.example.com", "api.example.org")
	b.keep(free, variable("FINE", "value", "api.example.com"), variable("WILD", "value", "*.example.com"), lost, variable("PATH", "value", "api.example.org"))
	report := func(recipe core.EnvironmentConfig) (names []string) {
		t.Helper()
		ready, err := b.Ready(t.Context(), session(), recipe, core.SandboxSpec{})
		if err != nil {
			t.Fatal(err)
		}
		if ready.Spec.Env["PATH"] != "" {
			t.Error("a secret took the place of PATH")
		}
		for _, u := range ready.Unreachable {
			names = append(names, strings.TrimSpace(u.Name+" "+u.Host))
		}
		return names
	}
	for _, tt := range []struct {
		recipe core.EnvironmentConfig
		want   []string
	}{
		{core.EnvironmentConfig{}, nil},
		{limited("api.example.com"), []string{"LOST api.example.org"}},
		{limited("*.example.com", "*.example.org"), nil},
		{limited("example.com"), []string{"FINE api.example.com", "WILD *.example.com", "LOST api.example.com"}},
	} {
		if diff := cmp.Diff(tt.want, report(tt.recipe)); diff != "" {
			t.Errorf("%+v: %s", tt.recipe.Networking, diff)
		}
	}
	b.opts.Network = false
	b.restart()
	if diff := cmp.Diff([]string{"FREE", "FINE", "WILD", "LOST"}, report(core.EnvironmentConfig{})); diff != "" {
		t.Errorf("without a network: %s", diff)
	}
}

func TestGatewayEndsWithItsSandbox(t *testing.T) {
	t.Parallel()
	b := setup(t)
	silent, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = silent.Close() }()
	sess := session()
	sb := b.mustOpen(sess, core.EnvironmentConfig{})
	sb.run("(curl -sS -p http://" + silent.Addr().String() + "/ &>/dev/null &)")
	conn, err := silent.Accept() // the tunnel stands
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := b.pool.Close(sess.ID); err != nil {
		t.Error(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the tunnel outlives its sandbox")
	}
}
