package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Arg is the first argument that makes the binary a guest.
const Arg = "__sandbox-guest"

// maxBody bounds what the host may send in one frame: a file to be written.
func maxBody() int { return 1 << 30 }

// RunIfAsked becomes the guest, and does not return, if the binary was started as one. It is the
// first thing in main, and in TestMain of packages whose tests open sandboxes.
func RunIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != Arg {
		return
	}
	if err := runGuest(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox guest:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runGuest() error {
	frugal()
	// As the first process of its namespace the guest cannot be killed or stopped from inside. This
	// takes care of all other signals; caught ones, unlike ignored ones, are as usual for the shell.
	signal.Notify(make(chan os.Signal, 1))
	unix.Umask(0o022)
	if err := hideDescriptors(); err != nil {
		return err
	}
	// The protocol moves away from descriptors 0 and 1, so that nothing prints into it.
	in, err := moveAway(0, "requests")
	if err != nil {
		return err
	}
	out, err := moveAway(1, "replies")
	if err != nil {
		return err
	}
	return Serve(in, out)
}

func moveAway(fd int, name string) (*os.File, error) {
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("move %s: %w", name, err)
	}
	if err := unix.SetNonblock(moved, true); err != nil {
		return nil, fmt.Errorf("move %s: %w", name, err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	if err := unix.Dup3(null, fd, 0); err != nil {
		return nil, fmt.Errorf("move %s: %w", name, err)
	}
	return os.NewFile(uintptr(moved), name), unix.Close(null)
}

// Serve reads a Config from in, confines this process for good, and then answers requests until in
// ends. Requests run side by side; commands of the one shell wait for each other. At the end every
// process of the sandbox is killed.
func Serve(in io.Reader, out io.Writer) error {
	s := &server{out: out, running: map[uint64]context.CancelFunc{}}
	r := bufio.NewReaderSize(in, 64<<10)
	var c Config
	if _, err := ReadFrame(r, &c, maxBody); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	notes, err := s.prepare(c)
	if err != nil {
		s.reply(Reply{Fault: faultf("sandbox_unavailable", "%s", err)}, nil)
		return err
	}
	defer func() {
		// Commands that this kills have not ended by themselves: nobody hears of them any more.
		s.writing.Lock()
		s.terminal.killer.killAll()
	}()
	s.reply(Reply{Notes: notes}, nil)
	for {
		var req Request
		body, err := ReadFrame(r, &req, maxBody)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if req.Op == OpCancel {
			s.cancel(req.ID)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.mu.Lock()
		s.running[req.ID] = cancel
		s.mu.Unlock()
		go s.answer(ctx, req, body)
	}
}

type server struct {
	files    files
	terminal terminal

	writing sync.Mutex
	out     io.Writer

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
}

func (s *server) prepare(c Config) (notes []string, err error) {
	if notes, err = confine(c); err != nil {
		return nil, err
	}
	if c.Gate != 0 {
		if err := openGate(c.Gate); err != nil {
			return nil, err
		}
	}
	k, err := newKiller(c)
	if err != nil {
		return nil, err
	}
	if err := unix.Chdir(c.Folder); err != nil {
		return nil, fmt.Errorf("enter the working folder: %w", err)
	}
	out, err := newOutput(c.OutputBytes)
	if err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		reserveThreads()
	}
	r, err := newReaper(c.Scoped)
	if err != nil {
		return nil, err
	}
	s.files = files{folder: c.Folder, temp: c.Temp, others: c.Moved, maxFile: c.FileBytes}
	s.terminal = terminal{config: c, reaper: r, killer: k, out: out}
	return notes, nil
}

func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, ok := s.running[id]; ok {
		cancel()
	}
}

func (s *server) answer(ctx context.Context, req Request, body []byte) {
	reply, data, err := s.do(ctx, req, body)
	s.mu.Lock()
	s.running[req.ID]() // releases the context
	delete(s.running, req.ID)
	s.mu.Unlock()
	reply.ID = req.ID
	if err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			f = faultf("sandbox_failed", "%s", err)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			f = faultf("cancelled", "cancelled")
		}
		reply, data = Reply{ID: req.ID, Fault: f}, nil
	}
	s.reply(reply, data)
}

func (s *server) do(ctx context.Context, req Request, body []byte) (reply Reply, data []byte, err error) {
	switch req.Op {
	case OpBash:
		var res outcome
		res, err = s.terminal.run(ctx, body, req.Restart, req.Timeout)
		return Reply{ExitCode: res.exitCode, TimedOut: res.timedOut, Dropped: res.dropped}, res.output, err
	case OpRead:
		data, err = s.files.read(req.Path, req.Limit)
	case OpWrite:
		reply.Created, err = s.files.write(req.Path, body)
	case OpGlob:
		reply.Paths, reply.More, err = s.files.glob(ctx, req.Path, req.Pattern, int(req.Limit))
	case OpGrep:
		reply.Lines, reply.More, err = s.files.grep(ctx, req.Path, req.Pattern, int(req.Limit))
	default:
		err = faultf("invalid_request", "unknown operation %q", req.Op)
	}
	return reply, data, err
}

func (s *server) reply(r Reply, body []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := WriteFrame(s.out, r, body)
	if errors.Is(err, errHeaderTooLarge) {
		// Nothing was written yet, and the host waits for an answer.
		_ = WriteFrame(s.out, Reply{ID: r.ID, Fault: faultf("answer_too_large", "the answer is too large")}, nil)
	}
	// Any other error means that the host is gone; then the requests end too, and Serve with them.
}
