package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/sandbox/guest"
)

// Times that a guest has before it counts as broken. They are far beyond what an honest one needs,
// and keep a dishonest one from holding a caller.
const (
	openTime     = 20 * time.Second
	fileTime     = 90 * time.Second
	commandGrace = 20 * time.Second // beyond the command's own timeout
)

// maxFileCalls bounds the file operations of one sandbox at one time; more wait.
const maxFileCalls = 16

// Sandbox is a living guest. It implements core.Sandbox.
type Sandbox struct {
	limits  core.SandboxLimits
	process *process
	log     *slog.Logger
	cleanup func() error
	notes   []string

	writing chan struct{} // capacity 1: held while a frame is written
	shell   chan struct{} // capacity 1: held while a command runs; others wait for it or their ctx
	slots   chan struct{} // capacity maxFileCalls: one for each file operation that runs

	mu     sync.Mutex
	lastID uint64
	calls  map[uint64]*call
	gone   chan struct{} // closed when the guest's answers end

	closing  sync.Once
	ending   atomic.Bool
	closed   chan struct{} // closed when everything is cleaned up
	closeErr error
}

type call struct {
	maxBody int
	answer  chan answer // capacity 1
}

type answer struct {
	reply guest.Reply
	body  []byte
}

// Open starts a guest and waits until its walls stand. Cleanup runs once, when the guest is gone or
// could not be started. Errors: Unavailable ("sandbox_unavailable"); ctx's own.
func Open(ctx context.Context, l Launch, c guest.Config, limits core.SandboxLimits, log *slog.Logger, cleanup func() error) (*Sandbox, error) {
	p, err := start(l)
	if err != nil {
		_ = cleanup()
		return nil, unavailable("sandbox_unavailable", err, "a sandbox could not be started")
	}
	s := &Sandbox{
		limits: limits, process: p, log: log, cleanup: cleanup,
		writing: make(chan struct{}, 1), shell: make(chan struct{}, 1), slots: make(chan struct{}, maxFileCalls),
		calls: map[uint64]*call{}, gone: make(chan struct{}), closed: make(chan struct{}),
	}
	ready := s.expect(0, 0)
	go s.listen()
	go func() {
		<-s.gone // however it came to that
		_ = s.Close()
	}()
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	c.Gate = l.gateFD()
	if err = s.write(c, nil); err == nil {
		err = s.await(ctx, ready)
	}
	if err == nil && p.gate != nil {
		err = p.gate.open(l.Gateway)
	}
	if err != nil {
		_ = s.Close()
		if said := p.stderr.String(); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, unavailable("sandbox_unavailable", err, "a sandbox could not be started")
	}
	return s, nil
}

// greeted takes the guest's answer to its configuration.
func (s *Sandbox) greeted(a answer) error {
	if a.reply.Fault != nil {
		return errors.New(printable(a.reply.Fault.Message))
	}
	for _, n := range a.reply.Notes {
		s.notes = append(s.notes, printable(n))
	}
	return nil
}

// await takes the guest's answer to its configuration.
func (s *Sandbox) await(ctx context.Context, ready *call) error {
	select {
	case a := <-ready.answer:
		return s.greeted(a)
	case <-s.gone:
		select {
		case a := <-ready.answer: // it ended behind its answer: whoever calls it next learns that
			return s.greeted(a)
		default:
		}
		<-s.process.done // so that all it said is there
		return errors.New("it ended at once")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Notes are the clauses about what this sandbox could not enforce; none if all stands.
func (s *Sandbox) Notes() []string { return s.notes }

// Done is closed when the sandbox has died or was closed.
func (s *Sandbox) Done() <-chan struct{} { return s.gone }

// listen passes answers on until the guest closes its side or breaks the protocol.
func (s *Sandbox) listen() {
	defer close(s.gone)
	r := bufio.NewReaderSize(s.process.stdout, 64<<10)
	for {
		var a answer
		var err error
		a.body, err = guest.ReadFrame(r, &a.reply, s.largest)
		if err != nil {
			if !errors.Is(err, io.EOF) && !s.ending.Load() {
				s.log.Warn("sandbox guest broke the protocol", "error", err)
			}
			return
		}
		s.mu.Lock()
		c, ok := s.calls[a.reply.ID]
		delete(s.calls, a.reply.ID)
		s.mu.Unlock()
		if !ok {
			s.log.Warn("sandbox guest answered what nobody asked", "id", a.reply.ID)
			return
		}
		if len(a.body) > c.maxBody {
			s.log.Warn("sandbox guest sent more than it was asked for", "bytes", len(a.body), "limit", c.maxBody)
			return
		}
		c.answer <- a
	}
}

// largest is the size of the largest body that anybody waits for. Calls stay registered until they
// are answered, so an honest guest never exceeds it.
func (s *Sandbox) largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		n = max(n, c.maxBody)
	}
	return n
}

