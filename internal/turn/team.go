package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// threadPrefix is how the id of a thread is spelled to models and clients.
const threadPrefix = "sthr_"

// mate is a member of a coordinator's roster under the name by which its model calls it.
type mate struct {
	core.Teammate
	name string // unique in the team
	spec core.AgentSpec
}

// matesOf lists the members of a session's team that can be given work, in the order of the roster, and the
// advisor if there is one. Where two have one name, the later ones are numbered.
func matesOf(sess core.Session) (mates []mate, advisor *core.Teammate) {
	taken := map[string]bool{}
	for i := range sess.Team {
		m := mate{Teammate: sess.Team[i]}
		switch {
		case m.Kind == core.RosterAdvisor:
			advisor = &sess.Team[i]
			continue
		case m.Kind == core.RosterSelf:
			m.spec, m.Agent, m.Version = *sess.Snapshot, sess.Agent, sess.AgentVersion
			m.spec.Roster = nil
		default:
			m.spec = *m.Spec
		}
		m.name = m.spec.Name
		for n := 2; taken[m.name]; n++ {
			m.name = fmt.Sprintf("%s (%d)", m.spec.Name, n)
		}
		taken[m.name] = true
		mates = append(mates, m)
	}
	return mates, advisor
}

// teamTool is a tool of a coordinator that works on the session's own threads. It decides inside the transaction
// that stores its result, so that a crash leaves both or neither.
type teamTool func(ctx context.Context, v *run, tx core.Store, input json.RawMessage) ([]core.Draft, core.ToolOutput, error)

// addTeam gives a coordinator's primary thread its tools. A custom tool of the same name stands before them.
func (b *toolbox) addTeam(sess core.Session) {
	mates, advisor := matesOf(sess)
	if len(mates) > 0 {
		b.add(listAgentsSpec, entry{kind: core.ToolsetBuiltin, policy: core.PolicyAllow, team: listAgents})
		b.add(spawnAgentSpec(mates), entry{kind: core.ToolsetBuiltin, policy: core.PolicyAllow, team: spawnAgent})
		b.add(sendToAgentSpec, entry{kind: core.ToolsetBuiltin, policy: core.PolicyAllow, team: sendToAgent})
		b.prompts = append(b.prompts, "You coordinate a team of agents that share your files and sandbox but not this conversation. "+
			"An agent that you gave work runs beside you; its answer comes to you as a message when it is done. "+
			"End your turn when there is nothing left to do but wait: you are called again with the next answer.")
	}
	if advisor != nil {
		b.add(consultAdvisorSpec, entry{kind: core.ToolsetBuiltin, policy: core.PolicyAllow, advisor: true})
	}
}

// memberPrompt is what a member of a team is told beside its own definition.
const memberPrompt = "You work for another agent, which coordinates this session. You share its files and sandbox, but not its conversation. " +
	"Your last message of the turn is handed to it as your answer: say there all that it needs to know."

// runTeamTools answers the uses of the coordinator's own tools, one after the other, so that its threads come in
// the order in which it asked for them. It returns the uses that are left: none if a client interrupted, because
// what was not begun is then for the next decision.
func (v *run) runTeamTools(ctx context.Context, uses []*use) ([]*use, error) {
	left := uses[:0:0]
	for _, u := range uses {
		act := v.tools.entries[u.called()].team
		if act == nil || u.InputError != "" {
			left = append(left, u)
			continue
		}
		began, interrupted := v.now(), false
		err := v.write(ctx, func(tx core.Store) ([]core.Draft, error) {
			queued, err := tx.QueuedEvents(ctx, v.lease.Project, v.lease.Session, v.lease.Thread)
			if interrupted = newestInterrupt(queued) > 0; interrupted || err != nil {
				return nil, err
			}
			drafts, out, err := act(ctx, v, tx, u.Input)
			return append(drafts, v.result(u, out, v.now().Sub(began))), err
		})
		if err != nil || interrupted {
			return nil, err
		}
	}
	return left, nil
}

// hand puts a message of the coordinator into the queue of a member.
func (v *run) hand(to core.Thread, text string) []core.Draft {
	got := core.NewDraft(to.ID, "", core.EventMessageReceived, core.ThreadMessage{Thread: v.lease.Thread, Content: core.Text(text)})
	got.Queued = true
	return []core.Draft{
		v.draft(core.EventMessageSent, core.ThreadMessage{Thread: to.ID, Name: to.Name, Content: core.Text(text)}),
		got,
	}
}

// report hands a member's last words of the turn to the coordinator, or says why there are none. A turn that waits
// for a client has not ended for the coordinator, and of one that a client interrupted the client knows.
func (v *run) report(stop core.StopReason) []core.Draft {
	if v.thread.Parent == "" {
		return nil
	}
	said := v.said
	if said == nil {
		said = v.t.said
	}
	switch stop.Type {
	case core.StopEndTurn:
		if len(said) == 0 {
			said = core.Text("(The agent ended its turn without a message.)")
		}
	case core.StopRetriesExhausted:
		said = append(core.Text("(The agent stopped: its turn failed. What it said before, if anything, follows.)"), said...)
	case core.StopMaxSteps:
		said = append(core.Text("(The agent stopped: its turn took too many steps. What it said before, if anything, follows.)"), said...)
	default:
		return nil
	}
	got := core.NewDraft(v.thread.Parent, "", core.EventMessageReceived, core.ThreadMessage{Thread: v.lease.Thread, Name: v.thread.Name, Content: said})
	got.Queued = true
	return []core.Draft{v.draft(core.EventMessageSent, core.ThreadMessage{Thread: v.thread.Parent, Content: said}), got}
}

// shared reports whether the session's own view shows a tool use of a member: because a client has to act on it.
func (v *run) shared(u core.ToolUse) bool {
	if !v.team || v.thread.Parent == "" || u.Permission == "deny" || u.InputError != "" {
		return false
	}
	return u.Permission == "ask" || u.Kind == core.ToolsetCustom || v.self && u.Kind == core.ToolsetBuiltin && core.InSandbox(u.Name)
}

// readInput decodes the arguments of a tool. The refusal is for the model.
func readInput(input json.RawMessage, into any) *core.ToolOutput {
	if err := json.Unmarshal(input, into); err != nil {
		out := refusal("Not run: the arguments do not have the form that the tool asks for.")
		return &out
	}
	return nil
}

// lacks is the refusal of a call whose argument is empty, or nil.
func lacks(name, value string) *core.ToolOutput {
	if strings.TrimSpace(value) == "" {
		out := refusal("Not run: %s is required and must not be empty.", name)
		return &out
	}
	return nil
}
