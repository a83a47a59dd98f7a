package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
)

func decode(raw string, to any) error { return json.Unmarshal([]byte(raw), to) }

func goFiles(t *testing.T, g *gosdk) {
	files, ctx := g.Beta.Files, t.Context()
	made := must(files.Upload(ctx, anthropic.BetaFileUploadParams{File: anthropic.File(strings.NewReader("hello"), "a.txt", "text/plain")}))(t)
	holds(t, made.Filename == "a.txt" && made.MimeType == "text/plain" && made.SizeBytes == 5, made.RawJSON())
	other := must(g.Files.Upload(ctx, anthropic.FileUploadParams{File: anthropic.File(strings.NewReader("x"), "b.txt", "text/plain")}))(t)
	equal(t, must(files.GetMetadata(ctx, made.ID, anthropic.BetaFileGetMetadataParams{}))(t).RawJSON(), made.RawJSON())
	equal(t, content(files.Download(ctx, made.ID, anthropic.BetaFileDownloadParams{}))(t), "hello")
	listed := all(t, files.ListAutoPaging(ctx, anthropic.BetaFileListParams{Limit: anthropic.Int(1)}), func(f anthropic.BetaFileMetadata) string { return f.ID })
	holds(t, slices.Contains(listed, other.ID) && slices.Index(listed, other.ID) < slices.Index(listed, made.ID), listed)
	equal(t, string(must(files.Delete(ctx, made.ID, anthropic.BetaFileDeleteParams{}))(t).Type), "file_deleted")
	_, err := files.GetMetadata(ctx, made.ID, anthropic.BetaFileGetMetadataParams{})
	refused(t, err, 404, "not_found_error")
}

func goSkills(t *testing.T, g *gosdk) {
	skills, ctx := g.Beta.Skills, t.Context()
	folder := func(description string) []io.Reader {
		return []io.Reader{
			anthropic.File(strings.NewReader("---\nname: notes\ndescription: "+description+"\n---\nWrite notes.\n"), "notes/SKILL.md", "text/markdown"),
			anthropic.File(strings.NewReader("print(1)"), "notes/scripts/run.py", "text/x-python"),
		}
	}
	made := must(skills.New(ctx, anthropic.BetaSkillNewParams{DisplayName: anthropic.String("Notes"), Files: folder("first")}))(t)
	equal(t, made.DisplayName, "Notes")
	second := must(skills.Versions.New(ctx, made.ID, anthropic.BetaSkillVersionNewParams{Files: folder("second")}))(t)
	equal(t, must(skills.Versions.Get(ctx, second.ID, anthropic.BetaSkillVersionGetParams{SkillID: made.ID}))(t).Description, "second")
	listed := all(t, skills.Versions.ListAutoPaging(ctx, made.ID, anthropic.BetaSkillVersionListParams{Limit: anthropic.Int(1)}), func(v anthropic.BetaSkillVersion) string { return v.Description })
	equal(t, listed, []string{"second", "first"})
	zip := content(skills.Versions.Download(ctx, second.ID, anthropic.BetaSkillVersionDownloadParams{SkillID: made.ID}))(t)
	packed := must(skills.New(ctx, anthropic.BetaSkillNewParams{Files: []io.Reader{anthropic.File(strings.NewReader(zip), "notes.zip", "application/zip")}}))(t)
	equal(t, packed.DisplayName, "notes")
	equal(t, must(skills.Get(ctx, made.ID, anthropic.BetaSkillGetParams{}))(t).LatestVersionID, second.ID)
	there := all(t, skills.ListAutoPaging(ctx, anthropic.BetaSkillListParams{Limit: anthropic.Int(1)}), func(s anthropic.BetaSkill) string { return s.ID })
	holds(t, slices.Contains(there, made.ID), there)
	equal(t, string(must(skills.Versions.Delete(ctx, second.ID, anthropic.BetaSkillVersionDeleteParams{SkillID: made.ID}))(t).Type), "skill_version_deleted")
	equal(t, string(must(skills.Delete(ctx, packed.ID, anthropic.BetaSkillDeleteParams{}))(t).Type), "skill_deleted")
	_, err := skills.Get(ctx, packed.ID, anthropic.BetaSkillGetParams{})
	refused(t, err, 404, "not_found_error")
	_, err = skills.New(ctx, anthropic.BetaSkillNewParams{Files: []io.Reader{anthropic.File(strings.NewReader("x"), "notes/README.md", "text/markdown")}})
	refused(t, err, 400, "invalid_request_error")
}