// expect registers a call. With id 0 it is the answer to the configuration.
func (s *Sandbox) expect(id uint64, maxBody int) *call {
	c := &call{maxBody: maxBody, answer: make(chan answer, 1)}
	s.mu.Lock()
	s.calls[id] = c
	s.mu.Unlock()
	return c
}

// write sends one frame. A guest that does not read is broken.
func (s *Sandbox) write(header any, body []byte) error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.process.stdin.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	return guest.WriteFrame(s.process.stdin, header, body)
}

// ask sends a request and waits for its answer, at most for patience. When ctx ends, the guest is
// told to stop; with settle set, ask then still waits until it has.
func (s *Sandbox) ask(ctx context.Context, req guest.Request, body []byte, maxBody int, patience time.Duration, settle bool) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	s.lastID++
	req.ID = s.lastID
	s.mu.Unlock()
	c := s.expect(req.ID, maxBody)
	if err := s.write(req, body); err != nil {
		return answer{}, s.broken(err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-c.answer:
		return a, fault(a.reply.Fault)
	case <-s.gone:
		return answer{}, s.died()
	case <-timer.C:
		return answer{}, s.broken(errors.New("no answer in time"))
	case <-ctx.Done():
	}
	if err := s.write(guest.Request{ID: req.ID, Op: guest.OpCancel}, nil); err != nil {
		return answer{}, errors.Join(ctx.Err(), s.broken(err))
	}
	if settle {
		timer.Reset(commandGrace)
		select {
		case <-c.answer:
		case <-s.gone:
		case <-timer.C:
			return answer{}, errors.Join(ctx.Err(), s.broken(errors.New("a command could not be stopped")))
		}
	}
	return answer{}, ctx.Err()
}

// broken ends a guest that does not keep to the protocol.
func (s *Sandbox) broken(cause error) error {
	go func() { _ = s.Close() }()
	return unavailable("sandbox_died", cause, "the sandbox does not answer and was closed")
}

func (s *Sandbox) died() error {
	return unavailable("sandbox_died", nil, "the sandbox has ended; its files are kept, what ran in it is lost")
}

// fault turns the guest's error into ours: what it says is shown to the model and to nobody else.
func fault(f *guest.Fault) error {
	if f == nil {
		return nil
	}
	code := "sandbox_failed"
	if len(f.Code) <= 40 && strings.Trim(f.Code, "abcdefghijklmnopqrstuvwxyz_") == "" && f.Code != "" {
		code = f.Code
	}
	return core.Errorf(core.Invalid, code, "%s", printable(f.Message))
}

// printable bounds a guest's sentence.
func printable(s string) string {
	const limit = 1000
	return clip(strings.ToValidUTF8(s, "\uFFFD"), limit)
}

