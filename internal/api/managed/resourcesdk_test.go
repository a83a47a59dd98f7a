package managed_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// TestOfficialSDKAttachesResources drives every endpoint of a session's resources, and deployments that have some.
func TestOfficialSDKAttachesResources(t *testing.T) {
	t.Parallel()
	client, _ := sdk(t, apptest.Start(t))
	ctx := t.Context()
	need := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	agent, plain := parts(t, client)
	store, err := client.Beta.MemoryStores.New(ctx, anthropic.BetaMemoryStoreNewParams{Name: "Notes"})
	need(err)
	file, err := client.Beta.Files.Upload(ctx, anthropic.BetaFileUploadParams{File: anthropic.File(strings.NewReader("hello"), "a.txt", "text/plain")})
	need(err)
	fileParams := &anthropic.BetaManagedAgentsFileResourceParams{
		Type: anthropic.BetaManagedAgentsFileResourceParamsTypeFile, FileID: file.ID, MountPath: anthropic.String("/data/a.txt"),
	}
	repository := &anthropic.BetaManagedAgentsGitHubRepositoryResourceParams{
		Type: anthropic.BetaManagedAgentsGitHubRepositoryResourceParamsTypeGitHubRepository, URL: "https://github.com/owner/name", AuthorizationToken: "ghp_secret",
		Checkout: anthropic.BetaManagedAgentsGitHubRepositoryResourceParamsCheckoutUnion{OfBranch: &anthropic.BetaManagedAgentsBranchCheckoutParam{
			Type: anthropic.BetaManagedAgentsBranchCheckoutTypeBranch, Name: "main",
		}},
	}
	memory := &anthropic.BetaManagedAgentsMemoryStoreResourceParam{
		Type: anthropic.BetaManagedAgentsMemoryStoreResourceParamTypeMemoryStore, MemoryStoreID: store.ID,
	}
	sess, err := client.Beta.Sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent: anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: plain.EnvironmentID,
		Resources: []anthropic.BetaSessionNewParamsResourceUnion{{OfFile: fileParams}, {OfGitHubRepository: repository}, {OfMemoryStore: memory}},
	})
	need(err)
	if len(sess.Resources) != 3 || strings.Contains(sess.RawJSON(), "ghp_secret") {
		t.Fatalf("session = %s", sess.RawJSON())
	}
	copied, cloned, mounted := sess.Resources[0].AsFile(), sess.Resources[1].AsGitHubRepository(), sess.Resources[2].AsMemoryStore()
	if copied.FileID == file.ID || copied.MountPath != "/mnt/session/uploads/data/a.txt" || cloned.MountPath != "/workspace/name" ||
		cloned.Checkout.Name != "main" || mounted.MountPath != "/mnt/memory/notes" || mounted.Access != anthropic.BetaManagedAgentsMemoryStoreResourceAccessReadWrite {
		t.Errorf("resources = %s", sess.RawJSON())
	}
	added, err := client.Beta.Sessions.Resources.Add(ctx, sess.ID, anthropic.BetaSessionResourceAddParams{
		BetaManagedAgentsFileResourceParams: anthropic.BetaManagedAgentsFileResourceParams{Type: anthropic.BetaManagedAgentsFileResourceParamsTypeFile, FileID: file.ID},
	})
	need(err)
	if added.MountPath != "/mnt/session/uploads/"+file.ID {
		t.Errorf("added = %s", added.RawJSON())
	}
	var kinds []string
	list := client.Beta.Sessions.Resources.ListAutoPaging(ctx, sess.ID, anthropic.BetaSessionResourceListParams{Limit: anthropic.Int(1)})
	for list.Next() {
		kinds = append(kinds, list.Current().Type)
	}
	need(list.Err())
	if want := []string{"file", "github_repository", "memory_store", "file"}; !slices.Equal(kinds, want) {
		t.Errorf("list = %q", kinds)
	}
	got, err := client.Beta.Sessions.Resources.Get(ctx, added.ID, anthropic.BetaSessionResourceGetParams{SessionID: sess.ID})
	need(err)
	if got.ID != added.ID || got.FileID != added.FileID {
		t.Errorf("resource = %s", got.RawJSON())
	}
	rotated, err := client.Beta.Sessions.Resources.Update(ctx, cloned.ID, anthropic.BetaSessionResourceUpdateParams{SessionID: sess.ID, AuthorizationToken: "ghp_other"})
	need(err)
	if rotated.URL != cloned.URL || !rotated.UpdatedAt.After(cloned.UpdatedAt) {
		t.Errorf("rotated = %s", rotated.RawJSON())
	}
	gone, err := client.Beta.Sessions.Resources.Delete(ctx, added.ID, anthropic.BetaSessionResourceDeleteParams{SessionID: sess.ID})
	need(err)
	if gone.ID != added.ID || gone.Type != "session_resource_deleted" {
		t.Errorf("deleted = %s", gone.RawJSON())
	}
	var fault *anthropic.Error
	_, err = client.Beta.Sessions.Resources.Get(ctx, added.ID, anthropic.BetaSessionResourceGetParams{SessionID: sess.ID})
	if !errors.As(err, &fault) || fault.StatusCode != http.StatusNotFound {
		t.Errorf("gone = %v", err)
	}
	page, err := client.Beta.Sessions.List(ctx, anthropic.BetaSessionListParams{MemoryStoreID: anthropic.String(store.ID)})
	need(err)
	if len(page.Data) != 1 || page.Data[0].ID != sess.ID {
		t.Errorf("sessions with the store = %d", len(page.Data))
	}
	scoped, err := client.Beta.Files.List(ctx, anthropic.BetaFileListParams{ScopeID: anthropic.String(sess.ID)})
	need(err)
	if len(scoped.Data) != 1 || scoped.Data[0].ID != copied.FileID || scoped.Data[0].Scope.ID != sess.ID {
		t.Errorf("files of the session = %v", scoped.Data)
	}
	var message anthropic.BetaManagedAgentsDeploymentInitialEventParamsUnion
	message.OfUserMessage = &anthropic.BetaManagedAgentsUserMessageEventParams{
		Type: anthropic.BetaManagedAgentsUserMessageEventParamsTypeUserMessage,
		Content: []anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
			OfText: &anthropic.BetaManagedAgentsTextBlockParam{Text: "Scan.", Type: anthropic.BetaManagedAgentsTextBlockTypeText},
		}},
	}
	saved, err := client.Beta.Deployments.New(ctx, anthropic.BetaDeploymentNewParams{
		Name: "Scan", Agent: anthropic.BetaDeploymentNewParamsAgentUnion{OfString: anthropic.String(agent.ID)}, EnvironmentID: plain.EnvironmentID,
		InitialEvents: []anthropic.BetaManagedAgentsDeploymentInitialEventParamsUnion{message},
		Resources:     []anthropic.BetaDeploymentNewParamsResourceUnion{{OfFile: fileParams}, {OfGitHubRepository: repository}, {OfMemoryStore: memory}},
	})
	need(err)
	if r := saved.Resources; len(r) != 3 || r[0].AsFile().FileID != file.ID || r[1].AsGitHubRepository().Checkout.Name != "main" ||
		r[2].AsMemoryStore().MemoryStoreID != store.ID || strings.Contains(saved.RawJSON(), "ghp_secret") {
		t.Errorf("deployment = %s", saved.RawJSON())
	}
}