func goVaults(t *testing.T, g *gosdk) {
	vaults, ctx := g.Beta.Vaults, t.Context()
	vault := must(vaults.New(ctx, anthropic.BetaVaultNewParams{DisplayName: "Keys", Metadata: map[string]string{"a": "1"}}))(t).ID
	create := func(auth string) (*anthropic.BetaManagedAgentsCredential, error) {
		t.Helper()
		return vaults.Credentials.New(ctx, vault, from[anthropic.BetaVaultCredentialNewParams](t, `{"auth":`+auth+`}`))
	}
	static := `{"type":"static_bearer","mcp_server_url":"https://tracker.example.com/mcp","token":"very-secret"}`
	bearer := must(create(static))(t)
	holds(t, !strings.Contains(bearer.RawJSON(), "very-secret"), bearer.Auth.RawJSON())
	_, err := create(static)
	refused(t, err, 409, "conflict_error")
	variable := must(create(`{"type":"environment_variable","secret_name":"API_KEY","secret_value":"hidden","networking":{"type":"limited","allowed_hosts":["api.example.com"]}}`))(t)
	holds(t, variable.Auth.AsEnvironmentVariable().InjectionLocation.Body, variable.RawJSON())
	oauth := must(create(`{"type":"mcp_oauth","mcp_server_url":"https://mail.invalid/mcp","access_token":"at"}`))(t)
	checked := must(vaults.Credentials.MCPOAuthValidate(ctx, oauth.ID, anthropic.BetaVaultCredentialMCPOAuthValidateParams{VaultID: vault}))(t)
	equal(t, checked.HasRefreshToken, false)
	update := from[anthropic.BetaVaultCredentialUpdateParams](t, `{"display_name":"Renamed","auth":{"type":"static_bearer","token":"newer"}}`)
	update.VaultID = vault
	equal(t, must(vaults.Credentials.Update(ctx, bearer.ID, update))(t).DisplayName, "Renamed")
	got := must(vaults.Credentials.Get(ctx, bearer.ID, anthropic.BetaVaultCredentialGetParams{VaultID: vault}))(t).RawJSON()
	holds(t, !strings.Contains(got, "newer"), "the token is shown")
	listed := all(t, vaults.Credentials.ListAutoPaging(ctx, vault, anthropic.BetaVaultCredentialListParams{Limit: anthropic.Int(1)}), func(c anthropic.BetaManagedAgentsCredential) string { return c.ID })
	equal(t, listed, []string{oauth.ID, variable.ID, bearer.ID})
	archived := must(vaults.Credentials.Archive(ctx, variable.ID, anthropic.BetaVaultCredentialArchiveParams{VaultID: vault}))(t)
	holds(t, !archived.ArchivedAt.IsZero(), archived.RawJSON())
	equal(t, string(must(vaults.Credentials.Delete(ctx, oauth.ID, anthropic.BetaVaultCredentialDeleteParams{VaultID: vault}))(t).Type), "vault_credential_deleted")
	equal(t, must(vaults.Update(ctx, vault, anthropic.BetaVaultUpdateParams{DisplayName: anthropic.String("Safe"), Metadata: map[string]string{"b": "2"}}))(t).Metadata, map[string]string{"a": "1", "b": "2"})
	equal(t, must(vaults.Get(ctx, vault, anthropic.BetaVaultGetParams{}))(t).DisplayName, "Safe")
	there := all(t, vaults.ListAutoPaging(ctx, anthropic.BetaVaultListParams{Limit: anthropic.Int(1)}), func(v anthropic.BetaManagedAgentsVault) string { return v.ID })
	holds(t, slices.Contains(there, vault), there)
	session := must(g.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(g.newAgent(t, "").ID)}, EnvironmentID: g.newEnvironment(t, ""), VaultIDs: []string{vault},
	}))(t)
	equal(t, session.VaultIDs, []string{vault})
	must(vaults.Archive(ctx, vault, anthropic.BetaVaultArchiveParams{}))(t)
	equal(t, string(must(vaults.Delete(ctx, vault, anthropic.BetaVaultDeleteParams{}))(t).Type), "vault_deleted")
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func goMemoryStores(t *testing.T, g *gosdk) {
	stores, ctx := g.Beta.MemoryStores, t.Context()
	memories, versions := stores.Memories, stores.MemoryVersions
	store := must(stores.New(ctx, anthropic.BetaMemoryStoreNewParams{Name: "Facts", Description: anthropic.String("What we know.")}))(t).ID
	create := func(path, text string) (*anthropic.BetaManagedAgentsMemory, error) {
		return memories.New(ctx, store, anthropic.BetaMemoryStoreMemoryNewParams{Path: path, Content: anthropic.String(text)})
	}
	made := must(create("/people/ada.md", "one"))(t)
	equal(t, made.ContentSha256, hash("one"))
	must(create("/top.md", ""))(t)
	_, err := create("/top.md", "x")
	refused(t, err, 409, "memory_path_conflict_error")
	update := func(text string) (*anthropic.BetaManagedAgentsMemory, error) {
		return memories.Update(ctx, made.ID, anthropic.BetaMemoryStoreMemoryUpdateParams{
			MemoryStoreID: store, Content: anthropic.String(text),
			Precondition: anthropic.BetaManagedAgentsPreconditionParam{Type: "content_sha256", ContentSha256: anthropic.String(hash("one"))},
		})
	}
	equal(t, must(update("two"))(t).ContentSha256, hash("two"))
	_, err = update("three")
	refused(t, err, 409, "memory_precondition_failed_error")
	equal(t, must(memories.Get(ctx, made.ID, anthropic.BetaMemoryStoreMemoryGetParams{MemoryStoreID: store}))(t).Content, "two")
	listed := all(t, memories.ListAutoPaging(ctx, store, anthropic.BetaMemoryStoreMemoryListParams{Depth: anthropic.Int(1), Limit: anthropic.Int(1)}),
		func(m anthropic.BetaManagedAgentsMemoryListItemUnion) string { return m.Type + " " + m.Path })
	equal(t, listed, []string{"memory_prefix /people/", "memory /top.md"})
	ids := all(t, versions.ListAutoPaging(ctx, store, anthropic.BetaMemoryStoreMemoryVersionListParams{MemoryID: anthropic.String(made.ID), Limit: anthropic.Int(1)}),
		func(v anthropic.BetaManagedAgentsMemoryVersion) string { return v.ID })
	equal(t, len(ids), 2)
	equal(t, must(versions.Get(ctx, ids[1], anthropic.BetaMemoryStoreMemoryVersionGetParams{MemoryStoreID: store}))(t).Content, "one")
	redacted := must(versions.Redact(ctx, ids[1], anthropic.BetaMemoryStoreMemoryVersionRedactParams{MemoryStoreID: store}))(t)
	holds(t, !redacted.RedactedAt.IsZero(), redacted.RawJSON())
	_, err = versions.Redact(ctx, ids[0], anthropic.BetaMemoryStoreMemoryVersionRedactParams{MemoryStoreID: store})
	refused(t, err, 400, "invalid_request_error")
	remove := func(text string) (*anthropic.BetaManagedAgentsDeletedMemory, error) {
		return memories.Delete(ctx, made.ID, anthropic.BetaMemoryStoreMemoryDeleteParams{MemoryStoreID: store, ExpectedContentSha256: anthropic.String(hash(text))})
	}
	_, err = remove("one")
	refused(t, err, 409, "memory_precondition_failed_error")
	equal(t, string(must(remove("two"))(t).Type), "memory_deleted")
	equal(t, must(stores.Update(ctx, store, anthropic.BetaMemoryStoreUpdateParams{Name: anthropic.String("Known")}))(t).Name, "Known")
	equal(t, must(stores.Get(ctx, store, anthropic.BetaMemoryStoreGetParams{}))(t).Name, "Known")
	there := all(t, stores.ListAutoPaging(ctx, anthropic.BetaMemoryStoreListParams{Limit: anthropic.Int(1)}), func(s anthropic.BetaManagedAgentsMemoryStore) string { return s.ID })
	holds(t, slices.Contains(there, store), there)
	must(stores.Archive(ctx, store, anthropic.BetaMemoryStoreArchiveParams{}))(t)
	equal(t, string(must(stores.Delete(ctx, store, anthropic.BetaMemoryStoreDeleteParams{}))(t).Type), "memory_store_deleted")
}

