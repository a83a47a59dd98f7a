package otas

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// failure is how an error is answered. An empty code means the error's own, with the field behind
// it where one is at fault ("missing_fields: email").
type failure struct {
	status int
	code   string
}

// kinds is the table for what nothing more special names. No error shows the text of an exception or
// of the database (section 8, S11), and trouble of ours is never a 401 (C5): clients throw away keys
// that are refused.
var kinds = map[core.Kind]failure{
	core.Internal:        {http.StatusInternalServerError, "server_error"},
	core.Invalid:         {http.StatusBadRequest, ""},
	core.Unauthenticated: {http.StatusUnauthorized, ""},
	core.Forbidden:       {http.StatusForbidden, ""},
	core.NotFound:        {http.StatusNotFound, ""},
	core.Conflict:        {http.StatusConflict, ""},
	core.TooLarge:        {http.StatusRequestEntityTooLarge, ""},
	core.RateLimited:     {http.StatusTooManyRequests, ""},
	core.Unavailable:     {http.StatusServiceUnavailable, ""},
	core.Timeout:         {http.StatusGatewayTimeout, ""},
}

// codes are the errors whose answer is not that of their kind.
var codes = map[string]failure{
	"method_not_allowed":  {http.StatusMethodNotAllowed, "method_not_allowed"},
	"user_already_exists": {http.StatusBadRequest, "user_already_exists"}, // reference 3.1
	"password_too_weak":   {http.StatusBadRequest, "password_too_weak"},
	codeNotObject:         {http.StatusBadRequest, "invalid_json"}, // reference 3, first paragraph
	codeWrongType:         {http.StatusBadRequest, "invalid_json"},
	"invalid_body":        {http.StatusBadRequest, "invalid_json"},
	"request_timeout":     {http.StatusRequestTimeout, "request_timeout"},
}

// What failures are called at one endpoint, by code or, if that is not listed, by kind.
var (
	asLogin = map[string]failure{ // every failure of the client's is the same (3.2)
		core.Invalid.String():         {http.StatusUnauthorized, "login_failed"},
		core.Unauthenticated.String(): {http.StatusUnauthorized, "login_failed"},
		"method_not_allowed":          codes["method_not_allowed"],
	}
	asEdit = map[string]failure{
		"missing_fields": {http.StatusBadRequest, "missing_required_fields"},
	}
	// A wrong password is no 401: the token that was sent is good, and pages log out at a 401.
	asPassword = map[string]failure{
		"wrong_password": {http.StatusBadRequest, "wrong_password"},
	}
	asProjectCreate = map[string]failure{
		"missing_token":       {http.StatusBadRequest, "missing_token"},
		"method_not_allowed":  codes["method_not_allowed"],
		"invalid_json":        {http.StatusBadRequest, "invalid_json"},
		"invalid_body":        {http.StatusBadRequest, "invalid_json"},
		core.Invalid.String(): {http.StatusBadRequest, "project_creation_failed"},
	}
	asMembership = map[string]failure{
		"user_project_mapping_invalid": {http.StatusBadRequest, "user_project_mapping_invalid"}, // 400 here, 403 elsewhere (3.8)
	}
	asSDKKeyCreate = map[string]failure{ // reference 3.9
		"missing_headers":     {http.StatusBadRequest, "missing_headers"},
		"method_not_allowed":  codes["method_not_allowed"],
		core.Invalid.String(): {http.StatusBadRequest, "sdk_key_creation_failed"},
	}
	asSDKKeyRevoke = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "sdk_key_not_found"},
	}
	asSDKKey = map[string]failure{ // G-SDK of reference 2.3: only an absent key is 401
		"sdk_key_format":  {http.StatusForbidden, "invalid_sdk_key"},
		"invalid_sdk_key": {http.StatusForbidden, "invalid_sdk_key"},
	}
	asAnyKey = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "key_not_found"},
	}
	asInvitation = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "invitation_not_found"},
	}
	asMember = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "member_not_found"},
	}
	asAgent = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "agent_not_found"},
	}
	asSession = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "session_not_found"},
	}
	asAgentCreate = map[string]failure{
		"missing_headers":     {http.StatusBadRequest, "missing_headers"},
		"method_not_allowed":  codes["method_not_allowed"],
		core.Invalid.String(): {http.StatusBadRequest, "agent_creation_failed"}, // seed page 000
	}
	asKeyRotate = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "agent_not_found_or_invalid_id"},
	}
	asKeyRevoke = map[string]failure{
		core.NotFound.String(): {http.StatusNotFound, "agent_key_not_found"},
	}
	asSessionList = map[string]failure{
		core.NotFound.String(): {http.StatusForbidden, "agent_not_found_or_no_access"},
	}
)

