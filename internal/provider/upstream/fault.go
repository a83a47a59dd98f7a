package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Vendor is the other end of a call, as its errors speak of it.
type Vendor struct {
	Name    string
	KeyFrom string
	secrets []string
}

// Complaint is a vendor's error in the vendor's own words: an HTTP answer, or an event inside a stream.
type Complaint struct {
	Status  int         // 0: it came inside a stream
	Header  http.Header // nil inside a stream
	Type    string      // "overloaded_error"
	Code    string      // "context_length_exceeded"; a number from 400 to 599 stands in for Status
	Param   string      // the request parameter at fault
	Message string      // logged, never shown
	Request string      // the vendor's id of the request, for its support
}

// Refused turns a complaint about a call of model into the error that the turn runner acts on. The
// rules by status are those of the vendors' own error pages; a type or code counts for more, because
// an event inside a stream has no status and OpenAI answers 429 for used-up credit too.
func (v Vendor) Refused(c Complaint, model string) *core.ModelError {
	if n, err := strconv.Atoi(c.Code); err == nil && c.Status == 0 && n >= 400 && n <= 599 {
		c.Status = n
	}
	e := &core.ModelError{Type: core.ModelFailed, Status: c.Status, Err: v.detail(c)}
	names := func(s ...string) bool { return slices.Contains(s, c.Type) || slices.Contains(s, c.Code) }
	text := strings.ToLower(c.Message)
	says := func(s ...string) bool {
		return slices.ContainsFunc(s, func(p string) bool { return strings.Contains(text, p) })
	}
	switch {
	case c.Status == http.StatusPaymentRequired,
		names("billing_error", "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance", "insufficient_credits"),
		says("credit balance is too low", "exceeded your current quota", "insufficient credits", "insufficient balance"):
		e.Type, e.Message = core.ModelBilling, v.Name+" refuses to work: the account's credit or quota is used up."
	case c.Status == http.StatusTooManyRequests, names("rate_limit_error", "rate_limit_exceeded"):
		e.Type, e.Retryable, e.Message = core.ModelRateLimited, true, v.Name+" limits how fast this account may call it."
	case c.Status == 529, c.Status == http.StatusServiceUnavailable,
		names("overloaded_error", "server_is_overloaded", "slow_down", "engine_overloaded_error", "engine_overloaded"):
		e.Type, e.Retryable, e.Message = core.ModelOverloaded, true, v.Name+" has more work than it can do at the moment."
	case names("context_length_exceeded", "exceed_context_size_error"),
		says("prompt is too long", "maximum context length", "exceeds the context window", "exceed context limit", "exceeds the available context size"):
		e.TooLong, e.Message = true, fmt.Sprintf("The conversation no longer fits the context window of model %q.", model)
	case c.Status == http.StatusUnauthorized, names("authentication_error", "invalid_api_key"):
		e.Message = v.Name + " does not accept the key" + v.keyHint() + "."
	case c.Status == http.StatusForbidden, names("permission_error"):
		e.Message = fmt.Sprintf("%s does not let this key%s use model %q.", v.Name, v.keyHint(), model)
	case c.Status == http.StatusNotFound, names("not_found_error", "model_not_found"):
		e.Message = fmt.Sprintf("%s does not know model %q, or its address is wrong.", v.Name, model)
	case c.Status == http.StatusRequestEntityTooLarge, names("request_too_large"):
		e.TooLong, e.Message = true, "The request is larger than "+v.Name+" takes."
	case c.Status == http.StatusRequestTimeout, c.Status == http.StatusGatewayTimeout, names("timeout_error"):
		e.Retryable, e.Message = true, v.Name+" did not answer in time."
	case c.Status == http.StatusConflict, c.Status >= 500, names("api_error", "server_error", "internal_server_error"):
		e.Retryable, e.Message = true, v.Name+" failed to answer because of a fault on its side."
	case c.Status >= 300 && c.Status < 400:
		e.Message = v.Name + " answered with a redirect: set base_url to the address that it points to."
	case c.Status >= 400, names("invalid_request_error", "invalid_prompt"):
		e.Message = v.Name + " refused the request as invalid" + paramHint(c.Param) + "; the server's log has its reason."
	case c.Status >= 200 && c.Status < 300 && c.Type == "" && c.Code == "" && c.Message == "":
		e.Message = v.Name + " answered with a page instead of a stream: base_url is probably wrong."
	default:
		e.Type, e.Retryable, e.Message = core.ModelUnknown, true, v.Name+" ended the answer with an error that is not known here."
	}
	if e.Retryable {
		if e.RetryAfter = RetryAfter(c.Header, time.Now()); e.RetryAfter == 0 {
			e.RetryAfter = waitInText(c.Message)
		}
	}
	return e
}

