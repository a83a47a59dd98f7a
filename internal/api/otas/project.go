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

// projectFaults are the words of reference 3.6, and the order of its list.
var projectFaults = listed([]string{"name", "description", "domain"}, map[fault]string{
	{"name", codeWrongType}:           "project_name must be a string",
	{"name", "required"}:              "project_name is required",
	{"name", "field_too_long"}:        "project_name too long (max 255)",
	{"description", codeWrongType}:    "project_description must be a string",
	{"description", "field_too_long"}: "project_description max 300 characters",
	{"domain", codeWrongType}:         "project_domain must be a string",
	{"domain", "field_too_long"}:      "project_domain too long (max 200)",
	{"domain", "invalid_field"}:       "project_domain must be a URL or a host name",
})

// listProjects serves GET /api/project/v1/list/ (reference 3.7): active projects and, with
// include_inactive, which is Reeve's own, those that are switched off.
func (f *Face) listProjects(c *call) (reply, error) {
	inactive, err := flag(c.r.URL.Query(), "include_inactive")
	if err != nil {
		return reply{}, err
	}
	all, err := f.identity.Projects(c.r.Context(), c.by, inactive)
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

// projectPayload is what the endpoints answer that switch a project off and on.
type projectPayload struct {
	Project listedProject `json:"project"`
}

// deactivateProject serves POST {project}/deactivate/. The body is not read. Its keys, tokens and members
// are refused from then on; only reactivation is left.
func (f *Face) deactivateProject(c *call) (reply, error) {
	p, err := f.identity.DeactivateProject(c.r.Context(), c.by)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "project_deactivated", "response_body", projectPayload{
		listedProjectOf(identity.ProjectOf{Project: p, Role: c.by.Role}),
	}}, nil
}

// reactivateProject serves POST {project}/reactivate/. The project stands in the body, not in the header:
// the guard that reads the header refuses projects that are switched off.
func (f *Face) reactivateProject(c *call) (reply, error) {
	given, err := c.givenID("project_id")
	if err != nil {
		return reply{}, err
	}
	id, ok := core.ParseID[core.ProjectID](given)
	if !ok {
		return reply{}, core.NotFoundError("project", given)
	}
	p, err := f.identity.ReactivateProject(c.r.Context(), c.by, id)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "project_reactivated", "response_body", projectPayload{
		listedProjectOf(identity.ProjectOf{Project: p, Role: core.RoleAdmin}), // nobody else may
	}}, nil
}
