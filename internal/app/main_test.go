package app_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/reeve-ai/reeve/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunGuestIfAsked() // this binary is the guest of the sandboxes that tests open
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}
