package core_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

func TestMCPToolNamesAreAllowedAndTellPairsApart(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^mcp__[A-Za-z0-9_-]{1,123}$`)
	long := strings.Repeat("x", 255)
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"a", "b"},
		{"a", "_b"},
		{"a_", "b"},
		{"a__b", "c"},
		{"a", "b__c"},
		{"_a", "b"},
		{"__a", "b"},
		{"a", "b "},
		{"a", "b_"},
		{"a", "b."},
		{"a", "B"},
		{"issue tracker", "list/open"},
		{"issue_tracker", "list_open"},
		{"Über", "größe"},
		{long, "a"},
		{long, "b"},
		{"a", long[:128]},
		{"a", long[:127]},
		{"日本", "語"},
	} {
		name := core.MCPToolName(pair[0], pair[1])
		if !allowed.MatchString(name) {
			t.Errorf("%q is called %q", pair, name)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q are both called %q", pair, other, name)
		}
		seen[name] = pair
		if again := core.MCPToolName(pair[0], pair[1]); again != name {
			t.Errorf("%q is called %q, and then %q", pair, name, again)
		}
	}
	if got := core.MCPToolName("github", "list_issues"); got != "mcp__github__list_issues" {
		t.Errorf("a plain pair is called %q", got)
	}
}
