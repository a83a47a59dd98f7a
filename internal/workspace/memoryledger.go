package workspace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// ledgerName is the file beside a store's folder, where no sandbox sees it.
const ledgerName = "ledger"

// Values of ledger.Changes that no store has.
const (
	neverLooked = -1 // the store has to be read
	storeGone   = -2 // it was deleted
)

// ledger is what a shelf holds of its store. It is a file of JSON lines: the first is the ledger itself,
// so that it can be read alone, each of the others an entry.
type ledger struct {
	Boot    string   `json:"boot"`             // of the machine, when this was written
	Changes int64    `json:"changes"`          // of the store, when it was read last
	Hidden  []string `json:"hidden,omitempty"` // about memories that no file can stand for; "PATH`: why"
	Notes   []string `json:"notes,omitempty"`  // about files that are not in the store, likewise
	entries map[string]entry
}

// entry is a memory that is a file, by its path: "/notes/todo.md".
type entry struct {
	Path   string        `json:"path"`
	ID     core.MemoryID `json:"id"`
	Number int           `json:"number"` // of the version that is in the file, unless the agent changed it
	SHA256 string        `json:"sha256"` // of that version
	Stamp  stamp         `json:"stamp"`  // of the file that holds just that version; zero: look into it
}

// stamp is equal only for a file that was not touched in between. The kernel alone sets the time in it. The zero
// stamp is that of no file.
type stamp struct {
	Inode   uint64 `json:"inode"`
	Bytes   int64  `json:"bytes"`
	Changed int64  `json:"changed"` // nanoseconds since 1970
}

func stampOf(info fs.FileInfo) stamp {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}
	}
	return stamp{Inode: s.Ino, Bytes: info.Size(), Changed: s.Ctim.Nano()}
}

// tick is more than the kernel's clock for files takes from one time to the next.
const tick = 100 * time.Millisecond

// ripe is the stamp if it can be kept: a file that was touched just now may be touched again at the same time.
func (s stamp) ripe() stamp {
	if time.Since(time.Unix(0, s.Changed)) < tick {
		return stamp{}
	}
	return s
}

// readLedger reads a ledger, or its first line alone. One that is missing or damaged, or of an earlier
// life of the machine, is as one of a store that was never read: nothing flushes it and the files to the disk, and
// what a power cut did to them must not look like what the agent did.
func readLedger(file string, head bool) (ledger, error) {
	none := ledger{Changes: neverLooked, entries: map[string]entry{}}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read what a memory store's folder holds: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	in := json.NewDecoder(bufio.NewReader(f))
	m := ledger{entries: map[string]entry{}}
	if err := in.Decode(&m); err != nil || m.Boot != boot() {
		return none, nil
	}
	for !head {
		var e entry
		err := in.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return none, os.Remove(file) // or the first line alone would count
		}
		m.entries[e.Path] = e
	}
	return m, nil
}

// boot tells the machine's lives apart.
var boot = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it they are all one
	return strings.TrimSpace(string(id))
})

func (m ledger) write(file string) error {
	m.Boot = boot()
	f, err := os.CreateTemp(filepath.Dir(file), ledgerName+"-*")
	if err != nil {
		return fmt.Errorf("keep what a memory store's folder holds: %w", err)
	}
	w := bufio.NewWriter(f)
	out := json.NewEncoder(w)
	err = out.Encode(m)
	for _, path := range slices.Sorted(maps.Keys(m.entries)) {
		if err == nil {
			err = out.Encode(m.entries[path])
		}
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep what a memory store's folder holds: %w", err)
	}
	return nil
}
