package webhook_test

import (
	"reflect"
	"regexp"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// heard are the methods of a store that webhooks hear; unheard those that change what no type of event is about.
var heard = []string{
	"Append", "ArchiveDeployments", "ArchiveSecrets", "CreateAgent", "CreateDeployment", "CreateDeploymentRun", "CreateEnvironment",
	"CreateMemoryStore", "CreateSecret", "CreateSession", "CreateVault", "DeleteEnvironment", "DeleteMemoryStore", "DeleteSecret",
	"DeleteSession", "DeleteVault", "SetAgentState", "UpdateAgent", "UpdateDeployment", "UpdateEnvironment", "UpdateMemoryStore",
	"UpdateSecret", "UpdateSession", "UpdateVault",
}

var unheard = map[string]string{
	"CopyFile": "files", "CreateFile": "files", "DeleteFile": "files", "DeleteSessionFiles": "files",
	"CreateSkill": "skills", "CreateSkillVersion": "skills", "DeleteSkill": "skills", "DeleteSkillVersion": "skills", "UpdateSkill": "skills",
	"DeleteMemory":  "memories",
	"CreateProject": "the tenant", "CreateUser": "people", "CreateInvitation": "people", "CreateCredential": "keys",
	"UpdateProject": "the tenant", "UpdateUser": "people", "UpdateInvitation": "people",
	"CreateThread": "its event in the log tells it", "SetThreadState": "its event in the log tells it",
	"SetSessionState": "its event in the log tells it", "UpdateSnapshot": "its event in the log tells it",
	"UpdateWork":    "work items",
	"CreateWebhook": "webhooks", "DeleteWebhook": "webhooks", "UpdateWebhook": "webhooks", "UpdateDelivery": "webhooks",
}

// Whoever gives the store a new method that changes something decides here whether webhooks hear it.
func TestNoMethodOfTheStoreIsForgotten(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range heard {
		known[name] = true
	}
	changes := regexp.MustCompile("^(Append$|(Archive|Copy|Create|Delete|Set|Update)[A-Z])")
	store := reflect.TypeFor[core.Store]()
	for i := range store.NumMethod() {
		name := store.Method(i).Name
		if _, quiet := unheard[name]; changes.MatchString(name) && !known[name] && !quiet {
			t.Errorf("%s changes something: let webhook.Observe tell it, or say here why not", name)
		}
	}
	for _, name := range heard {
		if _, there := store.MethodByName(name); !there {
			t.Errorf("there is no %s any more", name)
		}
	}
}
