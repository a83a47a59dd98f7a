package tool_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/tool"
)

var _ core.Tools = (*tool.Registry)(nil)

func TestToolsetAndCapabilities(t *testing.T) {
	t.Parallel()
	r := tool.NewRegistry()
	want := []string{"bash", "read", "write", "edit", "glob", "grep", "web_fetch"}
	if d := cmp.Diff(want, r.Toolset()); d != "" {
		t.Error(d)
	}
	brings := map[string][]string{}
	for _, c := range r.Capabilities() {
		brings[c.Ref] = c.Tools
		if c.Name == "" || c.Description == "" {
			t.Errorf("%+v", c)
		}
	}
	if d := cmp.Diff(map[string][]string{
		"bashkit_shell": {"bash"}, "current_time": {"get_current_time"}, "web_fetch": {"web_fetch"},
		"session_file_system": {"read", "write", "edit", "glob", "grep"},
	}, brings); d != "" {
		t.Error(d)
	}
	for ref, canonical := range map[string]string{"bashkit_shell": "bashkit_shell", "virtual_bash": "bashkit_shell", "current_time": "current_time", "nothing": ""} {
		if c, ok := r.Capability(ref); ok != (canonical != "") || c.Ref != canonical {
			t.Errorf("Capability(%q) = %+v, %v", ref, c, ok)
		}
	}
	repeatable := map[string]bool{"read": true, "glob": true, "grep": true, "web_fetch": true, "get_current_time": true}
	for _, name := range append(want, "get_current_time") {
		one, ok := r.Builtin(name)
		if !ok || one.Repeatable() != repeatable[name] || one.Spec().Name != name {
			t.Errorf("Builtin(%q) = %v, %v", name, one, ok)
		}
	}
	if _, ok := r.Builtin("Bash"); ok {
		t.Error("names are lower case")
	}
}

// resolve makes a validator of a tool's schema.
func resolve(t *testing.T, s core.ToolSpec) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(s.InputSchema, &schema); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if schema.Type != "object" || schema.AdditionalProperties == nil {
		t.Errorf("%s: the schema must be one of a closed object", s.Name)
	}
	for name, p := range schema.Properties {
		if !regexp.MustCompile(`^[a-z_]{1,64}$`).MatchString(name) || p.Description == "" {
			t.Errorf("%s: property %q needs a plain name and a description", s.Name, name)
		}
	}
	return resolved
}

// The schema that the model gets and the check that the tool makes are two texts; they must agree.
func TestSchemaAndToolTakeTheSameInput(t *testing.T) {
	t.Parallel()
	r := tool.NewRegistry()
	env := core.ToolEnv{Now: now, Sandbox: func(context.Context) (core.Sandbox, error) {
		return nil, core.Errorf(core.Unavailable, "sandbox_unavailable", "the sandbox was asked for")
	}}
	cases := map[string]struct{ good, bad []string }{
		"bash": {
			[]string{`{"command":"ls"}`, `{"restart":true}`, `{"command":"ls","restart":false,"timeout_ms":1}`, `{"command":"ls","timeout_ms":5000.0}`, `{"command":"ls","timeout_ms":9007199254740992}`},
			[]string{`{"command":1}`, `{"command":"ls","restart":"yes"}`, `{"command":"ls","timeout_ms":0}`, `{"command":"ls","timeout_ms":-5}`, `{"command":"ls","timeout_ms":1.5}`, `{"command":"ls","timeout_ms":"5"}`, `{"cmd":"ls"}`, `{"command":"ls","x":1}`, `[]`, `"ls"`, `{"command":["ls"]}`, `{"Command":"ls"}`},
		},
		"read": {
			[]string{`{"file_path":"a"}`, `{"file_path":"a","view_range":[1,2]}`, `{"file_path":"a","view_range":[5,-1]}`, `{"file_path":"a","view_range":[5,0]}`},
			[]string{`{}`, `{"file_path":""}`, `{"file_path":{}}`, `{"file_path":"a","view_range":[1]}`, `{"file_path":"a","view_range":[1,2,3]}`, `{"file_path":"a","view_range":"1-2"}`, `{"file_path":"a","view_range":[1,"2"]}`, `{"file_path":"a","view_range":[1.5,2]}`, `{"path":"a"}`},
		},
		"write": {
			[]string{`{"file_path":"a","content":""}`, `{"file_path":"a","content":"x"}`},
			[]string{`{}`, `{"file_path":"a"}`, `{"content":"x"}`, `{"file_path":"","content":"x"}`, `{"file_path":"a","content":{}}`, `{"file_path":"a","content":"x","mode":420}`},
		},
		"edit": {
			[]string{`{"file_path":"a","old_string":"x","new_string":""}`, `{"file_path":"a","old_string":"x","new_string":"y","replace_all":true}`},
			[]string{`{"file_path":"a","old_string":"x"}`, `{"file_path":"a","new_string":"x"}`, `{"file_path":"a","old_string":"","new_string":"x"}`, `{"file_path":"a","old_string":"x","new_string":"y","replace_all":1}`},
		},
		"glob": {
			[]string{`{"pattern":"*"}`, `{"pattern":"*","path":"/tmp"}`, `{"pattern":"*","path":""}`},
			[]string{`{}`, `{"pattern":""}`, `{"pattern":null}`, `{"pattern":"*","path":7}`, `{"pattern":"*","limit":7}`},
		},
		"grep": {
			[]string{`{"pattern":" "}`, `{"pattern":"x","path":"a"}`},
			[]string{`{}`, `{"pattern":""}`, `{"pattern":["x"]}`, `{"pattern":"x","flags":"i"}`},
		},
		"web_fetch": {
			[]string{`{"url":"http://10.0.0.1/"}`, `{"url":"no URL, but a string"}`},
			[]string{`{}`, `{"url":""}`, `{"url":false}`, `{"url":"http://10.0.0.1/","method":"POST"}`},
		},
		"get_current_time": {
			[]string{`{}`, `{"timezone":"Asia/Tokyo"}`, `{"format":"unix"}`, `{"timezone":"UTC","format":"human"}`},
			[]string{`{"format":"rfc822"}`, `{"timezone":9}`, `{"zone":"UTC"}`, `[]`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, _ := r.Builtin(name)
			spec := one.Spec()
			if spec.Description == "" || strings.TrimSpace(spec.Description) != spec.Description {
				t.Errorf("description %q", spec.Description)
			}
			schema := resolve(t, spec)
			check := func(input string, good bool) {
				var v any
				if err := json.Unmarshal([]byte(input), &v); err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(v); (err == nil) != good {
					t.Errorf("schema of %s: %s: %v", name, input, err)
				}
				a := run(t, r, env, name, input)
				if taken := !strings.Contains(a.text, "Invalid input for "+name+": "); taken != good || !taken && !a.bad {
					t.Errorf("%s: %q", a.asked, a.text)
				}
			}
			for _, input := range c.good {
				check(input, true)
			}
			for _, input := range c.bad {
				check(input, false)
			}
		})
	}
}

