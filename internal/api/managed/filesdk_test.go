package managed_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/tools/agenttoolset"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// body reads an answer of the SDK's download methods.
func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestOfficialSDKKeepsFiles drives every endpoint of files, as they are since they left beta and before.
func TestOfficialSDKKeepsFiles(t *testing.T) {
	t.Parallel()
	client, _ := sdk(t, apptest.Start(t))
	ctx := t.Context()
	upload := func(name, content string) *anthropic.BetaFileMetadata {
		t.Helper()
		made, err := client.Beta.Files.Upload(ctx, anthropic.BetaFileUploadParams{File: anthropic.File(strings.NewReader(content), name, "text/plain")})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	made := upload("dir/a.txt", "hello")
	if made.Filename != "a.txt" || made.MimeType != "text/plain" || made.SizeBytes != 5 || !made.Downloadable || !made.ExpiresAt.IsZero() {
		t.Errorf("file = %s", made.RawJSON())
	}
	expiring, err := client.Files.Upload(ctx, anthropic.FileUploadParams{File: strings.NewReader("x"), ExpiresInSeconds: anthropic.Int(3600)})
	if err != nil || expiring.ExpiresAt.Sub(expiring.CreatedAt).Seconds() != 3600 || expiring.Filename != "unnamed.txt" {
		t.Fatalf("file = %v, %v", expiring, err)
	}
	if got, err := client.Beta.Files.GetMetadata(ctx, made.ID, anthropic.BetaFileGetMetadataParams{}); err != nil || got.RawJSON() != made.RawJSON() {
		t.Errorf("file = %v, %v", got, err)
	}
	res, err := client.Beta.Files.Download(ctx, made.ID, anthropic.BetaFileDownloadParams{})
	if got := body(t, res, err); got != "hello" {
		t.Errorf("content = %q", got)
	}
	res, err = client.Files.Download(ctx, made.ID, anthropic.FileDownloadParams{}, option.WithHeader("Range", "bytes=1-2"))
	if got := body(t, res, err); got != "el" {
		t.Errorf("range = %q", got)
	}
	want := []string{upload("c", "x").ID, upload("b", "x").ID, expiring.ID, made.ID}
	slices.Sort(want)
	slices.Reverse(want) // newest first
	var got []string
	list := client.Beta.Files.ListAutoPaging(ctx, anthropic.BetaFileListParams{Limit: anthropic.Int(1)})
	for list.Next() {
		got = append(got, list.Current().ID)
	}
	if d := cmp.Diff(want, got); d != "" || list.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", list.Err(), d)
	}
	some, err := client.Files.List(ctx, anthropic.FileListParams{IDs: []string{made.ID, expiring.ID}})
	if err != nil || len(some.Data) != 2 || some.Data[1].ID != made.ID || some.NextPage != "" {
		t.Errorf("list = %v, %v", some, err)
	}
	old, err := client.Beta.Files.List(ctx, anthropic.BetaFileListParams{Limit: anthropic.Int(1), Betas: []anthropic.AnthropicBeta{"files-api-2025-04-14"}}, option.WithQuery("after_id", want[0]))
	if err != nil || len(old.Data) != 1 || old.Data[0].ID != want[1] || old.JSON.ExtraFields["has_more"].Raw() != "true" {
		t.Errorf("old list = %v, %v", old, err)
	}
	if gone, err := client.Beta.Files.Delete(ctx, made.ID, anthropic.BetaFileDeleteParams{}); err != nil || gone.ID != made.ID || gone.Type != "file_deleted" {
		t.Errorf("deleted = %v, %v", gone, err)
	}
}

