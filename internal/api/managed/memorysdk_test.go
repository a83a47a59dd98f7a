package managed_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// TestOfficialSDKKeepsMemories drives every endpoint of memory stores.
func TestOfficialSDKKeepsMemories(t *testing.T) {
	t.Parallel()
	client, requests := sdk(t, apptest.Start(t))
	stores := client.Beta.MemoryStores
	ctx := t.Context()
	store, err := stores.New(ctx, anthropic.BetaMemoryStoreNewParams{Name: "Notes", Metadata: map[string]string{"k": "v"}})
	if err != nil || store.Description != "" || store.Metadata["k"] != "v" || !store.ArchivedAt.IsZero() {
		t.Fatalf("store = %v, %v", store, err)
	}
	if store, err = stores.Update(ctx, store.ID, anthropic.BetaMemoryStoreUpdateParams{Description: anthropic.String("d")}); err != nil || store.Description != "d" {
		t.Errorf("updated = %v, %v", store, err)
	}
	if got, err := stores.Get(ctx, store.ID, anthropic.BetaMemoryStoreGetParams{}); err != nil || got.RawJSON() != store.RawJSON() {
		t.Errorf("store = %v, %v", got, err)
	}
	memory, err := stores.Memories.New(ctx, store.ID, anthropic.BetaMemoryStoreMemoryNewParams{Path: "/a/b.md", Content: anthropic.String("one")})
	if err != nil || memory.JSON.Content.Valid() || memory.ContentSizeBytes != 3 {
		t.Fatalf("memory = %v, %v", memory, err)
	}
	if _, err := stores.Memories.New(ctx, store.ID, anthropic.BetaMemoryStoreMemoryNewParams{Path: "/c", Content: anthropic.String("")}); err != nil {
		t.Fatal(err)
	}
	update := func(content, hash string) (*anthropic.BetaManagedAgentsMemory, error) {
		return stores.Memories.Update(ctx, memory.ID, anthropic.BetaMemoryStoreMemoryUpdateParams{
			MemoryStoreID: store.ID, Content: anthropic.String(content), View: anthropic.BetaManagedAgentsMemoryViewFull,
			Precondition: anthropic.BetaManagedAgentsPreconditionParam{
				Type: anthropic.BetaManagedAgentsPreconditionTypeContentSha256, ContentSha256: anthropic.String(hash),
			},
		})
	}
	second, err := update("two", memory.ContentSha256)
	if err != nil || second.Content != "two" || second.MemoryVersionID == memory.MemoryVersionID {
		t.Fatalf("updated = %v, %v", second, err)
	}
	before := *requests
	_, err = update("three", memory.ContentSha256)
	var refused *anthropic.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusConflict || *requests != before+1 {
		t.Errorf("a lost race: %d requests, %v", *requests-before, err)
	}
	var items []string
	list := stores.Memories.ListAutoPaging(ctx, store.ID, anthropic.BetaMemoryStoreMemoryListParams{Depth: anthropic.Int(1), Limit: anthropic.Int(1)})
	for list.Next() {
		switch item := list.Current().AsAny().(type) {
		case anthropic.BetaManagedAgentsMemory:
			items = append(items, "memory "+item.Path)
		case anthropic.BetaManagedAgentsMemoryPrefix:
			items = append(items, "prefix "+item.Path)
		}
	}
	if d := cmp.Diff([]string{"prefix /a/", "memory /c"}, items); d != "" || list.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", list.Err(), d)
	}
	if got, err := stores.Memories.Get(ctx, memory.ID, anthropic.BetaMemoryStoreMemoryGetParams{MemoryStoreID: store.ID}); err != nil || got.Content != "two" {
		t.Errorf("memory = %v, %v", got, err)
	}
	redacted, err := stores.MemoryVersions.Redact(ctx, memory.MemoryVersionID, anthropic.BetaMemoryStoreMemoryVersionRedactParams{MemoryStoreID: store.ID})
	if err != nil || redacted.JSON.Path.Valid() || redacted.RedactedAt.IsZero() || redacted.RedactedBy.AsAPIActor().APIKeyID == "" {
		t.Errorf("redacted = %v, %v", redacted, err)
	}
	if _, err := stores.Memories.Delete(ctx, memory.ID, anthropic.BetaMemoryStoreMemoryDeleteParams{MemoryStoreID: store.ID, ExpectedContentSha256: anthropic.String(second.ContentSha256)}); err != nil {
		t.Error(err)
	}
	var operations []string
	versions := stores.MemoryVersions.ListAutoPaging(ctx, store.ID, anthropic.BetaMemoryStoreMemoryVersionListParams{
		MemoryID: anthropic.String(memory.ID), APIKeyID: anthropic.String(redacted.CreatedBy.APIKeyID), Limit: anthropic.Int(1),
	})
	for versions.Next() {
		operations = append(operations, string(versions.Current().Operation))
	}
	if d := cmp.Diff([]string{"deleted", "modified", "created"}, operations); d != "" || versions.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", versions.Err(), d)
	}
	version, err := stores.MemoryVersions.Get(ctx, second.MemoryVersionID, anthropic.BetaMemoryStoreMemoryVersionGetParams{MemoryStoreID: store.ID})
	if err != nil || version.Content != "two" || version.Path != "/a/b.md" {
		t.Errorf("version = %v, %v", version, err)
	}
	if archived, err := stores.Archive(ctx, store.ID, anthropic.BetaMemoryStoreArchiveParams{}); err != nil || archived.ArchivedAt.IsZero() {
		t.Errorf("archived = %v, %v", archived, err)
	}
	if list, err := stores.List(ctx, anthropic.BetaMemoryStoreListParams{}); err != nil || len(list.Data) != 0 {
		t.Errorf("list = %v, %v", list, err)
	}
	if list, err := stores.List(ctx, anthropic.BetaMemoryStoreListParams{IncludeArchived: anthropic.Bool(true)}); err != nil || len(list.Data) != 1 {
		t.Errorf("list = %v, %v", list, err)
	}
	if gone, err := stores.Delete(ctx, store.ID, anthropic.BetaMemoryStoreDeleteParams{}); err != nil || gone.ID != store.ID {
		t.Errorf("deleted = %v, %v", gone, err)
	}
}
