package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write puts a configuration file into a fresh folder and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reeve.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadedDefault is what Load makes of nothing.
func loadedDefault(t *testing.T) Config {
	t.Helper()
	c := Default()
	var err error
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestNothingSetIsDefault(t *testing.T) {
	t.Parallel()
	got, err := Load(Sources{Environ: []string{"PATH=/bin", "HOME=/root"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(loadedDefault(t), got); diff != "" {
		t.Error(diff)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	file := write(t, `
listen: 127.0.0.1:1
data: /from/file
log:
  level: debug
sandbox: {memory_mb: 512, idle: 90s}
cors:
  allowed_origins: [https://a.example, https://b.example]
`)
	got, err := Load(Sources{
		File: file,
		Environ: []string{
			"REEVE_LISTEN=127.0.0.1:2", "REEVE_DATA=/from/env", "REEVE_TURNS_LEASE_TTL=3s",
			"ANTHROPIC_API_KEY=vendor", "OPENAI_API_KEY=vendor", "REEVE_MODELS_OPENAI_KEY=own",
		},
		Flags: map[string]string{"listen": "127.0.0.1:3", "sandbox": "landlock", "cors-origin": "https://app.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen = "127.0.0.1:3"
	want.Data = "/from/env"
	want.Log.Level = "debug"
	want.Sandbox.Mode = SandboxLandlock
	want.Sandbox.MemoryMB = 512
	want.Sandbox.Idle = 90 * time.Second
	want.Models.AnthropicKey = "vendor"
	want.Models.OpenAIKey = "own"
	want.Turns.LeaseTTL = 3 * time.Second
	want.CORS.AllowedOrigins = []string{"https://app.example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentNamesTheFile(t *testing.T) {
	t.Parallel()
	got, err := Load(Sources{Environ: []string{"REEVE_CONFIG=" + write(t, "listen: 127.0.0.1:7")}})
	if err != nil || got.Listen != "127.0.0.1:7" {
		t.Errorf("listen = %q, %v", got.Listen, err)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, `listen: nowhere
sandbox:
  memroy_mb: 512
  processes: many
  mode: maybe
turns:
  - 1
colour: blue
limits:
`)
	_, err := Load(Sources{
		File:    file,
		Environ: []string{"REEVE_LSITEN=x", "REEVE_LOG_LEVEL=loud", "REEVE_TURNS_MAX_STEPS=ten", "REEVE_SANDBOX_IDLE="},
		Flags:   map[string]string{"lissten": "y", "sandbox-command-timeout": "5"},
	})
	want := Mistakes{
		`sandbox.memroy_mb (FILE:3:3): unknown key: did you mean sandbox.memory_mb?`,
		`sandbox.processes (FILE:4:14): many is not a whole number`,
		`turns (FILE:7:3): must hold keys and values`,
		`colour (FILE:8:1): unknown key`,
		`sandbox.idle (REEVE_SANDBOX_IDLE): is empty, but must be a duration such as 90s, 10m or 1h30m`,
		`turns.max_steps (REEVE_TURNS_MAX_STEPS): "ten" is not a whole number`,
		`REEVE_LSITEN: unknown variable: did you mean REEVE_LISTEN?`,
		`--lissten: unknown flag: did you mean --listen?`,
		`sandbox.command_timeout (--sandbox-command-timeout): "5" is not a duration such as 90s, 10m or 1h30m`,
		`listen (FILE:1:9): "nowhere" is not host:port`,
		`log.level (REEVE_LOG_LEVEL): "loud" is not one of debug, info, warn, error`,
		`sandbox.mode (FILE:5:9): "maybe" is not one of auto, bubblewrap, landlock, none`,
	}
	var got Mistakes
	if !errors.As(err, &got) {
		t.Fatalf("error is %T: %v", err, err)
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], file, "FILE")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":        {"log: {level: info\nlisten: x", "FILE: ["},
		"a list":        {"- listen", " (FILE:1:1): must hold keys and values"},
		"two documents": {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2", "FILE: holds 2 documents, but one is allowed"},
		"a key twice":   {"data: a\ndata: b", `mapping key "data" already defined`},
		"no value":      {"listen:\n", "): is empty, but must be a text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, c.text)
			_, err := Load(Sources{File: file})
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), file, "FILE"), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestEmptyFileIsDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n", "log:\n"} {
		got, err := Load(Sources{File: write(t, text)})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(loadedDefault(t), got); err == nil && diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := Load(Sources{File: "/no/such/reeve.yaml"})
	if err == nil || err.Error() != "configuration file /no/such/reeve.yaml: no such file" {
		t.Errorf("error = %v", err)
	}
}

func TestValidateNamesEveryKey(t *testing.T) {
	t.Parallel()
	c := Config{
		Listen: "x", ListenAlso: []string{"127.0.0.1:8002", "8002"}, Models: Models{ModelKey: "k", ModelName: "n", OpenAIBaseURL: "ftp://x", AnthropicBaseURL: "x", DemoDelay: -1},
		CORS: CORS{AllowedOrigins: []string{"app.example", "https://ok.example"}}, Turns: Turns{MaxRunning: 2, MaxWaiting: 1},
		Captures: Captures{Retention: time.Hour, RedactHeaders: []string{"X-Fine", "x: y"}},
		Limits:   Limits{CreatePerMinute: -1, ReadPerMinute: -1}, Tools: Tools{SearchURL: "searx.example/search"},
		Egress:  Egress{AllowPrivate: []string{"10.0.0.0/8", "10.0.0.1"}},
		Sandbox: Sandbox{PackageHosts: []string{"packages.example", "https://packages.example"}, AllowPrivate: []string{"10.0.0.1"}},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("a broken configuration is valid")
	}
	named := map[string]bool{}
	for _, line := range strings.Split(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		named[key] = true
	}
	for _, k := range Keys() {
		needless := k.Name == "models.anthropic_key" || k.Name == "models.openai_key" || k.Name == "models.url" || k.Name == "turns.max_running"
		if named[k.Name] == needless {
			t.Errorf("%s: named = %v", k.Name, named[k.Name])
		}
	}
}