// TestOfficialSDKKeepsSkills drives every endpoint of skills, and the worker's own way to fetch them.
func TestOfficialSDKKeepsSkills(t *testing.T) {
	t.Parallel()
	client, _ := sdk(t, apptest.Start(t))
	ctx := t.Context()
	files := func(description string) []io.Reader {
		md := "---\nname: pdf\ndescription: " + description + "\n---\nDo it.\n"
		return []io.Reader{
			anthropic.File(strings.NewReader(md), "pdf/SKILL.md", "text/markdown"),
			anthropic.File(strings.NewReader("print(1)"), "pdf/scripts/run.py", "text/x-python"),
		}
	}
	skills := client.Beta.Skills
	made, err := skills.New(ctx, anthropic.BetaSkillNewParams{Files: files("one")})
	if err != nil || made.DisplayName != "pdf" || made.LatestVersionID == "" || made.Source.Type != anthropic.BetaSkillSourceTypeCustom {
		t.Fatalf("skill = %v, %v", made, err)
	}
	named, err := client.Skills.New(ctx, anthropic.SkillNewParams{Files: files("two"), DisplayName: anthropic.String("PDF tools")})
	if err != nil || named.DisplayName != "PDF tools" {
		t.Fatalf("skill = %v, %v", named, err)
	}
	second, err := skills.Versions.New(ctx, made.ID, anthropic.BetaSkillVersionNewParams{Files: files("two")})
	if err != nil || second.Description != "two" || second.Name != "pdf" || second.SkillID != made.ID {
		t.Fatalf("version = %v, %v", second, err)
	}
	if got, err := skills.Get(ctx, made.ID, anthropic.BetaSkillGetParams{}); err != nil || got.LatestVersionID != second.ID {
		t.Errorf("skill = %v, %v", got, err)
	}
	for _, ref := range []string{second.ID, "latest"} {
		if got, err := skills.Versions.Get(ctx, ref, anthropic.BetaSkillVersionGetParams{SkillID: made.ID}); err != nil || got.RawJSON() != second.RawJSON() {
			t.Errorf("%s = %v, %v", ref, got, err)
		}
	}
	var got []string
	list := skills.ListAutoPaging(ctx, anthropic.BetaSkillListParams{Limit: anthropic.Int(1), Source: anthropic.String("custom")})
	for list.Next() {
		got = append(got, list.Current().ID)
	}
	versions := skills.Versions.ListAutoPaging(ctx, made.ID, anthropic.BetaSkillVersionListParams{Limit: anthropic.Int(1)})
	for versions.Next() {
		got = append(got, versions.Current().ID)
	}
	if d := cmp.Diff([]string{named.ID, made.ID, second.ID, made.LatestVersionID}, got); d != "" || list.Err() != nil || versions.Err() != nil {
		t.Errorf("%v, %v (-want +got):\n%s", list.Err(), versions.Err(), d)
	}
	res, err := skills.Versions.Download(ctx, second.ID, anthropic.BetaSkillVersionDownloadParams{SkillID: made.ID})
	if d := cmp.Diff([]string{"pdf/SKILL.md", "pdf/scripts/run.py"}, names(unzipped(t, body(t, res, err)))); d != "" {
		t.Errorf("archive (-want +got):\n%s", d)
	}
	fetched(t, client, made.ID)

	if gone, err := skills.Versions.Delete(ctx, second.ID, anthropic.BetaSkillVersionDeleteParams{SkillID: made.ID}); err != nil || gone.ID != second.ID {
		t.Errorf("deleted = %v, %v", gone, err)
	}
	if gone, err := skills.Delete(ctx, made.ID, anthropic.BetaSkillDeleteParams{}); err != nil || gone.ID != made.ID {
		t.Errorf("deleted = %v, %v", gone, err)
	}
}

// fetched lets the SDK's own worker code unpack what an agent with a skill refers to.
func fetched(t *testing.T, client anthropic.Client, skill string) {
	t.Helper()
	agent, err := client.Beta.Agents.New(t.Context(), anthropic.BetaAgentNewParams{
		Name: "a", Model: anthropic.BetaManagedAgentsModelConfigParams{ID: apptest.Model},
		Tools: []anthropic.BetaAgentNewParamsToolUnion{{OfAgentToolset20260401: &anthropic.BetaManagedAgentsAgentToolset20260401Params{
			Type: anthropic.BetaManagedAgentsAgentToolset20260401ParamsTypeAgentToolset20260401,
		}}},
		Skills: []anthropic.BetaManagedAgentsSkillParamsUnion{{OfCustom: &anthropic.BetaManagedAgentsCustomSkillParams{
			Type: anthropic.BetaManagedAgentsCustomSkillParamsTypeCustom, SkillID: skill,
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(agent.Skills) != 1 || agent.Skills[0].SkillID != skill || strings.Trim(agent.Skills[0].Version, "0123456789") != "" || agent.Skills[0].Version == "" {
		t.Fatalf("agent's skills = %+v, want a version of digits", agent.Skills)
	}
	context := agenttoolset.AgentToolContext{Workdir: t.TempDir()}
	session := &anthropic.BetaManagedAgentsSession{Agent: anthropic.BetaManagedAgentsSessionAgent{Skills: []anthropic.BetaManagedAgentsSessionAgentSkillUnion{{
		SkillID: skill, Type: "custom", Version: agent.Skills[0].Version,
	}}}}
	if err := context.SetupSkillsFromSession(t.Context(), client, session); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(context.Workdir, "skills", "pdf", "scripts", "run.py"))
	if err != nil || string(raw) != "print(1)" {
		t.Errorf("unpacked %q, %v", raw, err)
	}
}

func names(files map[string]string) []string {
	var list []string
	for name := range files {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
