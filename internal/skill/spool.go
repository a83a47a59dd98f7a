package skill

import (
	"bytes"
	"errors"
	"io"
	"iter"

	"github.com/reeve-ai/reeve/internal/core"
)

// Part is one file of an upload, as it comes.
type Part struct {
	Name string    // its path, as the client spells it
	Body io.Reader // to be read before the next part
}

// spooled is where a part lies in the spool.
type spooled struct {
	name         string
	offset, size int64
}

// spool reads parts one behind the other, as one text, and keeps where each lies. Uploads lie on the disk,
// not in memory, while they are judged.
type spool struct {
	next   func() (Part, error, bool)
	limits Limits
	body   io.Reader // of the last of parts; nil: it was read to its end
	parts  []spooled
	end    int64
}

// newSpool returns the reader and what ends it.
func newSpool(parts iter.Seq2[Part, error], l Limits) (*spool, func()) {
	next, stop := iter.Pull2(parts)
	return &spool{next: next, limits: l}, stop
}

func (s *spool) Read(p []byte) (int, error) {
	for {
		if s.body == nil {
			part, err, more := s.next()
			if !more {
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			if len(s.parts) == maxFiles {
				return 0, s.limits.fault(part.Name, "is one too many: at most %d files are allowed", maxFiles)
			}
			s.body = part.Body
			s.parts = append(s.parts, spooled{name: part.Name, offset: s.end})
		}
		n, err := s.body.Read(p)
		s.end += int64(n)
		s.parts[len(s.parts)-1].size += int64(n)
		if errors.Is(err, io.EOF) {
			s.body, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// at reads a seekable text at any place. It is for one goroutine.
type at struct{ io.ReadSeeker }

func (a at) ReadAt(p []byte, offset int64) (int, error) {
	if _, err := a.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(a, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// isZip reports whether a text begins as a zip archive does (APPNOTE.TXT sections 4.3.7 and 4.3.16).
func isZip(r io.ReaderAt) bool {
	head := make([]byte, 4)
	_, err := r.ReadAt(head, 0)
	return err == nil && (bytes.Equal(head, []byte("PK\x03\x04")) || bytes.Equal(head, []byte("PK\x05\x06")))
}

func tooLarge(l Limits, cause error) error {
	return &core.Error{
		Kind: core.TooLarge, Code: "skill_too_large", Field: l.Files, Err: cause,
		Message: l.Files + ": are larger than 50 MB together",
	}
}