func goDeployments(t *testing.T, g *gosdk) {
	deployments, runs, ctx := g.Beta.Deployments, g.Beta.DeploymentRuns, t.Context()
	agent := g.newAgent(t, "").ID
	made := must(deployments.New(ctx, from[anthropic.BetaDeploymentNewParams](t, `{"name":"Nightly","agent":"`+agent+`","environment_id":"`+g.newEnvironment(t, "")+`",
		"initial_events":[`+sent("Good night.")+`],"schedule":{"type":"cron","expression":"0 3 * * 1-5","timezone":"Europe/Oslo"}}`)))(t)
	holds(t, made.Status == "active" && made.Agent.Version == 1 && len(made.Schedule.UpcomingRunsAt) == 5, made.RawJSON())
	equal(t, must(deployments.Pause(ctx, made.ID, anthropic.BetaDeploymentPauseParams{}))(t).PausedReason.Type, "manual")
	run := must(deployments.Run(ctx, made.ID, anthropic.BetaDeploymentRunParams{}))(t)
	holds(t, run.TriggerContext.Type == "manual" && !run.JSON.Error.Valid(), run.RawJSON())
	equal(t, must(g.Beta.Sessions.Get(ctx, run.SessionID, anthropic.BetaSessionGetParams{}))(t).DeploymentID, made.ID)
	equal(t, must(runs.Get(ctx, run.ID, anthropic.BetaDeploymentRunGetParams{}))(t).SessionID, run.SessionID)
	listed := all(t, runs.ListAutoPaging(ctx, anthropic.BetaDeploymentRunListParams{DeploymentID: anthropic.String(made.ID)}), func(r anthropic.BetaManagedAgentsDeploymentRun) string { return r.ID })
	equal(t, listed, []string{run.ID})
	begun := all(t, g.Beta.Sessions.ListAutoPaging(ctx, anthropic.BetaSessionListParams{DeploymentID: anthropic.String(made.ID)}), sessionID)
	equal(t, begun, []string{run.SessionID})
	equal(t, string(must(deployments.Unpause(ctx, made.ID, anthropic.BetaDeploymentUnpauseParams{}))(t).Status), "active")
	changed := must(deployments.Update(ctx, made.ID, anthropic.BetaDeploymentUpdateParams{Name: anthropic.String("Weekly"), Schedule: param.NullStruct[anthropic.BetaManagedAgentsScheduleParams]()}))(t)
	holds(t, changed.Name == "Weekly" && !changed.JSON.Schedule.Valid(), changed.RawJSON())
	equal(t, must(deployments.Get(ctx, made.ID, anthropic.BetaDeploymentGetParams{}))(t).RawJSON(), changed.RawJSON())
	there := all(t, deployments.ListAutoPaging(ctx, anthropic.BetaDeploymentListParams{AgentID: anthropic.String(agent)}), func(d anthropic.BetaManagedAgentsDeployment) string { return d.ID })
	equal(t, there, []string{made.ID})
	must(deployments.Archive(ctx, made.ID, anthropic.BetaDeploymentArchiveParams{}))(t)
	_, err := deployments.Run(ctx, made.ID, anthropic.BetaDeploymentRunParams{})
	refused(t, err, 400, "invalid_request_error")
}

