package managed

import (
	"net/http"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/catalog"
	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/file"
	"github.com/reeve-ai/reeve/internal/identity"
	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/skill"
)

// Flavour is what the wire code asks wherever the two dialects differ. The two values of this package
// are the only ones; they are never changed.
type Flavour struct {
	name          string
	keyHeader     bool // x-api-key is a credential
	errors        map[core.Kind]wireError
	param         bool                 // errors name the field at fault apart from the message
	unknown       httpio.Unknown       // what becomes of members that no request has
	created       int                  // the status that answers a create
	codes         map[string]wireError // of errors that the table of kinds would write otherwise
	limits        catalog.Limits
	memory        memory.Limits
	files         file.Limits
	skills        skill.Limits // before skills left beta
	sessionPrefix string
	eventPrefix   string
	vaultPrefix   string
	// resourcePrefix is that of what sessions have attached.
	resourcePrefix string
	secretPrefix   string
	// deploymentPrefix is that of deployments; their runs have one prefix in both dialects.
	deploymentPrefix string
	toolNames        map[string]string // canonical name → wire name; nil: they are the same

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
	strictLease    bool // a heartbeat of a stopped work item is an error, not an answer that says so
	needsVersion   bool // an update of an agent must say which version it changes
	configRequired bool // a config that is null or {} is refused, instead of taken for an absent one
	limitedNetwork bool // the network policy of a config without one
	eventPage      int  // default and largest page of events
	maxEventPage   int
	refuseBusy     bool // a message to a running session is refused, not queued
	onceEach       bool // one file can be attached to a session once
	refusePaused   bool // a paused deployment cannot be run by hand
	stringContent  bool // content may be a plain string

	frameIDs    bool   // frames carry the event's id, and a stream can be resumed behind one
	frameNames  bool   // frames are named by the event's type whatever it is; else only known names are used
	interrupted string // the stop reason of an interrupted turn
	endsStream  bool   // session.status_terminated is the last frame of a stream
}

// Claude is the flavour of Claude Managed Agents.
var Claude = &Flavour{
	name: "claude", keyHeader: true, errors: claudeErrors, unknown: httpio.RejectUnknown, created: http.StatusOK,
	codes: claudeCodes, limits: catalog.ClaudeLimits, memory: memory.ClaudeLimits, files: file.ClaudeLimits, skills: skill.ClaudeLimits, sessionPrefix: "sesn_", resourcePrefix: "sesrsc_", eventPrefix: "sevt_", vaultPrefix: "vlt_", secretPrefix: "vcrd_", deploymentPrefix: "depl_",
	resolvedTools: true, executionMember: true,
	eventPage: 1000, maxEventPage: 1000, stringContent: true, interrupted: "end_turn",
}

// Qoder is the flavour of Qoder Cloud Agents.
var Qoder = &Flavour{
	name: "qoder", errors: qoderErrors, param: true, unknown: httpio.IgnoreUnknown, created: http.StatusCreated,
	codes: qoderCodes, limits: catalog.QoderLimits, memory: memory.QoderLimits, files: file.QoderLimits, skills: skill.QoderLimits, sessionPrefix: "sess_", resourcePrefix: "sesr_", onceEach: true, eventPrefix: "evt_", vaultPrefix: "vault_", secretPrefix: "vcred_", deploymentPrefix: "dep_", toolNames: qoderToolNames,
	emptyText: true, modelName: true, selfEntry: true, archivedFlag: true, credits: true, threadStatus: true, keepsStatus: true,
	idCursors: true, strictLease: true, needsVersion: true, configRequired: true, limitedNetwork: true,
	eventPage: 20, maxEventPage: 100, refuseBusy: true, refusePaused: true,
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
// clients send Authorization (CMA section 12); the Qoder flavour takes no x-api-key (qoder.md section 2.1). Of
// both, x-api-key counts; but Authorization if a worker calls, or its credential stands there: a program that
// serves as a worker besides may send its own key everywhere.
func (fl *Flavour) credential(r *http.Request, worker bool) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	worker = token != "" && (worker || identity.IsWorkerCredential(token))
	if key := r.Header.Get("X-Api-Key"); fl.keyHeader && key != "" && !worker {
		return key, nil
	}
	if token != "" {
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
