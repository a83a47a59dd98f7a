package cli_test

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reeve-ai/reeve/internal/cli"
	"github.com/reeve-ai/reeve/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked() // this binary is the guest of the sandboxes that the demo opens
	testscript.Main(m, map[string]func(){
		"reeve": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs testdata/script: command lines, and what a person then reads.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// Nothing of the machine's own may decide what the scripts see.
			for _, name := range []string{"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "REEVE_CONFIG"} {
				env.Setenv(name, "")
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeport": freePort, "waitfor": waitFor, "count": countLines, "exitcode": exitCode, "modelserver": modelServer,
		},
	})
}

// freePort sets a variable to an address of the loopback with a port that was free a moment ago.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: freeport VARIABLE")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], ln.Addr().String())
	ts.Check(ln.Close())
}
