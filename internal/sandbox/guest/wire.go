package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reeve-ai/reeve/internal/sandbox/layout"
	"github.com/reeve-ai/reeve/internal/sandbox/seccomp"
)

// A frame is two big-endian lengths of four bytes, then JSON, then raw bytes: file contents,
// commands and output travel unquoted.
const maxHeader = 4 << 20

// Op is what a Request asks for.
type Op string

const (
	OpBash   Op = "bash"  // body: the command
	OpRead   Op = "read"  // answer body: the file
	OpWrite  Op = "write" // body: the file
	OpGlob   Op = "glob"
	OpGrep   Op = "grep"
	OpCancel Op = "cancel" // ends the request with the same ID; has no answer of its own
)

// Request is one question of the host.
type Request struct {
	ID      uint64        `json:"id"`
	Op      Op            `json:"op"`
	Path    string        `json:"path,omitempty"` // file, or root of a search
	Pattern string        `json:"pattern,omitempty"`
	Limit   int64         `json:"limit,omitempty"` // read: bytes; glob: paths; grep: bytes
	Restart bool          `json:"restart,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Reply answers the Request with the same ID. ID 0 answers the Config.
type Reply struct {
	ID       uint64   `json:"id"`
	Fault    *Fault   `json:"fault,omitempty"`
	Created  bool     `json:"created,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Lines    []string `json:"lines,omitempty"`
	More     bool     `json:"more,omitempty"`
	ExitCode int      `json:"exit_code,omitempty"`
	TimedOut bool     `json:"timed_out,omitempty"`
	Dropped  int64    `json:"dropped,omitempty"`
	Notes    []string `json:"notes,omitempty"` // ID 0: what could not be enforced, one clause each
}

// Fault is an error that the model should read.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f *Fault) Error() string { return f.Message }

func faultf(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// KillMode says how the guest ends every process but itself.
type KillMode string

const (
	// KillNamespace signals all of the guest's own pid namespace.
	KillNamespace KillMode = "namespace"
	// KillUser signals all processes of the guest's user, which no other sandbox shares.
	KillUser KillMode = "user"
	// KillTree walks /proc for descendants; orphans come back to the guest as their subreaper.
	KillTree KillMode = "tree"
)

// Config is the first frame that a guest reads.
type Config struct {
	Folder  string   `json:"folder"` // what the host calls /workspace: /workspace itself where mounts were made
	Temp    string   `json:"temp"`   // likewise for /tmp
	Moved   []Moved  `json:"moved,omitempty"`
	Env     []string `json:"env"` // of the shell, KEY=value
	Kill    KillMode `json:"kill"`
	UID     int      `json:"uid"` // who the guest must be for KillUser
	Network bool     `json:"network"`
	// Gate is the descriptor of the socket through which the gateway's goes to the host; 0: no gateway.
	Gate int `json:"gate,omitempty"`

	OutputBytes int           `json:"output_bytes"`
	FileBytes   int64         `json:"file_bytes"`
	DataBytes   int64         `json:"data_bytes"` // memory of one process; 0: a control group bounds all together
	Processes   int           `json:"processes"`  // of the shell's user
	Command     time.Duration `json:"command"`

	Seccomp *seccomp.Policy `json:"seccomp,omitempty"` // nil: no filter
	Mounts  []layout.Entry  `json:"mounts,omitempty"`  // to be made by the guest, in namespaces of its own
	// Landlock: nil: none; else the paths that stay reachable.
	Landlock *LandlockRules `json:"landlock,omitempty"`
	// Scoped keeps the shell's signals and abstract sockets inside with Landlock, where the kernel can
	// (ABI 6): for sandboxes that share the host's network or process numbers.
	Scoped bool `json:"scoped,omitempty"`
}

// Moved is a folder that file operations find at another path than it has: what could not be mounted.
type Moved struct {
	Seen     string `json:"seen"`
	Real     string `json:"real"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// LandlockRules are the paths that a guest may reach. Missing ones are skipped.
type LandlockRules struct {
	ReadOnly []string `json:"read_only"`
	Writable []string `json:"writable"`
	Devices  []string `json:"devices"`  // files to be read and written
	Required bool     `json:"required"` // fail if the kernel cannot enforce them
}

var errHeaderTooLarge = errors.New("frame header is too large")

// WriteFrame writes one frame.
func WriteFrame(w io.Writer, header any, body []byte) error {
	h, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(h) > maxHeader {
		return errHeaderTooLarge
	}
	buf := make([]byte, 8, 8+len(h)+len(body))
	binary.BigEndian.PutUint32(buf, uint32(len(h)))
	binary.BigEndian.PutUint32(buf[4:], uint32(len(body)))
	buf = append(append(buf, h...), body...)
	_, err = w.Write(buf)
	return err
}

// ReadFrame reads one frame into header and returns its body. A body of more than maxBody bytes,
// asked when its length is known, is an error. io.EOF means that the other side closed between two
// frames.
func ReadFrame(r io.Reader, header any, maxBody func() int) ([]byte, error) {
	var size [8]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	h, b := binary.BigEndian.Uint32(size[:4]), binary.BigEndian.Uint32(size[4:])
	if h > maxHeader || int64(b) > int64(maxBody()) {
		return nil, fmt.Errorf("frame of %d and %d bytes is too large", h, b)
	}
	buf := make([]byte, int(h)+int(b))
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	if err := json.Unmarshal(buf[:h], header); err != nil {
		return nil, fmt.Errorf("decode frame: %w", err)
	}
	return buf[h:], nil
}
