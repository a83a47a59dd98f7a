package openaichat_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func TestASystemMessageIsMarkedText(t *testing.T) {
	t.Parallel()
	p, s := serve(t, providertest.Answer{Body: begin + end})
	providertest.Answered(t, p, core.ModelRequest{Model: "m", MaxTokens: 100, Messages: []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{{Block: &core.Block{Type: core.BlockText, Text: "Hi."}}, {System: "Be kind."}}},
	}})
	body := s.Requests()[0].Body
	if !strings.Contains(body, `Hi.\n\n\u003csystem-message\u003e\nBe kind.\n\u003c/system-message\u003e`) && !strings.Contains(body, `Hi.\n\n<system-message>\nBe kind.\n</system-message>`) {
		t.Errorf("sent %s", body)
	}
}