func goWorkQueue(t *testing.T, g *gosdk) {
	work, ctx := g.Beta.Environments.Work, t.Context()
	environment := g.newEnvironment(t, `{"type":"self_hosted"}`)
	poll := func(ms int64) string {
		t.Helper()
		item := must(work.Poll(ctx, environment, anthropic.BetaEnvironmentWorkPollParams{BlockMs: anthropic.Int(ms)}))(t)
		if item == nil {
			return ""
		}
		return item.ID
	}
	equal(t, poll(1), "")
	session := must(g.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(g.newAgent(t, "").ID)}, EnvironmentID: environment,
	}))(t)
	item := poll(500)
	get := func() *anthropic.BetaSelfHostedWork {
		t.Helper()
		return must(work.Get(ctx, item, anthropic.BetaEnvironmentWorkGetParams{EnvironmentID: environment}))(t)
	}
	holds(t, get().State == "queued" && get().Data.ID == session.ID, get().RawJSON())
	equal(t, must(work.Stats(ctx, environment, anthropic.BetaEnvironmentWorkStatsParams{}))(t).Pending, 1)
	equal(t, string(must(work.Ack(ctx, item, anthropic.BetaEnvironmentWorkAckParams{EnvironmentID: environment}))(t).State), "starting")
	beat := func(expected string) (*anthropic.BetaSelfHostedWorkHeartbeatResponse, error) {
		return work.Heartbeat(ctx, item, anthropic.BetaEnvironmentWorkHeartbeatParams{EnvironmentID: environment, ExpectedLastHeartbeat: anthropic.String(expected)})
	}
	first := must(beat("NO_HEARTBEAT"))(t)
	holds(t, first.State == "active" && first.LeaseExtended, first.RawJSON())
	_, err := beat("NO_HEARTBEAT")
	refused(t, err, 412, "precondition_failed_error")
	last := first.LastHeartbeat
	holds(t, must(beat(last))(t).LeaseExtended, last)
	update := anthropic.BetaEnvironmentWorkUpdateParams{EnvironmentID: environment, BetaSelfHostedWorkUpdateRequest: anthropic.BetaSelfHostedWorkUpdateRequestParam{Metadata: map[string]string{"host": "a"}}}
	equal(t, must(work.Update(ctx, item, update))(t).Metadata, map[string]string{"host": "a"})
	there := all(t, work.ListAutoPaging(ctx, environment, anthropic.BetaEnvironmentWorkListParams{Limit: anthropic.Int(1)}), func(w anthropic.BetaSelfHostedWork) string { return w.ID })
	equal(t, there, []string{item})
	stop := func(force bool) error {
		_, err := work.Stop(ctx, item, anthropic.BetaEnvironmentWorkStopParams{
			EnvironmentID: environment, BetaSelfHostedWorkStopRequest: anthropic.BetaSelfHostedWorkStopRequestParam{Force: anthropic.Bool(force)},
		})
		return err
	}
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	refused(t, stop(false), 409, "conflict_error")
	equal(t, string(get().State), "stopped")
}
