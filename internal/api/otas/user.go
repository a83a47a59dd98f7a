package otas

import (
	"net"
	"net/http"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// signUp serves POST /api/user/v1/create/ (reference 3.1).
func (f *Face) signUp(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	if missing := body.absent("first_name", "last_name", "email", "password"); missing != nil {
		return reply{}, identity.MissingFields(missing...)
	}
	in := identity.SignUp{Address: address(c.r)}
	err = body.texts(map[string]*string{
		"first_name": &in.FirstName, "middle_name": &in.MiddleName, "last_name": &in.LastName,
		"email": &in.Email, "password": &in.Password,
	})
	if err != nil {
		return reply{}, err
	}
	user, token, err := f.identity.SignUp(c.r.Context(), in)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "user_created", "response_body", userPayload{User: userOf(user), Token: token}}, nil
}

// login serves POST /api/user/v1/login/ (reference 3.2). The password may be spelled with a capital
// P, and that one wins.
func (f *Face) login(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	in := identity.Login{Address: address(c.r)}
	capital := ""
	err = body.texts(map[string]*string{"email": &in.Email, "password": &in.Password, "Password": &capital})
	if err != nil {
		return reply{}, err
	}
	if capital != "" {
		in.Password = capital
	}
	user, token, err := f.identity.Login(c.r.Context(), in)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "login_success", "response", userPayload{User: userOf(user), Token: token}}, nil
}

// whoAmI serves POST /api/user/v1/authenticate/ (reference 3.3). The body is not read.
func (f *Face) whoAmI(c *call) (reply, error) {
	return reply{http.StatusOK, "user_authenticated", "response_body", userPayload{User: userOf(c.user)}}, nil
}

// editUser serves PUT /api/user/v1/edit/ (reference 3.4). A middle name that is left out is cleared.
func (f *Face) editUser(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	var names identity.Names
	err = body.texts(map[string]*string{"first_name": &names.First, "middle_name": &names.Middle, "last_name": &names.Last})
	if err != nil {
		return reply{}, err
	}
	user, err := f.identity.Edit(c.r.Context(), c.by, names)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "user_profile_updated", "response_body", userPayload{User: userOf(user)}}, nil
}

// changePassword serves PUT /api/user/v1/reset-password/update/ (reference 3.5). All tokens issued
// before stop working, also the one that was sent (section 8, S3). current_password is Reeve's own: without
// it, a token that is not fresh changes nothing (S10).
func (f *Face) changePassword(c *call) (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	password, err := body.text("password")
	if err != nil {
		return reply{}, err
	}
	if password.V == "" {
		return reply{}, core.Errorf(core.Invalid, "missing_password", "password is required")
	}
	current, err := body.text("current_password")
	if err != nil {
		return reply{}, err
	}
	var known *string
	if current.Set && !current.Null {
		known = &current.V
	}
	if err := f.identity.ChangePassword(c.r.Context(), c.by, known, password.V); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "password_updated", "response_body", nil}, nil
}

// logout serves POST /api/user/v1/logout/, which OTAS does not have: it ends every token of the
// caller (section 8, S3). The body is not read.
func (f *Face) logout(c *call) (reply, error) {
	if err := f.identity.Logout(c.r.Context(), c.by); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, "logged_out", "response_body", nil}, nil
}

// address is the other end of the connection. Headers of proxies are not believed here: anyone can
// send them. So behind a proxy all people share one address, and the limits that go by it: until there is a
// setting that names the proxies to believe.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
