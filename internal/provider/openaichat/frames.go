package openaichat

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds one event. The largest real ones hold a whole tool call, or a picture.
const maxFrame = 16 << 20

// frames reads the data of server-sent events (HTML standard, section 9.2.6), with two liberties
// that servers take: a field named "error" holds data too (llama.cpp), and the last event need not
// end with an empty line. A lone CR does not end a line here; no server of this kind sends it.
type frames struct {
	r    *bufio.Reader
	line []byte // what is read of a line that is longer than r's buffer
}

func newFrames(r io.Reader) *frames { return &frames{r: bufio.NewReaderSize(r, 8<<10)} }

// next returns the data of the next event, valid until the following call, or io.EOF. Comments and
// events without data are passed over. An event over maxFrame is bufio.ErrTooLong.
func (f *frames) next() ([]byte, error) {
	var data []byte
	have := false
	for {
		line, err := f.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		ended := err != nil
		if len(line) == 0 && have {
			return data, nil // at the end too: the next call finds it again
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		if string(name) == "error" {
			value = fmt.Appendf(nil, `{"error":%s}`, value)
			name = []byte("data")
		}
		if string(name) == "data" { // else comment, event, id, retry
			if len(data)+len(value) > maxFrame {
				return nil, bufio.ErrTooLong
			}
			if have {
				data = append(data, '\n')
			}
			data, have = append(data, value...), true
		}
		switch {
		case ended && have:
			return data, nil
		case ended:
			return nil, io.EOF
		}
	}
}

// readLine returns the next line without its end, valid until the following call. At the end of the
// input it returns io.EOF together with what is left.
func (f *frames) readLine() ([]byte, error) {
	f.line = f.line[:0]
	for {
		piece, err := f.r.ReadSlice('\n')
		if err == nil && len(f.line) == 0 {
			return trimEnd(piece), nil
		}
		if len(f.line)+len(piece) > maxFrame {
			return nil, bufio.ErrTooLong
		}
		f.line = append(f.line, piece...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return trimEnd(f.line), err
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