// clip cuts a valid string to at most limit bytes, at the beginning of a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Bash implements core.Sandbox. When ctx ends, it returns only after the process tree is dead.
func (s *Sandbox) Bash(ctx context.Context, cmd core.BashCommand) (core.BashResult, error) {
	if cmd.Command == "" && !cmd.Restart {
		return core.BashResult{}, core.Errorf(core.Invalid, "invalid_command", "the command is empty")
	}
	timeout := cmd.Timeout
	if timeout <= 0 || timeout > s.limits.Command {
		timeout = s.limits.Command
	}
	select {
	case s.shell <- struct{}{}:
		defer func() { <-s.shell }()
	case <-s.gone:
		return core.BashResult{}, s.died()
	case <-ctx.Done():
		return core.BashResult{}, ctx.Err()
	}
	req := guest.Request{Op: guest.OpBash, Restart: cmd.Restart, Timeout: timeout}
	a, err := s.ask(ctx, req, []byte(cmd.Command), s.limits.OutputBytes, timeout+commandGrace, true)
	if err != nil {
		return core.BashResult{}, err
	}
	text := strings.ToValidUTF8(string(a.body), "\uFFFD")
	if cut := clip(text, s.limits.OutputBytes); len(cut) < len(text) {
		a.reply.Dropped += int64(len(text) - len(cut)) // the replacement characters are longer
		text = cut
	}
	return core.BashResult{Output: text, Dropped: max(0, a.reply.Dropped), ExitCode: a.reply.ExitCode, TimedOut: a.reply.TimedOut}, nil
}

// file runs a file operation, a bounded number at one time.
func (s *Sandbox) file(ctx context.Context, req guest.Request, body []byte, maxBody int) (answer, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.gone:
		return answer{}, s.died()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	return s.ask(ctx, req, body, maxBody, fileTime, false)
}

// maxAnswer bounds what a caller may ask for in one answer.
const maxAnswer = 64 << 20

// ReadFile implements core.Sandbox. More than 64 MiB cannot be asked for.
func (s *Sandbox) ReadFile(ctx context.Context, path string, maxBytes int64) ([]byte, error) {
	maxBytes = min(max(maxBytes, 0), maxAnswer)
	a, err := s.file(ctx, guest.Request{Op: guest.OpRead, Path: path, Limit: maxBytes}, nil, int(maxBytes))
	return a.body, err
}

// WriteFile implements core.Sandbox.
func (s *Sandbox) WriteFile(ctx context.Context, path string, data []byte) (bool, error) {
	if int64(len(data)) > s.limits.FileBytes {
		return false, core.Errorf(core.Invalid, "file_too_large", "%d bytes are more than the limit of %d for one file", len(data), s.limits.FileBytes)
	}
	a, err := s.file(ctx, guest.Request{Op: guest.OpWrite, Path: path}, data, 0)
	return a.reply.Created, err
}

// Glob implements core.Sandbox. At most 1000 paths come back.
func (s *Sandbox) Glob(ctx context.Context, root, pattern string, limit int) ([]string, bool, error) {
	a, err := s.file(ctx, guest.Request{Op: guest.OpGlob, Path: root, Pattern: pattern, Limit: int64(max(limit, 0))}, nil, 0)
	if err != nil {
		return nil, false, err
	}
	paths, cut := bounded(a.reply.Paths, limit, maxHeaderText)
	return paths, a.reply.More || cut, nil
}

// Grep implements core.Sandbox. At most 512 KiB come back.
func (s *Sandbox) Grep(ctx context.Context, root, pattern string, maxBytes int) ([]string, bool, error) {
	maxBytes = min(max(maxBytes, 0), maxHeaderText)
	a, err := s.file(ctx, guest.Request{Op: guest.OpGrep, Path: root, Pattern: pattern, Limit: int64(maxBytes)}, nil, 0)
	if err != nil {
		return nil, false, err
	}
	lines, cut := bounded(a.reply.Lines, len(a.reply.Lines), maxBytes)
	return lines, a.reply.More || cut, nil
}

// maxHeaderText is how much text of a list fits a frame's header with room for its quoting.
const maxHeaderText = 512 << 10

// bounded keeps the beginning of a list: at most n strings of at most size bytes together.
func bounded(list []string, n, size int) (kept []string, cut bool) {
	for i, s := range list {
		if size -= len(s) + 1; i >= n || size < 0 {
			return list[:i], true
		}
	}
	return list, false
}

// Close implements core.Sandbox. Calls that wait get Unavailable. It may be called often.
func (s *Sandbox) Close() error {
	s.closing.Do(func() {
		s.ending.Store(true)
		err := s.process.stop()
		s.process.gate.close()
		<-s.gone
		s.closeErr = errors.Join(err, s.cleanup())
		if said := s.process.stderr.String(); said != "" {
			s.log.Warn("sandbox said on its way out", "stderr", said)
		}
		close(s.closed)
	})
	<-s.closed
	return s.closeErr
}
