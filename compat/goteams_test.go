package compat

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// sessionOf makes a session of an agent, with more members as JSON.
func (g *gosdk) sessionOf(t *testing.T, agent, more string) (*anthropic.BetaManagedAgentsSession, error) {
	t.Helper()
	params := from[anthropic.BetaSessionNewParams](t, `{"agent":"`+agent+`","environment_id":"`+g.newEnvironment(t, "")+`"`+more+`}`)
	return g.Beta.Sessions.New(t.Context(), params)
}

func goTeams(t *testing.T, g *gosdk) {
	threads, ctx := g.Beta.Sessions.Threads, t.Context()
	mate := g.newAgent(t, `{"name":"Mate","description":"Counts."}`).ID
	lead := g.newAgent(t, `{"name":"Lead","multiagent":{"type":"coordinator","agents":[{"type":"agent","id":"`+mate+`"},{"type":"self"}]}}`).ID
	session := must(g.sessionOf(t, lead, ""))(t).ID
	events := g.turn(t, session, sent(`calls [{"name":"spawn_agent","input":{"agent":"Mate","message":"One, two."}}]`))
	created := find(events, "session.thread_created")[0].AsSessionThreadCreated()
	equal(t, created.AgentName, "Mate")
	list := must(threads.List(ctx, session, anthropic.BetaSessionThreadListParams{}))(t).Data
	holds(t, len(list) == 2 && list[0].ParentThreadID == "" && list[1].ParentThreadID == list[0].ID && list[1].ID == created.SessionThreadID, list)
	child := list[1].ID
	equal(t, must(threads.Get(ctx, child, anthropic.BetaSessionThreadGetParams{SessionID: session}))(t).Agent.Name, "Mate")
	log := all(t, threads.Events.ListAutoPaging(ctx, child, anthropic.BetaSessionThreadEventListParams{SessionID: session, Limit: anthropic.Int(2)}),
		func(e anthropic.BetaManagedAgentsSessionEventUnion) string { return e.Type + " " + heard(e.RawJSON()) })
	holds(t, slices.ContainsFunc(log, func(s string) bool { return strings.HasPrefix(s, "agent.message") && strings.Contains(s, "One, two.") }), log)
	report := find(events, "agent.thread_message_received")[0].AsAgentThreadMessageReceived()
	holds(t, report.FromSessionThreadID == child && report.FromAgentName == "Mate", report.RawJSON())

	stream := threads.Events.StreamEvents(ctx, child, anthropic.BetaSessionThreadEventStreamParams{SessionID: session})
	defer func() { _ = stream.Close() }()
	if err := g.send(t, session, sent(`calls [{"name":"send_to_agent","input":{"thread":"`+child+`","message":"Three."}}]`)); err != nil {
		t.Fatal(err)
	}
	answered := false
	for !answered && stream.Next() {
		e := stream.Current()
		answered = e.Type == "agent.message" && strings.Contains(heard(e.RawJSON()), "Three.")
	}
	holds(t, answered, stream.Err())
	apptest.Poll(t, "the end of all threads", func() bool {
		return must(g.Beta.Sessions.Get(ctx, session, anthropic.BetaSessionGetParams{}))(t).Status == "idle"
	})
	holds(t, !must(threads.Archive(ctx, child, anthropic.BetaSessionThreadArchiveParams{SessionID: session}))(t).ArchivedAt.IsZero(), child)
}

