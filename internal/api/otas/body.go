package otas

import (
	"bytes"
	"encoding/json"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

// maxBody is the largest body that the original takes, in bytes (reference 2.2). A larger one is 413
// here, where the original shows a page of HTML.
const maxBody = 2_621_440

// Codes of bodies that are JSON, but not what is wanted. Some endpoints have names of their own for
// them; see errors.go.
const (
	codeNotObject = "not_an_object"
	codeWrongType = "wrong_type"
)

// object is a request body: its members by name. Unknown ones are ignored, as the original does; of
// two with one name the last counts.
type object map[string]json.RawMessage

// object reads the body. All that is wrong with it is Invalid or TooLarge.
func (c *call) object() (object, error) {
	raw, err := httpio.ReadBody(c.w, c.r, maxBody)
	if err != nil {
		return nil, err
	}
	return parseObject(raw)
}

// objectOrEmpty is object where an empty body counts as {}.
func (c *call) objectOrEmpty() (object, error) {
	raw, err := httpio.ReadBody(c.w, c.r, maxBody)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return object{}, err
	}
	return parseObject(raw)
}

func parseObject(raw []byte) (object, error) {
	if err := httpio.Check(raw); err != nil {
		return nil, err
	}
	if bytes.TrimSpace(raw)[0] != '{' {
		return nil, core.Errorf(core.Invalid, codeNotObject, "the request body must be a JSON object")
	}
	var o object
	err := httpio.DecodeValue("", raw, &o, httpio.IgnoreUnknown)
	return o, err
}

// text reads a string. Absent and null are told apart; any other type is an error.
func (o object) text(name string) (httpio.Optional[string], error) {
	var v httpio.Optional[string]
	raw, ok := o[name]
	if !ok {
		return v, nil
	}
	if err := v.UnmarshalJSON(raw); err != nil {
		return v, wrongType(name)
	}
	return v, nil
}

// texts reads strings that are not null. Absent ones are empty.
func (o object) texts(into map[string]*string) error {
	for name, to := range into {
		v, err := o.text(name)
		if err != nil {
			return err
		}
		if v.Null {
			return wrongType(name)
		}
		*to = v.V
	}
	return nil
}

// absent returns those of the names that the body does not have, in the given order.
func (o object) absent(names ...string) []string {
	var list []string
	for _, name := range names {
		if _, ok := o[name]; !ok {
			list = append(list, name)
		}
	}
	return list
}

func wrongType(name string) error {
	return &core.Error{Kind: core.Invalid, Code: codeWrongType, Field: name, Message: name + " has the wrong type"}
}
