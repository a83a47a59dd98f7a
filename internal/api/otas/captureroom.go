package otas

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// roomStep is how much room a body is given at a time, in bytes.
	roomStep = 256 << 10
	// bodyTimeout is how long a body of reports may take to arrive.
	bodyTimeout = 30 * time.Second
)

// roomyBody reads a body of reports. It makes room for it as it comes, not when it is announced: who sends
// slowly holds no more than it has sent, and nobody waits for the rest. Use by one goroutine.
type roomyBody struct {
	io.Reader
	ctx      context.Context // of the one request
	captures Captures
	ctl      *http.ResponseController
	step     int64
	room     int64 // what may still be read
	release  []func()
}

// roomyBody opens the body, of at most limit bytes. The caller calls close when the reports are recorded.
func (f *Face) roomyBody(c *call, limit int64) *roomyBody {
	b := &roomyBody{
		Reader: http.MaxBytesReader(c.w, c.r.Body, limit),
		ctx:    c.r.Context(), captures: f.captures, ctl: http.NewResponseController(c.w), step: roomStep,
	}
	if n := c.r.ContentLength; n >= 0 { // one byte more, so that the end is found in the same step
		b.step = min(b.step, n+1)
	}
	_ = b.ctl.SetReadDeadline(time.Now().Add(bodyTimeout)) // where there is no connection, as in tests, nobody is slow
	return b
}

func (b *roomyBody) Read(p []byte) (int, error) {
	if b.room <= 0 {
		release, err := b.captures.Admit(b.ctx, b.step)
		if err != nil {
			return 0, err
		}
		b.release = append(b.release, release)
		b.room = b.step
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.room)])
	b.room -= int64(n)
	return n, err
}

// arrived lifts the deadline: the server reads on to notice that the client goes away, and would take a
// late deadline for that.
func (b *roomyBody) arrived() { _ = b.ctl.SetReadDeadline(time.Time{}) }

func (b *roomyBody) close() {
	b.arrived()
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
	}
	return &core.Error{Kind: core.Invalid, Code: "invalid_body", Message: "the request body could not be read to its end", Err: err}
}