func goSessionResources(t *testing.T, g *gosdk) {
	stores, resources, ctx := g.Beta.MemoryStores, g.Beta.Sessions.Resources, t.Context()
	upload := func(name, text string) string {
		return must(g.Beta.Files.Upload(ctx, anthropic.BetaFileUploadParams{File: anthropic.File(strings.NewReader(text), name, "text/plain")}))(t).ID
	}
	first, second := upload("a.txt", "alpha"), upload("b.txt", "beta")
	store := must(stores.New(ctx, anthropic.BetaMemoryStoreNewParams{Name: "Team facts"}))(t).ID
	must(stores.Memories.New(ctx, store, anthropic.BetaMemoryStoreMemoryNewParams{Path: "/one.md", Content: anthropic.String("remembered")}))(t)
	made := must(g.sessionOf(t, g.newAgent(t, "").ID, `,"resources":[{"type":"file","file_id":"`+first+`","mount_path":"a.txt"},
		{"type":"memory_store","memory_store_id":"`+store+`","access":"read_write","instructions":"Look here."},
		{"type":"github_repository","url":"https://github.com/example/never-cloned","authorization_token":"secret-token","mount_path":"/workspace/code"}]`))(t)
	holds(t, !strings.Contains(made.RawJSON(), "secret-token"), "the token is shown")
	session, repository := made.ID, ""
	for _, r := range made.Resources {
		if r.Type == "github_repository" {
			repository = r.ID
		}
	}
	rotated := must(resources.Update(ctx, repository, anthropic.BetaSessionResourceUpdateParams{SessionID: session, AuthorizationToken: "newer-token"}))(t)
	equal(t, rotated.ID, repository)
	equal(t, string(must(resources.Delete(ctx, repository, anthropic.BetaSessionResourceDeleteParams{SessionID: session}))(t).Type), "session_resource_deleted")
	added := must(resources.Add(ctx, session, anthropic.BetaSessionResourceAddParams{
		BetaManagedAgentsFileResourceParams: anthropic.BetaManagedAgentsFileResourceParams{Type: "file", FileID: second, MountPath: anthropic.String("b.txt")},
	}))(t)
	equal(t, must(resources.Get(ctx, added.ID, anthropic.BetaSessionResourceGetParams{SessionID: session}))(t).MountPath, "/mnt/session/uploads/b.txt")
	mount := ""
	types := all(t, resources.ListAutoPaging(ctx, session, anthropic.BetaSessionResourceListParams{}), func(r anthropic.BetaManagedAgentsSessionResourceUnion) string {
		if r.Type == "memory_store" {
			mount = r.MountPath
		}
		return r.Type
	})
	slices.Sort(types)
	equal(t, types, []string{"file", "file", "memory_store"})
	command := "cat /mnt/session/uploads/a.txt /mnt/session/uploads/b.txt " + mount + "/one.md; printf new > " + mount + "/two.md; printf made > /mnt/session/outputs/c.txt"
	events := g.turn(t, session, sent(`calls [{"name":"bash","input":{"command":"`+command+`"}}]`))
	equal(t, heard(find(events, "agent.message")[0].RawJSON()), "It said: alphabetaremembered")
	versions := must(stores.MemoryVersions.List(ctx, store, anthropic.BetaMemoryStoreMemoryVersionListParams{SessionID: anthropic.String(session)}))(t).Data
	holds(t, len(versions) == 1 && versions[0].Path == "/two.md" && versions[0].CreatedBy.SessionID == session, versions)
	outputs := must(g.Beta.Files.List(ctx, anthropic.BetaFileListParams{ScopeID: anthropic.String(session)}))(t).Data
	i := slices.IndexFunc(outputs, func(f anthropic.BetaFileMetadata) bool { return f.Filename == "c.txt" })
	holds(t, i >= 0, outputs)
	equal(t, content(g.Beta.Files.Download(ctx, outputs[i].ID, anthropic.BetaFileDownloadParams{}))(t), "made")
	equal(t, all(t, g.Beta.Sessions.ListAutoPaging(ctx, anthropic.BetaSessionListParams{MemoryStoreID: anthropic.String(store)}), sessionID), []string{session})
}

