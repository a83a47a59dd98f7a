package host

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openScript opens a "guest" that is a shell script, as if somebody inside had taken the real one over.
func openScript(t *testing.T, script string) (*Sandbox, error) {
	t.Helper()
	left := make(chan struct{}, 2)
	s, err := Open(t.Context(), Launch{Program: "/bin/sh", Args: []string{"-c", script}}, guest.Config{}, WithDefaults(core.SandboxLimits{}),
		slog.New(slog.DiscardHandler), func() error { left <- struct{}{}; return nil })
	t.Cleanup(func() {
		if s != nil {
			_ = s.Close()
		}
		if n := len(left); n != 1 {
			t.Errorf("cleaned up %d times, want once", n)
		}
	})
	return s, err
}

// ready is the answer to the configuration: lengths 8 and 0, then the header.
const ready = `printf '\0\0\0\010\0\0\0\0{"id":0}'; `

func TestAGuestThatDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"it ends":                "echo the reason >&2; exit 1",
		"it sends rubbish":       "echo the reason >&2; echo hello, world, this is no frame; cat >/dev/null",
		"it claims a huge frame": `echo the reason >&2; printf '\0\0\0\010\377\377\377\377{"id":0}'; cat >/dev/null`,
		"it refuses":             `printf '\0\0\0\067\0\0\0\0{"id":0,"fault":{"code":"x","message":"the reason is"}}'; cat >/dev/null`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := openScript(t, script)
			if s != nil || core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "sandbox_unavailable" {
				t.Fatalf("Open = %v, %v; want Unavailable (sandbox_unavailable)", s, err)
			}
			var e *core.Error
			if !errors.As(err, &e) || strings.Contains(e.Message, "reason") || e.Err == nil || !strings.Contains(e.Err.Error(), "the reason") {
				t.Errorf("the reason is for the log alone: message %q, cause %v", e.Message, e.Err)
			}
		})
	}
}

func TestAGuestThatBreaksTheProtocol(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"more than was asked for":  ready + `head -c 10 >/dev/null; printf '\0\0\0\010\0\0\0\005{"id":1}AAAAA'; cat >/dev/null`,
		"an answer to nobody":      ready + `head -c 10 >/dev/null; printf '\0\0\0\011\0\0\0\0{"id":99}'; cat >/dev/null`,
		"no JSON":                  ready + `head -c 10 >/dev/null; printf '\0\0\0\010\0\0\0\0xxxxxxxx'; cat >/dev/null`,
		"it ends in mid-frame":     ready + `head -c 10 >/dev/null; printf '\0\0\0\010\0\0\0\003{"id":1}A'`,
		"it closes its output":     ready + `head -c 10 >/dev/null; exec >/dev/null; cat >/dev/null`,
		"it ends without a sound":  ready + `head -c 10 >/dev/null`,
		"it ignores being stopped": ready + `trap "" HUP INT TERM PIPE; head -c 10 >/dev/null; printf xxxxxxxxxxxxxxxxxxxxxxxx; exec <&-; exec sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := openScript(t, script)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err = s.ReadFile(ctx, "f", 3)
			if core.KindOf(err) != core.Unavailable || core.CodeOf(err) != "sandbox_died" {
				t.Errorf("ReadFile = %v, want Unavailable (sandbox_died)", err)
			}
			_, err = s.Bash(ctx, core.BashCommand{Command: "true"})
			if core.KindOf(err) != core.Unavailable {
				t.Errorf("Bash = %v, want Unavailable", err)
			}
			<-s.Done()
		})
	}
}

func TestAnAbandonedCallDoesNotDisturbTheNext(t *testing.T) {
	t.Parallel()
	// It answers the first request only when the second one, or its cancel, has come.
	s, err := openScript(t, ready+`head -c 400 >/dev/null; printf '\0\0\0\010\0\0\0\003{"id":1}one\0\0\0\010\0\0\0\003{"id":2}two'; cat >/dev/null`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.ReadFile(ctx, "f", 3); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadFile with a cancelled context = %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.ReadFile(ctx, "f", 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadFile = %v, want context.DeadlineExceeded", err)
	}
	got, err := s.ReadFile(t.Context(), strings.Repeat("x", 400), 3)
	if err != nil || string(got) != "two" {
		t.Errorf("ReadFile = %q, %v, want the second answer", got, err)
	}
}
