package otas

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

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

// integer reads a whole number, written without fraction or exponent; true is none, and "10" is none. One
// that an int cannot hold is cut to the nearest that it can. Absent and null are not given.
func (o object) integer(name string) (n int, given bool, err error) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return 0, false, nil
	}
	n, err = strconv.Atoi(string(raw))
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, true, wrongType(name)
	}
	return n, true, nil
}

// givenID reads the body for the one id that it must name.
func (c *call) givenID(name string) (string, error) {
	body, err := c.object()
	if err != nil {
		return "", err
	}
	return body.id(name)
}

// id reads a required id as text: absent, null and empty are "<name>_required".
func (o object) id(name string) (string, error) {
	v, err := o.text(name)
	if err == nil && v.V == "" {
		err = core.Errorf(core.Invalid, name+"_required", "%s is required", name)
	}
	return v.V, err
}

// flag reads a switch of the query: absent is false.
func flag(query url.Values, name string) (bool, error) {
	if !query.Has(name) {
		return false, nil
	}
	switch query.Get(name) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, core.InvalidField(name, "must be true, false, 1 or 0")
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