func goBudgets(t *testing.T, g *gosdk) {
	sessions, ctx := g.Beta.Sessions, t.Context()
	cents := func(amount string) string {
		return `{"type":"limit","max_list_cost":{"amount":"` + amount + `","currency":"USD"}}`
	}
	_, err := g.sessionOf(t, g.newAgent(t, "").ID, `,"budget":`+cents("1"))
	refused(t, err, 400, "invalid_request_error") // it has no prices
	made := must(g.sessionOf(t, g.newAgent(t, `{"model":{"id":"`+priced+`"}}`).ID, `,"budget":`+cents("1")))(t)
	equal(t, made.Budget.MaxListCost.Amount, "1")
	session := made.ID
	spent := g.turn(t, session, sent(`calls [{"name":"bash","input":{"command":"printf hi"}}]`))
	equal(t, spent[len(spent)-1].AsSessionStatusIdle().StopReason.Type, "budget_reached")
	usage := find(spent, "session.usage")
	var shown struct {
		Usage struct {
			Cost struct{ Amount string } `json:"list_cost"`
		}
		Budget any
	}
	if err := decode(usage[len(usage)-1].RawJSON(), &shown); err != nil {
		t.Fatal(err)
	}
	holds(t, shown.Usage.Cost.Amount == "2" && shown.Budget != nil, shown)
	refused(t, g.send(t, session, sent("Go on.")), 400, "invalid_request_error")
	stream := sessions.Events.StreamEvents(ctx, session, anthropic.BetaSessionEventStreamParams{})
	equal(t, must(sessions.Update(ctx, session, from[anthropic.BetaSessionUpdateParams](t, `{"budget":`+cents("100")+`}`)))(t).Budget.MaxListCost.Amount, "100")
	said := ""
	for ended := false; !ended && stream.Next(); {
		e := stream.Current()
		if e.Type == "agent.message" {
			said = heard(e.RawJSON())
		}
		ended = e.Type == "session.status_idle" && e.AsSessionStatusIdle().StopReason.Type == "end_turn"
	}
	_ = stream.Close() // nothing more comes
	equal(t, said, "It said: hi")
	removed := must(sessions.Update(ctx, session, anthropic.BetaSessionUpdateParams{Budget: param.NullStruct[anthropic.BetaManagedAgentsBudgetLimitParam]()}))(t)
	holds(t, !removed.JSON.Budget.Valid(), removed.RawJSON())
	_, err = sessions.Update(ctx, session, from[anthropic.BetaSessionUpdateParams](t, `{"budget":`+cents("5")+`}`))
	refused(t, err, 400, "invalid_request_error")
}

func goOutcomes(t *testing.T, g *gosdk) {
	session := g.newSession(t, "")
	events := g.turn(t, session, `{"type":"user.define_outcome","description":"A greeting.","rubric":{"type":"text","content":"It is in verse."},"max_iterations":5}`)
	ends := find(events, "span.outcome_evaluation_end")
	holds(t, len(ends) == 2, ends)
	first, second := ends[0].AsSpanOutcomeEvaluationEnd(), ends[1].AsSpanOutcomeEvaluationEnd()
	holds(t, first.Iteration == 0 && first.Result == "needs_revision", first.RawJSON())
	holds(t, second.Iteration == 1 && second.Result == "satisfied" && second.OutcomeID == first.OutcomeID, second.RawJSON())
	shown := must(g.Beta.Sessions.Get(t.Context(), session, anthropic.BetaSessionGetParams{}))(t).OutcomeEvaluations
	holds(t, len(shown) == 1 && shown[0].OutcomeID == first.OutcomeID && shown[0].Result == "satisfied", shown)
}

func goSkilledAgent(t *testing.T, g *gosdk) {
	skill := must(g.Beta.Skills.New(t.Context(), anthropic.BetaSkillNewParams{Files: []io.Reader{
		anthropic.File(strings.NewReader("---\nname: haiku\ndescription: Writes haiku.\n---\nFive, seven, five.\n"), "haiku/SKILL.md", "text/markdown"),
	}}))(t).ID
	session := must(g.sessionOf(t, g.newAgent(t, `{"skills":[{"type":"custom","skill_id":"`+skill+`"}]}`).ID, ""))(t).ID
	events := g.turn(t, session, sent(`calls [{"name":"bash","input":{"command":"tail -1 /mnt/skills/haiku/SKILL.md"}}]`))
	equal(t, heard(find(events, "agent.message")[0].RawJSON()), "It said: Five, seven, five.")
}

func goWebhooks(t *testing.T, g *gosdk) {
	made := from[struct{ Secret string }](t, g.ask(t.Context(), t, http.MethodPost, "webhook?event=agent.created&event=agent.archived"))
	agent := g.newAgent(t, "").ID
	must(g.Beta.Agents.Archive(t.Context(), agent, anthropic.BetaAgentArchiveParams{}))(t)
	heard := []string{}
	for len(heard) < 2 {
		m := from[message](t, g.ask(t.Context(), t, http.MethodGet, "message"))
		header := http.Header{}
		for name, value := range m.Headers {
			header.Set(name, value)
		}
		unwrap := func(body string) (*anthropic.UnwrapWebhookEvent, error) {
			return g.Beta.Webhooks.Unwrap([]byte(body), header, option.WithWebhookKey(made.Secret))
		}
		event := must(unwrap(m.Body))(t)
		if event.Data.ID == agent {
			heard = append(heard, event.Data.Type)
		}
		_, err := unwrap(m.Body + " ")
		holds(t, err != nil, "a changed body was taken")
	}
	slices.Sort(heard)
	equal(t, heard, []string{"agent.archived", "agent.created"})
}
