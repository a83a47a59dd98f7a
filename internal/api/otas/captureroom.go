package otas

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// roomStep is how much room a body takes at a time, in bytes.
	roomStep = 32 << 10
	// stepTimeout is how long the first byte of a body may take to arrive, and then each step of it: a body
	// that is slower holds its room for longer than it is worth.
	stepTimeout = 10 * time.Second
	// bodyTimeout is how long a body may take in all.
	bodyTimeout = 5 * time.Minute
)

// roomyBody reads a body of reports. It takes room only for what has arrived: who announces a body and sends
// nothing holds none, and who sends slowly holds what it has sent, but not for long. Use by one goroutine.
type roomyBody struct {
	io.Reader
	ctx      context.Context // of the one request
	captures Captures
	agent    core.AgentID
	ctl      *http.ResponseController
	until    time.Time // the end of bodyTimeout
	step     int64
	read     int64
	room     int64 // taken so far
	release  []func()
}

// roomyBody opens the body, of at most limit bytes. The caller calls arrived when it has read the body to its
// end, and close when the reports are recorded.
func (f *Face) roomyBody(c *call, limit int64) *roomyBody {
	b := &roomyBody{
		Reader: http.MaxBytesReader(c.w, c.r.Body, limit),
		ctx:    c.r.Context(), captures: f.captures, agent: c.source.Agent,
		ctl: http.NewResponseController(c.w), until: time.Now().Add(bodyTimeout), step: roomStep,
	}
	if n := c.r.ContentLength; n > 0 {
		b.step = min(b.step, n)
	}
	b.extend()
	return b
}

// Read implements io.Reader. It holds at most one step more than there is room for.
func (b *roomyBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p[:min(len(p), roomStep)])
	b.read += int64(n)
	for b.read > b.room {
		release, full := b.captures.Admit(b.ctx, b.agent, b.step)
		if full != nil {
			return 0, full
		}
		b.release = append(b.release, release)
		b.room += b.step
		b.extend() // after the wait for room, which is not the sender's fault
	}
	return n, err
}

// extend gives the next step its time. Where there is no connection, as in tests, nobody is slow.
func (b *roomyBody) extend() {
	deadline := time.Now().Add(stepTimeout)
	if deadline.After(b.until) {
		deadline = b.until
	}
	_ = b.ctl.SetReadDeadline(deadline)
}

// arrived lifts the deadline: the server reads on to notice that the client goes away, and would take a
// late deadline for that. A body that is refused before its end keeps it, because the server reads some more
// of it before it answers.
func (b *roomyBody) arrived() { _ = b.ctl.SetReadDeadline(time.Time{}) }

func (b *roomyBody) close() {
	for _, release := range b.release {
		release()
	}
	b.release = nil
}

// bodyError says why a body of at most limit bytes could not be read.
func bodyError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	var known *core.Error
	switch {
	case errors.As(err, &tooLarge):
		return core.Errorf(core.TooLarge, "request_too_large", "the request body is larger than %d bytes", limit)
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Invalid, as it is the sender's doing: core.Timeout is trouble of ours, and logged.
		return &core.Error{Kind: core.Invalid, Code: "request_timeout", Message: "the request body took too long to arrive", Err: err}
	}
	return &core.Error{Kind: core.Invalid, Code: "invalid_body", Message: "the request body could not be read to its end", Err: err}
}
