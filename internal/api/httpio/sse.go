package httpio

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// WriteTimeout is how long one frame may take to leave. A watcher that reads slower is cut off; it
// reconnects and reads the log from where it was.
const WriteTimeout = 20 * time.Second

// Stream writes server-sent events (WHATWG HTML, section 9.2). It is used by one goroutine.
type Stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	buf bytes.Buffer
}

// StartStream sends the headers at once: official clients take them as "subscribed". It tells
// proxies not to buffer and lifts the server's write deadline.
func StartStream(w http.ResponseWriter) (*Stream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &Stream{w: w, ctl: http.NewResponseController(w)}
	return s, s.Flush()
}

// Event adds a frame. id and event may be empty; data must hold no line break, which JSON never does.
// Nothing leaves before Flush.
func (s *Stream) Event(id, event string, data []byte) {
	if id != "" {
		s.buf.WriteString("id: ")
		s.buf.WriteString(id)
		s.buf.WriteByte('\n')
	}
	if event != "" {
		s.buf.WriteString("event: ")
		s.buf.WriteString(event)
		s.buf.WriteByte('\n')
	}
	s.buf.WriteString("data: ")
	s.buf.Write(data)
	s.buf.WriteString("\n\n")
}

// Comment adds a line that clients skip: a keep-alive.
func (s *Stream) Comment(text string) {
	s.buf.WriteString(": ")
	s.buf.WriteString(text)
	s.buf.WriteString("\n\n")
}

// Flush sends what was added in one write.
func (s *Stream) Flush() error {
	if err := s.ctl.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if s.buf.Len() > 0 {
		if _, err := s.w.Write(s.buf.Bytes()); err != nil {
			return fmt.Errorf("write stream: %w", err)
		}
		s.buf.Reset()
	}
	if err := s.ctl.Flush(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	return nil
}
