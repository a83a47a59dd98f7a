package otas

import (
	"errors"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// createProject serves POST /api/project/v1/create/ (reference 3.6). It answers all that is wrong
// with the fields at once.
func (f *Face) createProject(c *call) (reply, error) {
	body, err := c.objectOrEmpty()
	if err != nil {
		return reply{}, err
	}
	in, wrong := newProject(body)
	if wrong != nil {
		return reply{}, errors.Join(wrong, in.Validate())
	}
	p, err := f.identity.CreateProject(c.r.Context(), c.by, in)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, "project_created", "response_body", struct {
		Project projectWire `json:"project"`
	}{projectOf(p)}}, nil
}

// newProject reads the fields, and reports those of the wrong type under the names that the service
// has for them. A domain that is absent is empty, one that is null stays null.
func newProject(body object) (in identity.NewProject, wrong error) {
	name, err1 := body.text("project_name")
	description, err2 := body.text("project_description")
	domain, err3 := body.text("project_domain")
	for field, err := range map[string]error{"name": err1, "description": err2, "domain": err3} {
		if err != nil {
			wrong = errors.Join(wrong, wrongType(field))
		}
	}
	in = identity.NewProject{Name: name.V, Description: description.V}
	if !domain.Null {
		in.Domain = &domain.V
	}
	return in, wrong
}

// projectFields is the order in which faults are listed, and sentences are their words.
var (
	projectFields = []string{"name", "description", "domain"}
	sentences     = map[[2]string]string{
		{"name", codeWrongType}:           "project_name must be a string",
		{"name", "required"}:              "project_name is required",
		{"name", "field_too_long"}:        "project_name too long (max 255)",
		{"description", codeWrongType}:    "project_description must be a string",
		{"description", "field_too_long"}: "project_description max 300 characters",
		{"domain", codeWrongType}:         "project_domain must be a string",
		{"domain", "field_too_long"}:      "project_domain too long (max 200)",
		{"domain", "invalid_field"}:       "project_domain must be a URL or a host name",
	}
)

// projectSentences turns the joined errors of a new project into the list "errors": one sentence for
// each field, its wrong type before all else. A body that is no object has one fault of its own.
func projectSentences(err error) []string {
	if core.CodeOf(err) == codeNotObject {
		return []string{"invalid_json"}
	}
	first := map[string]string{} // code by field
	for _, e := range leaves(err) {
		if _, ok := first[e.Field]; !ok || e.Code == codeWrongType {
			first[e.Field] = e.Code
		}
	}
	list := []string{}
	for _, field := range projectFields {
		if s, ok := sentences[[2]string{field, first[field]}]; ok {
			list = append(list, s)
		}
	}
	return list
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

// listProjects serves GET /api/project/v1/list/ (reference 3.7).
func (f *Face) listProjects(c *call) (reply, error) {
	all, err := f.identity.Projects(c.r.Context(), c.by)
	if err != nil {
		return reply{}, err
	}
	list := make([]listedProject, 0, len(all))
	for _, p := range all {
		list = append(list, listedProjectOf(p))
	}
	return reply{http.StatusOK, "projects_listed", "response_body", struct {
		Projects []listedProject `json:"projects"`
	}{list}}, nil
}

// membership serves POST /api/project/v1/authenticate/ (reference 3.8). The guard did the work.
func (f *Face) membership(c *call) (reply, error) {
	var m membershipWire
	m.User.ID = core.FormatUUID(c.user.ID)
	m.User.FirstName, m.User.LastName, m.User.Email = c.user.FirstName, c.user.LastName, c.user.Email
	m.Project.ID, m.Project.Name = core.FormatUUID(c.project.ID), c.project.Name
	m.Privilege = privilege(c.by.Role)
	return reply{http.StatusOK, "user_project_mapping_authenticated", "Response", struct {
		Mapping membershipWire `json:"UserProjectMapping"`
	}{m}}, nil
}
