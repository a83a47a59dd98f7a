package managed

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// maxOverhead is what a form may have besides its files: texts, and the headers of the parts.
	maxOverhead = 2 << 20
	maxText     = 64 << 10 // bytes of one part that is a text
	// stallTime is how long a client may send nothing before its upload is given up.
	stallTime = time.Minute
)

// upload is what a route's receive made of a body that is too large to be held.
type upload interface {
	// fingerprint is the same for uploads that say the same.
	fingerprint() []byte
	// discard gives back what was kept of the body and belongs to nothing now.
	discard()
}

// formBody is a multipart body, read part by part as it comes (RFC 7578).
type formBody struct {
	parts   *multipart.Reader
	unknown httpio.Unknown
	texts   map[string]string // those read up to now
}

// newFormBody begins to read the body, of at most limit bytes.
func newFormBody(w http.ResponseWriter, c *call, limit int64) (*formBody, error) {
	kind, params, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, &core.Error{Kind: core.Invalid, Code: "invalid_body", Message: "send the body as multipart/form-data", Err: err}
	}
	if c.ContentLength > limit { // it need not be sent
		return nil, bodyTooLarge(limit)
	}
	body := &patient{http.MaxBytesReader(w, c.Body, limit), http.NewResponseController(w)}
	return &formBody{parts: multipart.NewReader(body, params["boundary"]), unknown: c.fl.unknown, texts: map[string]string{}}, nil
}

// next reads texts up to the next part that is a file, one of those names, and returns that part; the end
// is io.EOF. known are the names of texts. The part must be read before the next call.
func (f *formBody) next(files, known []string) (*multipart.Part, error) {
	for {
		part, err := f.parts.NextRawPart()
		switch {
		case err == io.EOF: // a wrapped one means that the body was cut off
			return nil, io.EOF
		case err != nil:
			return nil, badForm(err)
		case slices.Contains(files, part.FormName()):
			return part, nil
		case slices.Contains(known, part.FormName()):
			if err := f.text(part); err != nil {
				return nil, err
			}
		case f.unknown == httpio.RejectUnknown:
			return nil, core.InvalidField(part.FormName(), "unknown field")
		}
	}
}

func (f *formBody) text(part *multipart.Part) error {
	name := part.FormName()
	if _, twice := f.texts[name]; twice {
		return core.InvalidField(name, "comes twice")
	}
	raw, err := io.ReadAll(io.LimitReader(part, maxText+1))
	if err != nil {
		return badForm(err)
	}
	if len(raw) > maxText {
		return core.InvalidField(name, "is larger than %d bytes", maxText)
	}
	f.texts[name] = string(raw)
	return nil
}

// content reads a part that is a file.
type content struct{ part *multipart.Part }

func (c content) Read(p []byte) (int, error) {
	n, err := c.part.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as in next
		err = badForm(err)
	}
	return n, err
}

// filename is what a part says that its file is called, with the path if it has one: multipart.Part would
// cut that off.
func filename(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}

// badForm is an error of the reader. What patient said stands; else the cause is only told, because it may
// wrap io.EOF, which is no end here.
func badForm(err error) error {
	var known *core.Error
	if errors.As(err, &known) {
		return err
	}
	return &core.Error{
		Kind: core.Invalid, Code: "invalid_body", Message: "the body is not a whole multipart form", Err: errors.New(err.Error()),
	}
}

func bodyTooLarge(limit int64) error {
	return core.Errorf(core.TooLarge, "request_too_large", "the request body is larger than %d bytes", limit)
}

// patient reads a body that may be long on its way, but not silent.
type patient struct {
	body io.Reader
	conn *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	// Without a deadline a client that sends nothing would be waited for without end. A server that cannot
	// set one is a test's.
	_ = p.conn.SetReadDeadline(time.Now().Add(stallTime))
	n, err := p.body.Read(b)
	if err == nil {
		return n, nil
	}
	// The deadline must not outlive the body: the server reads on to see whether the client goes away.
	_ = p.conn.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return n, err
	case errors.As(err, &tooLarge):
		err = bodyTooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &core.Error{Kind: core.Timeout, Code: "upload_stalled", Message: "nothing came for too long", Err: err}
	default:
		err = &core.Error{Kind: core.Invalid, Code: "invalid_body", Message: "the request body could not be read to its end", Err: err}
	}
	return n, err
}
