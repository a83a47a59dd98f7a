package guest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
)

// reaper collects every child that ends: the shell, whose end somebody waits for, and orphans that
// came to the guest as first process of a pid namespace or as subreaper. One loop does both,
// because two waiters would take each other's children.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan<- syscall.WaitStatus
	started chan struct{} // capacity 1: there may be a child again
	forks   chan func()   // done one after the other by the one thread that starts children
}

// newReaper starts the loop, and the thread that all children come from. With scoped set, that thread
// passes on to them what scopeThread says.
func newReaper(scoped bool) (*reaper, error) {
	r := &reaper{waiting: map[int]chan<- syscall.WaitStatus{}, started: make(chan struct{}, 1), forks: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		var err error
		if scoped {
			err = scopeThread()
		}
		ready <- err
		for fork := range r.forks {
			fork()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

// start runs a program. Its status comes on the channel, once.
func (r *reaper) start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock() // until the child is known, its end must not be collected
	defer r.mu.Unlock()
	var pid int
	var err error
	done := make(chan struct{})
	r.forks <- func() {
		defer close(done)
		pid, err = syscall.ForkExec(path, argv, attr)
	}
	<-done
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", path, err)
	}
	exited := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = exited
	select {
	case r.started <- struct{}{}:
	default:
	}
	return pid, exited, nil
}

func (r *reaper) run() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.ECHILD) {
			<-r.started
			continue
		}
		if err != nil {
			continue // EINTR
		}
		r.mu.Lock()
		if exited, ok := r.waiting[pid]; ok {
			delete(r.waiting, pid)
			exited <- status
		}
		r.mu.Unlock()
	}
}
