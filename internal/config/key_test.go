package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// One rule gives a key its variable, so that nobody has to look it up.
func TestVariablesFollowFromKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, k := range Keys() {
		if want := EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_")); k.Variable != want {
			t.Errorf("%s: variable %s, want %s", k.Name, k.Variable, want)
		}
		if k.Help == "" || (k.Arg == "") != (k.Flag == "") {
			t.Errorf("%s: help %q, arg %q, flag %q", k.Name, k.Help, k.Arg, k.Flag)
		}
		if other, taken := seen[k.Flag]; taken && k.Flag != "" {
			t.Errorf("%s and %s share the flag --%s", k.Name, other, k.Flag)
		}
		seen[k.Flag] = k.Name
	}
}

// Keys of vendors must not be readable in a list of processes.
func TestSecretsHaveNoFlag(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		if secret := strings.HasSuffix(k.Name, "key"); secret != (k.Flag == "") {
			t.Errorf("%s has the flag %q", k.Name, k.Flag)
		}
	}
}

func TestDocumentationIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		flag, def := "–", "–"
		if k.Flag != "" {
			flag = "`--" + k.Flag + "`"
		}
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		row := fmt.Sprintf("| `%s` | `%s` | %s | %s | %s |", k.Name, k.Variable, flag, def, k.Help)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/configuration.md lacks the row\n%s", row)
		}
	}
}