// fail is the one writer of errors.
func (f *Face) fail(w http.ResponseWriter, r *http.Request, rt route, err error) {
	httpio.LogFailure(f.log, r, err)
	var e *core.Error
	if !errors.As(err, &e) {
		e = &core.Error{}
	}
	how := rt.describe(e)
	if how.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow(rt))
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	body := envelope{code: how.code, key: rt.null}
	if rt.more != nil {
		body.payload = rt.more(how.code, e)
	}
	if rt.faults != nil {
		body.errors = rt.faults(err)
	}
	httpio.WriteJSON(w, how.status, body)
}

// describe finds the answer: what the endpoint says of this code, of this kind, what all endpoints
// say of this code, of this kind.
func (rt route) describe(e *core.Error) failure {
	code := core.CodeOf(e)
	for _, try := range []struct {
		table map[string]failure
		name  string
	}{{rt.as, code}, {rt.as, e.Kind.String()}, {codes, code}} {
		if how, ok := try.table[try.name]; ok {
			return how
		}
	}
	how := kinds[e.Kind]
	if how.code == "" {
		how.code = code
		if e.Field != "" {
			how.code += ": " + e.Field
		}
	}
	return how
}

// sentences turns an error into the list "errors"; nil: the answer has none.
type sentences func(err error) []string

// fault is what can be wrong with a field: the field, and the code of the error about it.
type fault [2]string

// listed makes sentences of joined errors: one for each field in the given order, its wrong type before
// all else. A body that is no object has one fault of its own.
func listed(fields []string, words map[fault]string) sentences {
	return func(err error) []string {
		if core.CodeOf(err) == codeNotObject {
			return []string{"invalid_json"}
		}
		first := map[string]string{} // code by field
		for _, e := range leaves(err) {
			if _, ok := first[e.Field]; !ok || e.Code == codeWrongType {
				first[e.Field] = e.Code
			}
		}
		var list []string
		for _, field := range fields {
			if s, ok := words[fault{field, first[field]}]; ok {
				list = append(list, s)
			}
		}
		return list
	}
}

// leaves returns the core.Errors of a tree of joined errors.
func leaves(err error) []*core.Error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*core.Error
		for _, e := range joined.Unwrap() {
			list = append(list, leaves(e)...)
		}
		return list
	}
	var e *core.Error
	if errors.As(err, &e) {
		return []*core.Error{e}
	}
	return nil
}

// envelope is the body of every answer (reference 2.1). The name under which the payload stands
// differs from endpoint to endpoint; without a name the payload's members stand beside the status.
type envelope struct {
	ok      bool
	code    string
	key     string
	payload any
	errors  []string
}

// MarshalJSON writes the members in the order of the seed pages.
func (e envelope) MarshalJSON() ([]byte, error) {
	status := 0
	if e.ok {
		status = 1
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	member := func(name string, v any) error {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name) + ":")
		return enc.Encode(v)
	}
	err := member("status", status)
	if e.code != "" {
		err = errors.Join(err, member("status_description", e.code))
	}
	switch {
	case e.key != "":
		err = errors.Join(err, member(e.key, e.payload))
	case e.payload != nil:
		members, inner := inside(e.payload)
		err = errors.Join(err, inner)
		b.Write(members)
	}
	if e.errors != nil {
		err = errors.Join(err, member("errors", e.errors))
	}
	return append(append([]byte{'{'}, b.Bytes()...), '}'), err
}

// inside returns the members of an object as they follow others: with a comma before, without braces.
func inside(object any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return nil, err
	}
	members := bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(b.Bytes()), []byte("{")), []byte("}"))
	if len(members) == 0 {
		return nil, nil
	}
	return append([]byte{','}, members...), nil
}

// Fail answers an error that happened outside of the face's own handlers, such as a panic. It has the
// shape that httpio.Border asks for.
func (f *Face) Fail(w http.ResponseWriter, r *http.Request, err error) { f.fail(w, r, unknown, err) }
