package otas

import (
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/identity"
)

// The headers that carry credentials (reference 2.3).
const (
	headerUserToken    = "X-OTAS-USER-TOKEN"
	headerProject      = "X-OTAS-PROJECT-ID"
	headerAgent        = "X-OTAS-AGENT-ID"
	headerAgentKey     = "X-OTAS-AGENT-KEY"
	headerSDKKey       = "X-OTAS-SDK-KEY"
	headerSessionToken = "X-OTAS-AGENT-SESSION-TOKEN"
)

// guard is what an endpoint asks of its caller.
type guard int

const (
	guardNone    guard = iota
	guardUser          // a person: G-USER
	guardMember        // a person in a project
	guardProject       // the same, or an access token of the project: G-PROJECT
	guardAgent         // an agent: G-AGENT
	guardSDK           // a project's backend: G-SDK
)

var (
	errMethod         = core.Errorf(core.Invalid, "method_not_allowed", "this path does not take that method")
	errMissingToken   = core.Errorf(core.Invalid, "missing_token", "the header %s is missing", headerUserToken)
	errMissingHeaders = core.Errorf(core.Invalid, "missing_headers", "the headers %s and %s are needed", headerUserToken, headerProject)
	errSDKKeyFormat   = core.Errorf(core.Unauthenticated, "sdk_key_format", "an SDK key has three parts with _ between them")
	errNoMember       = core.Errorf(core.Forbidden, "user_project_mapping_invalid", "the caller does not belong to that project")
)

// check finds out who calls, and fills in c.
func (f *Face) check(g guard, c *call) (err error) {
	switch g {
	case guardUser:
		token := c.r.Header.Get(headerUserToken)
		if token == "" {
			return errMissingToken
		}
		c.user, c.by, err = f.identity.User(c.r.Context(), token)
		return err
	case guardMember:
		return f.checkMember(c, c.r.Header.Get(headerUserToken))
	case guardProject:
		token := c.r.Header.Get(headerUserToken)
		if identity.IsAccessToken(token) {
			return f.checkAccess(c, token)
		}
		return f.checkMember(c, token)
	case guardAgent:
		c.by, c.agent, err = f.identity.AgentKey(c.r.Context(), c.r.Header.Get(headerAgentKey))
		return err
	case guardSDK:
		return f.checkSDK(c)
	}
	return f.checkCapture(g, c)
}

// checkMember is G-PROJECT. An id that is no UUID, an unknown project, and one that the person has no
// active part in, all read the same (section 8, S7 and C7).
func (f *Face) checkMember(c *call, token string) (err error) {
	given := c.r.Header.Get(headerProject)
	if token == "" || given == "" {
		return errMissingHeaders
	}
	if c.user, c.by, err = f.identity.User(c.r.Context(), token); err != nil {
		return err
	}
	id, ok := core.ParseID[core.ProjectID](given)
	if !ok {
		return errNoMember
	}
	c.by, c.project, err = f.identity.Member(c.r.Context(), c.user.ID, id)
	if core.KindOf(err) == core.NotFound {
		return errNoMember
	}
	return err
}

// checkSDK is G-SDK. Its failures are named apart because their statuses and words differ: see
// sdkKeyError.
func (f *Face) checkSDK(c *call) (err error) {
	key := c.r.Header.Get(headerSDKKey)
	if key == "" {
		return errMissingSDKKey
	}
	if strings.Count(key, "_") < 2 {
		return errSDKKeyFormat
	}
	c.by, c.project, err = f.identity.SDKProject(c.r.Context(), key)
	return err
}

// checkAccess takes an access token in place of a person's. It knows its project, so the project
// header may be left out; if it is there, it must agree. OTAS has no such tokens: Reeve's work on
// every face.
func (f *Face) checkAccess(c *call, token string) (err error) {
	if c.by, err = f.identity.Token(c.r.Context(), token); err != nil {
		return err
	}
	given := c.r.Header.Get(headerProject)
	if id, ok := core.ParseID[core.ProjectID](given); given != "" && (!ok || id != c.by.Project) {
		return errNoMember
	}
	return nil
}