// Broken turns what net/http or a decoder said into the error of the call. It is ctx's error if ctx
// ended. begun says that the answer's status line had arrived: from there on the call was cut.
func (v Vendor) Broken(ctx context.Context, err error, begun bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = v.scrubbed(err)
	var read *ReadError
	if errors.As(err, &read) {
		return &core.ModelError{
			Type: core.ModelCut, Retryable: true, Err: err,
			Message: "The connection to " + v.Name + " broke in the middle of the answer.",
		}
	}
	e := &core.ModelError{Type: core.ModelFailed, Retryable: true, Err: err}
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	switch {
	case begun && errors.Is(err, bufio.ErrTooLong):
		e.Message = v.Name + " sent a piece of an answer that is too large to read."
	case begun:
		e.Message = v.Name + " sent a piece of an answer that cannot be read."
	case errors.As(err, &cert):
		e.Retryable, e.Message = false, "The certificate of "+v.Name+" is not trusted by this machine."
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Message = v.Name + " did not answer in time."
	default:
		e.Message = v.Name + " could not be reached."
	}
	return e
}

// Ended is the error of a stream that ended before the vendor's own end mark.
func (v Vendor) Ended() *core.ModelError {
	return &core.ModelError{
		Type: core.ModelCut, Retryable: true,
		Message: v.Name + " stopped in the middle of the answer.",
	}
}

func (v Vendor) keyHint() string {
	if v.KeyFrom == "" {
		return ""
	}
	return " in " + v.KeyFrom
}

var paramName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]{1,80}$`)

// paramHint names the parameter at fault, unless what the vendor sent is not a name.
func paramHint(param string) string {
	if !paramName.MatchString(param) {
		return ""
	}
	return " (" + param + ")"
}

// detail is what goes to the log. The vendor's own message is part of it, cut down and without keys.
func (v Vendor) detail(c Complaint) error {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d", c.Status)
	for _, f := range [][2]string{{"type", c.Type}, {"code", c.Code}, {"param", c.Param}, {"request", c.Request}} {
		if f[1] != "" {
			fmt.Fprintf(&b, ", %s %.120q", f[0], f[1])
		}
	}
	if c.Message != "" {
		fmt.Fprintf(&b, ": %.1000s", c.Message)
	}
	return errors.New(v.scrub(b.String()))
}

// keyLike finds what looks like a vendor's key, masked ones included: OpenAI quotes parts of the
// refused key in its message.
var keyLike = regexp.MustCompile(`\b(sk|pk|rk|key|gsk|xai)-[A-Za-z0-9_*.-]{6,}|(?i:bearer)\s+[A-Za-z0-9_.~+/=*-]{8,}`)

func (v Vendor) scrub(s string) string {
	for _, secret := range v.secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[key]")
		}
	}
	return keyLike.ReplaceAllString(s, "[key]")
}

// scrubbed returns err itself when its text holds no key, so that its chain stays; else only the text.
func (v Vendor) scrubbed(err error) error {
	text := err.Error()
	if clean := v.scrub(text); clean != text {
		return errors.New(clean)
	}
	return err
}
