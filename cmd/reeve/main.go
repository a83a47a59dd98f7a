// Command reeve is the whole of Reeve: the server, the demo and the operator's commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/reeve-ai/reeve/internal/cli"
	"github.com/reeve-ai/reeve/internal/sandbox"
)

func main() {
	// Inside a sandbox this binary is the guest: that must come before anything else reads the
	// environment, opens a file or starts a goroutine.
	sandbox.RunGuestIfAsked()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the first signal asks politely; a second one ends the process
	}()
	os.Exit(cli.Execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
