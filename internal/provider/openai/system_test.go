package openai_test

import (
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func TestASystemMessageIsADevelopersAtItsPlace(t *testing.T) {
	t.Parallel()
	p, s := serve(t, providertest.Answer{Body: begin + end})
	block := func(s string) core.ModelPart {
		return core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: s}}
	}
	providertest.Answered(t, p, core.ModelRequest{Model: "gpt-5", MaxTokens: 100, Messages: []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{block("Hi."), {System: "Be kind."}, block("Go.")}},
	}})
	body := s.Requests()[0].Body
	last := -1
	for _, part := range []string{`"Hi."`, `"developer"`, `"Go."`} {
		at := strings.Index(body, part)
		if at <= last {
			t.Errorf("%s is not at its place in %s", part, body)
		}
		last = at
	}
	if !strings.Contains(body, `"Be kind."`) {
		t.Errorf("the message is not in %s", body)
	}
}