func TestWrongInputIsExplained(t *testing.T) {
	t.Parallel()
	r := tool.NewRegistry()
	for _, tt := range []struct{ name, input, says string }{
		{"bash", ``, "command is required unless restart is true"},
		{"bash", `null`, "command is required unless restart is true"},
		{"bash", `{"command":null,"restart":null}`, "command is required unless restart is true"},
		{"bash", `{"command":" \n"}`, "command is required"},
		{"bash", `[1]`, "the input must be a JSON object"},
		{"bash", `{"command":`, "the input must be a JSON object"},
		{"bash", `{"command":5}`, "command must be a string, not a number"},
		{"bash", `{"command":"x","restart":"true"}`, "restart must be true or false, not a string"},
		{"bash", `{"command":"x","timeout_ms":[1]}`, "timeout_ms must be a whole number, not an array"},
		{"bash", `{"command":"x","timeout_ms":1e300}`, "timeout_ms must be a whole number"},
		{"bash", `{"command":"x","b":1,"a":2}`, `there is no member "a", "b"; the members are command, restart, timeout_ms`},
		{"read", `{"view_range":[1,2]}`, "file_path is required"},
		{"read", `{"file_path":"a","view_range":{}}`, "view_range must be an array of two whole numbers, not an object"},
		{"read", `{"file_path":"a","view_range":[1]}`, "has 1 elements"},
		{"read", `{"file_path":"a","view_range":[0,2]}`, "line 1 or later"},
		{"read", `{"file_path":"a","view_range":[3,2]}`, "must not end before it begins"},
		{"write", `{"file_path":"a","content":null}`, "content is required"},
		{"edit", `{"file_path":"a","old_string":"","new_string":"b"}`, "use write to make a file"},
		{"edit", `{"file_path":"a","old_string":"b","new_string":"b"}`, "are the same"},
		{"glob", `{"pattern":"/etc/*"}`, "pattern must be relative"},
		{"glob", `{"pattern":"../*"}`, `must not contain ".."`},
		{"glob", `{"pattern":"a/../../b"}`, `must not contain ".."`},
		{"get_current_time", `{"timezone":"Mars/Olympus"}`, "IANA time zone"},
		{"get_current_time", `{"timezone":"Local"}`, "IANA time zone"},
		{"get_current_time", `{"timezone":"../../etc/passwd"}`, "IANA time zone"},
		{"get_current_time", `{"format":"x"}`, "iso8601, unix or human"},
		{"web_fetch", `{}`, "url is required"},
	} {
		a := run(t, r, core.ToolEnv{Now: now}, tt.name, tt.input)
		a.refuses("Invalid input for "+tt.name+": ", tt.says)
	}
}

func TestFailingSandboxReachesTheModelAndFaultsDoNot(t *testing.T) {
	t.Parallel()
	r := tool.NewRegistry()
	inputs := map[string]string{
		"bash": `{"command":"ls"}`, "read": `{"file_path":"a"}`, "write": `{"file_path":"a","content":"b"}`,
		"edit": `{"file_path":"a","old_string":"b","new_string":"c"}`, "glob": `{"pattern":"*"}`, "grep": `{"pattern":"x"}`,
	}
	for name, input := range inputs {
		env := core.ToolEnv{Sandbox: func(context.Context) (core.Sandbox, error) {
			return nil, core.Errorf(core.Unavailable, "sandbox_unavailable", "this server cannot isolate commands")
		}}
		run(t, r, env, name, input).refuses("this server cannot isolate commands.")

		one, _ := r.Builtin(name)
		env.Sandbox = func(context.Context) (core.Sandbox, error) { return nil, context.DeadlineExceeded }
		if out, err := one.Run(t.Context(), env, json.RawMessage(input)); err == nil {
			t.Errorf("%s: an error that nobody classified became %+v", name, out)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		env.Sandbox = func(context.Context) (core.Sandbox, error) {
			return nil, core.Errorf(core.Unavailable, "x", "ended")
		}
		if out, err := one.Run(ctx, env, json.RawMessage(input)); err == nil {
			t.Errorf("%s: the end of ctx became %+v", name, out)
		}
	}
}
