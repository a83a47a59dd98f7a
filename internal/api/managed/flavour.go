package managed

import (
	"net/http"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
)

// Flavour is what the wire code asks wherever the two dialects differ. The two values of this package
// are the only ones; they are never changed.
type Flavour struct {
	name          string
	keyHeader     bool // x-api-key is a credential
	errors        map[core.Kind]wireError
	param         bool           // errors name the field at fault apart from the message
	unknown       httpio.Unknown // what becomes of members that no request has
	created       int            // the status that answers a create
	limits        catalog.Limits
	sessionPrefix string
	eventPrefix   string
	toolNames     map[string]string // canonical name → wire name; nil: they are the same

	emptyText       bool // a text that was never set is "", not null
	modelName       bool // an agent's model is its name alone, not an object
	selfEntry       bool // a roster names its own agent as {"type":"self"}, not by id
	archivedFlag    bool // objects that can be archived say so in a boolean, too
	resolvedTools   bool // toolsets are shown with every default filled in, not as they were sent
	executionMember bool // agents have an execution_identity
	credits         bool // usage is counted in credits; tokens are shown beside them
	threadStatus    bool // the primary thread has status events of its own (thread.go)
	keepsStatus     bool // archiving does not change a session's status

	idCursors      bool // the cursor of a list is the id of its last item
	needsVersion   bool // an update of an agent must say which version it changes
	configRequired bool // a config that is null or {} is refused, instead of taken for an absent one
	limitedNetwork bool // the network policy of a config without one
	eventPage      int  // default and largest page of events
	maxEventPage   int
	refuseBusy     bool // a message to a running session is refused, not queued
	stringContent  bool // content may be a plain string

	frameIDs    bool   // frames carry the event's id, and a stream can be resumed behind one
	frameNames  bool   // frames are named by the event's type whatever it is; else only known names are used
	interrupted string // the stop reason of an interrupted turn
	endsStream  bool   // session.status_terminated is the last frame of a stream
}

// Claude is the flavour of Claude Managed Agents.
var Claude = &Flavour{
	name: "claude", keyHeader: true, errors: claudeErrors, unknown: httpio.RejectUnknown, created: http.StatusOK,
	limits: catalog.ClaudeLimits, sessionPrefix: "sesn_", eventPrefix: "sevt_",
	resolvedTools: true, executionMember: true,
	eventPage: 1000, maxEventPage: 1000, stringContent: true, interrupted: "end_turn",
}

// Qoder is the flavour of Qoder Cloud Agents.
var Qoder = &Flavour{
	name: "qoder", errors: qoderErrors, param: true, unknown: httpio.IgnoreUnknown, created: http.StatusCreated,
	limits: catalog.QoderLimits, sessionPrefix: "sess_", eventPrefix: "evt_", toolNames: qoderToolNames,
	emptyText: true, modelName: true, selfEntry: true, archivedFlag: true, credits: true, threadStatus: true, keepsStatus: true,
	idCursors: true, needsVersion: true, configRequired: true, limitedNetwork: true,
	eventPage: 20, maxEventPage: 100, refuseBusy: true,
	frameIDs: true, frameNames: true, interrupted: "cancelled", endsStream: true,
}

// flavours lists both, for tables and tests.
var flavours = []*Flavour{Claude, Qoder}

// qoderToolNames is how Qoder writes the built-in tools (qoder.md section 4.2).
var qoderToolNames = map[string]string{
	"bash": "Bash", "read": "Read", "write": "Write", "edit": "Edit", "glob": "Glob", "grep": "Grep",
	"web_fetch": "WebFetch", "web_search": "WebSearch",
	"image_gen": "ImageGen", "image_search": "ImageSearch", "deliver_artifacts": "DeliverArtifacts",
}

// flavourOf tells the dialects apart by the credential: only Claude clients send x-api-key or
// anthropic-version.
func flavourOf(r *http.Request) *Flavour {
	if r.Header.Get("X-Api-Key") != "" || r.Header.Get("Anthropic-Version") != "" {
		return Claude
	}
	return Qoder
}

// credential returns the caller's key. The Claude flavour takes it in either header, because its newer
// clients send Authorization (CMA section 12); the Qoder flavour takes no x-api-key (qoder.md section 2.1).
func (fl *Flavour) credential(r *http.Request) (string, error) {
	if key := r.Header.Get("X-Api-Key"); fl.keyHeader && key != "" {
		return key, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, nil
	}
	if fl.keyHeader {
		return "", core.Errorf(core.Unauthenticated, "credential_missing", "send an API key in the header x-api-key, or in Authorization: Bearer")
	}
	return "", core.Errorf(core.Unauthenticated, "credential_missing", "send an access token in the header Authorization: Bearer")
}

// toolName writes the canonical name of a built-in tool.
func (fl *Flavour) toolName(name string) string {
	if wire, ok := fl.toolNames[name]; ok {
		return wire
	}
	return name
}

// canonicalTool reads the name of a built-in tool. What is not on the table stays as it is, and the
// catalogue judges it.
func (fl *Flavour) canonicalTool(wire string) string {
	for name, w := range fl.toolNames {
		if w == wire {
			return name
		}
	}
	return wire
}

// text writes a text that may never have been set.
func (fl *Flavour) text(s string) any {
	if s == "" && !fl.emptyText {
		return nil
	}
	return s
}
