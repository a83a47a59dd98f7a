package anthropic_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/providertest"
)

func said(s string) core.ModelPart {
	return core.ModelPart{Block: &core.Block{Type: core.BlockText, Text: s}}
}

func TestSystemMessagesInTheConversation(t *testing.T) {
	t.Parallel()
	messages := []core.ModelMessage{
		{Role: core.RoleUser, Parts: []core.ModelPart{{System: "First."}, said("Hi.")}},
		{Role: core.RoleAssistant, Parts: []core.ModelPart{said("Hello.")}},
		{Role: core.RoleUser, Parts: []core.ModelPart{said("Go."), {System: "Be kind."}}},
	}
	first, marked := "<system-message>\nFirst.\n</system-message>", "<system-message>\nBe kind.\n</system-message>"
	native := [][]string{{"user", first, "Hi."}, {"assistant", "Hello."}, {"user", "Go."}, {"system", "Be kind."}}
	asText := [][]string{{"user", first, "Hi."}, {"assistant", "Hello."}, {"user", "Go.", marked}}
	for model, want := range map[string][][]string{
		"claude-opus-4-8": native, "claude-opus-5": native, "claude-haiku-5-5": native,
		"claude-sonnet-5": asText, "claude-opus-4-7": asText, "claude-fable": asText, "glm-5": asText,
	} {
		p, s := serve(t, providertest.Answer{Body: begin + ending("end_turn")})
		providertest.Answered(t, p, core.ModelRequest{Model: model, MaxTokens: 100, Messages: messages})
		var sent struct {
			Messages []struct {
				Role    string
				Content []struct{ Text string }
			}
		}
		if err := json.Unmarshal([]byte(s.Requests()[0].Body), &sent); err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, m := range sent.Messages {
			line := []string{m.Role}
			for _, c := range m.Content {
				line = append(line, c.Text)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", model, diff)
		}
	}
}

func TestWritesOfTheHourCacheAreToldApart(t *testing.T) {
	t.Parallel()
	start := `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,"output_tokens":1,"cache_creation_input_tokens":50,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30}}}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`
	p, _ := serve(t, providertest.Answer{Body: start})
	chunks := providertest.Answered(t, p, providertest.Hi)
	want := core.Usage{InputTokens: 3, OutputTokens: 2, CacheCreationTokens: 50, CacheCreation1hTokens: 30}
	if diff := cmp.Diff(want, chunks[len(chunks)-2].Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}
