package compat

import (
	"encoding/json"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// model answers by what was said last, so that many sessions can run side by side:
//
//	calls [{"name":"bash","input":{"command":"ls"}}]   asks for these tools
//	hold                                               begins an answer, and goes on once release gets a value
//	hang                                               never answers
//
// To a tool result it answers what the result was, and to all else what it heard. Asked to judge, it wants one
// revision: it is content once it hears its own words come back.
func model(release <-chan struct{}) func(core.ModelRequest) fake.Step {
	return func(req core.ModelRequest) fake.Step {
		said, isResult := last(req)
		switch word, rest, _ := strings.Cut(said, " "); {
		case strings.HasPrefix(said, "Give your verdict"):
			if strings.Contains(whole(req), "You said: ") && strings.Contains(whole(req), wish) {
				return fake.Say(`{"result":"satisfied","explanation":"It is in verse."}`)
			}
			return fake.Say(`{"result":"needs_revision","explanation":"` + wish + `"}`)
		case isResult:
			return fake.Say("It said: " + said)
		case word == "calls":
			var asked []struct {
				Name  string
				Input json.RawMessage
			}
			if err := json.Unmarshal([]byte(rest), &asked); err != nil {
				return fake.Say("These are no calls: " + err.Error())
			}
			var calls []fake.Call
			for _, c := range asked {
				calls = append(calls, fake.Call{Name: c.Name, Input: string(c.Input)})
			}
			return fake.CallTools(calls...)
		case word == "hold":
			return fake.Say("Held.").And(fake.Block(release))
		case word == "hang":
			return fake.Block(nil)
		}
		return fake.SayPieces("You ", "said: ", said)
	}
}

// wish is what the model asks for when it judges.
const wish = "Say it in verse."

// whole is all that a request says.
func whole(req core.ModelRequest) string {
	var b strings.Builder
	for _, m := range req.Messages {
		for _, part := range m.Parts {
			if part.Block != nil {
				b.WriteString(part.Block.Text + "\n")
			}
		}
	}
	return b.String()
}

// last is the newest text of the conversation, and whether it is that of tool results, which are joined.
func last(req core.ModelRequest) (text string, isResult bool) {
	if len(req.Messages) == 0 {
		return "", false
	}
	var results []string
	for _, part := range req.Messages[len(req.Messages)-1].Parts {
		switch {
		case part.Block != nil && part.Block.Text != "":
			text = part.Block.Text
		case part.Result != nil:
			for _, b := range part.Result.Content {
				results = append(results, strings.TrimSpace(b.Text))
			}
			isResult = true
		}
	}
	if text != "" {
		return text, false
	}
	return strings.Join(results, " and "), isResult
}
