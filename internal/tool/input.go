package tool

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// input is a call's input while it is being read. The first thing wrong with it is remembered, so
// that a tool reads all members and then asks problem once. A null member counts as left out: models
// that must name every member send that.
type input struct {
	tool    string
	members map[string]json.RawMessage
	known   []string // members that were asked for
	wrong   string
}

func readInput(tool string, raw json.RawMessage) *input {
	in := &input{tool: tool}
	if len(raw) == 0 {
		return in
	}
	if err := json.Unmarshal(raw, &in.members); err != nil {
		in.fault("the input must be a JSON object")
	}
	return in
}

func (in *input) fault(format string, args ...any) {
	if in.wrong == "" {
		in.wrong = fmt.Sprintf(format, args...)
	}
}

// member decodes a member into v, a pointer, if it is there.
func (in *input) member(name, want string, v any) bool {
	in.known = append(in.known, name)
	raw, ok := in.members[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		in.fault("%s must be %s, not %s", name, want, kindOf(raw))
		return false
	}
	return true
}

// text is a string; "" if it is not there.
func (in *input) text(name string) (s string) {
	in.member(name, "a string", &s)
	return s
}

// required is a string that must be there, but may be empty.
func (in *input) required(name string) (s string) {
	if !in.member(name, "a string", &s) {
		in.fault("%s is required", name)
	}
	return s
}

// filled is a string that must be there and not be blank.
func (in *input) filled(name string) string {
	s := in.required(name)
	if strings.TrimSpace(s) == "" {
		in.fault("%s must not be empty", name)
	}
	return s
}

// flag is a boolean; false if it is not there.
func (in *input) flag(name string) (b bool) {
	in.member(name, "true or false", &b)
	return b
}

// whole is an integer. False: it is not there.
func (in *input) whole(name string) (int64, bool) {
	var f float64
	if !in.member(name, "a whole number", &f) {
		return 0, false
	}
	n, ok := integer(f)
	if !ok {
		in.fault("%s must be a whole number", name)
	}
	return n, ok
}

// pair is an array of two integers. False: it is not there.
func (in *input) pair(name string) (a, b int64, ok bool) {
	const want = "an array of two whole numbers"
	var list []float64
	if !in.member(name, want, &list) {
		return 0, 0, false
	}
	if len(list) != 2 {
		in.fault("%s must be %s, but has %d elements", name, want, len(list))
		return 0, 0, false
	}
	a, whole := integer(list[0])
	b, alsoWhole := integer(list[1])
	if !whole || !alsoWhole {
		in.fault("%s must be %s", name, want)
	}
	return a, b, true
}

// integer accepts 3.0 as JSON Schema does. Beyond 2^53 nothing here is meant seriously.
func integer(f float64) (int64, bool) {
	return int64(f), f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

// problem says what is wrong with the input, if anything. It is called when all members were asked for.
func (in *input) problem() (string, bool) {
	var unknown []string
	for name := range in.members {
		if !slices.Contains(in.known, name) {
			unknown = append(unknown, fmt.Sprintf("%q", clip(name, 64)))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		in.fault("there is no member %s; the members are %s", strings.Join(unknown[:min(len(unknown), 3)], ", "), strings.Join(in.known, ", "))
	}
	return "Invalid input for " + in.tool + ": " + in.wrong + ".", in.wrong != ""
}

// refusal is problem as a result.
func (in *input) refusal() (core.ToolOutput, bool) {
	says, bad := in.problem()
	return refuse("%s", says), bad
}

// kindOf names what a JSON value is.
func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	}
	return "a number"
}
