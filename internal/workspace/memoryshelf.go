package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	listPage = 1000 // memories without contents in one read
	textPage = 50   // and with: at most 5 MB
)

// shelf is the folder of one store in one session. Nobody else opens or settles it meanwhile, but commands in
// the sandbox may change anything in it at any time: every access goes through root, which leads nowhere else.
type shelf struct {
	memories Memories
	visits   int // files and folders that are looked at
	by       core.Principal
	of       core.Resource
	folder   string // of the host alone
	root     *os.Root
	owner    int // whom new files are given; -1: nobody
	ledger   ledger
}

// files is the folder that the sandbox sees.
func (s *shelf) files() string { return filepath.Join(s.folder, "files") }

func (s *shelf) save() error { return s.ledger.write(filepath.Join(s.folder, ledgerName)) }

// refresh brings what is in the store, if that has changed since the last time.
func (s *shelf) refresh(ctx context.Context) error {
	file := filepath.Join(s.folder, ledgerName)
	changes := int64(storeGone)
	kept, err := s.memories.Store(ctx, s.by, s.of.Store)
	switch {
	case err == nil:
		changes = kept.Changes
	case core.KindOf(err) != core.NotFound:
		return err
	}
	if head, err := readLedger(file, true); err != nil || head.Changes == changes {
		return err
	}
	if s.ledger, err = readLedger(file, false); err != nil {
		return err
	}
	var list []core.Memory
	if changes != storeGone {
		if list, err = s.list(ctx); err != nil {
			return err
		}
	}
	err = s.drop(list)
	if err == nil {
		err = s.bring(ctx, list)
	}
	if err != nil {
		s.ledger.Changes = neverLooked
	} else {
		s.ledger.Changes = changes
	}
	return errors.Join(err, s.save())
}

// list is all memories of the store, by path, without their contents.
func (s *shelf) list(ctx context.Context) ([]core.Memory, error) {
	var all []core.Memory
	page := core.MemoryPage{Limit: listPage}
	for {
		list, err := s.memories.Memories(ctx, s.by, s.of.Store, page)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if len(list) < listPage {
			return all, nil
		}
		page.From = list[len(list)-1].Path + "\x01" // no path holds control characters
	}
}

// drop takes away the files of memories that are not in the store any more, or not at their path.
func (s *shelf) drop(list []core.Memory) error {
	at := make(map[core.MemoryID]string, len(list))
	for _, m := range list {
		at[m.ID] = m.Path
	}
	for _, path := range slices.Sorted(maps.Keys(s.ledger.entries)) {
		e := s.ledger.entries[path]
		if at[e.ID] == path {
			continue
		}
		found, err := s.look(path)
		switch {
		case err != nil:
			return err
		case found.info == nil: // the agent deleted it too
		case s.of.ReadOnly || found.regular && found.sha256 == e.SHA256:
			err = s.remove(path)
		default:
			err = s.setAside(path)
		}
		if err != nil {
			return err
		}
		delete(s.ledger.entries, path)
	}
	return nil
}

// bring makes files of the memories that are not there in their newest version.
func (s *shelf) bring(ctx context.Context, list []core.Memory) error {
	s.ledger.Hidden = nil
	wanted := make([]bool, len(list))
	for i, m := range list {
		wanted[i] = s.wants(m)
	}
	for i := 0; i < len(list); {
		n := 0 // how many behind each other are wanted
		for i+n < len(list) && n < textPage && wanted[i+n] {
			n++
		}
		if n == 0 {
			i++
			continue
		}
		texts, err := s.memories.Memories(ctx, s.by, s.of.Store, core.MemoryPage{Limit: n, From: list[i].Path, Contents: true})
		if err != nil {
			return err
		}
		for _, m := range texts {
			if err := s.place(m); err != nil {
				return fmt.Errorf("place %s: %w", m.Path, err)
			}
		}
		i += n
	}
	return nil
}

// wants reports whether a memory has to be written. One that no file can stand for is noted.
func (s *shelf) wants(m core.Memory) bool {
	if slices.ContainsFunc(strings.Split(m.Path, "/"), func(name string) bool { return len(name) > maxName }) {
		s.ledger.Hidden = append(s.ledger.Hidden, m.Path+"`: in the store, but its name is too long for a file")
		return false
	}
	e, there := s.ledger.entries[m.Path]
	return !there || e.ID != m.ID || e.Number != m.Number
}

// place makes the file of a memory. What the agent has written there since is set aside.
func (s *shelf) place(m core.Memory) error {
	if err := s.makeParents(m.Path); err != nil {
		return err
	}
	found, err := s.look(m.Path)
	if err != nil {
		return err
	}
	e := entry{Path: m.Path, ID: m.ID, Number: m.Number, SHA256: m.SHA256}
	known, had := s.ledger.entries[m.Path]
	switch {
	case found.info == nil:
	case found.regular && found.sha256 == m.SHA256: // an earlier try brought it, or the agent wrote the same
		e.Stamp = found.stamp
		s.ledger.entries[m.Path] = e
		return nil
	case found.regular && (s.of.ReadOnly || had && found.sha256 == known.SHA256): // as it was brought
	default:
		if err := s.setAside(m.Path); err != nil {
			return err
		}
	}
	if err := s.write(m.Path, m.Content); err != nil {
		return err
	}
	s.ledger.entries[m.Path] = e
	return nil
}

// settle writes to the store what the agent changed. Where the store was changed too, it brings that.
func (s *shelf) settle(ctx context.Context) error {
	var err error
	if s.ledger, err = readLedger(filepath.Join(s.folder, ledgerName), false); err != nil {
		return err
	}
	if s.ledger.Changes < 0 {
		return nil // the files are not all there, or their store is not: what is missing was not deleted
	}
	s.ledger.Notes = nil
	files, complete, err := s.walk()
	if err != nil {
		return err
	}
	w := &writing{shelf: s}
	if complete {
		err = w.delete(ctx, files)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err == nil {
			err = w.put(ctx, path, files[path])
		}
	}
	if err == nil && !w.stale {
		var kept core.MemoryStore
		if kept, err = s.memories.Store(ctx, s.by, s.of.Store); err == nil && kept.Changes == s.ledger.Changes+w.count {
			s.ledger.Changes = kept.Changes // all of the changes are ours
		}
	}
	if w.stale {
		s.ledger.Changes = neverLooked
	}
	if err = errors.Join(err, s.save()); err != nil || !w.stale {
		return err
	}
	return s.refresh(ctx)
}

// writing is one pass of settle.
type writing struct {
	*shelf
	count int64 // changes made to the store
	stale bool  // the store has what the files have not
}

// delete deletes the memories whose files are gone.
func (w *writing) delete(ctx context.Context, files map[string]fs.FileInfo) error {
	for _, path := range slices.Sorted(maps.Keys(w.ledger.entries)) {
		if _, there := files[path]; there {
			continue
		}
		e := w.ledger.entries[path]
		if info, err := w.root.Lstat(rel(path)); err == nil && !info.IsDir() { // a folder in its place is meant so
			if !info.Mode().IsRegular() {
				w.note(path, "not saved: it is no file")
			}
			continue
		}
		err := w.memories.Remove(ctx, w.by, core.Memory{Store: w.of.Store, ID: e.ID, Number: e.Number})
		switch core.KindOf(err) {
		case core.Conflict:
			w.stale = true
			continue
		case core.NotFound: // of the memory, or of the store
			w.stale = true
		default:
			if err != nil {
				return fmt.Errorf("delete memory %s: %w", e.ID, err)
			}
			w.count++
		}
		delete(w.ledger.entries, path)
	}
	return nil
}

// put stores a file, if it is new or was changed.
func (w *writing) put(ctx context.Context, path string, info fs.FileInfo) error {
	e, there := w.ledger.entries[path]
	if there && e.Stamp == stampOf(info) {
		return nil
	}
	text, at, why := w.read(path, info)
	if why != "" {
		w.note(path, "not saved: "+why)
		return nil
	}
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	if there && e.SHA256 == hash {
		e.Stamp = at
		w.ledger.entries[path] = e
		return nil
	}
	m, err := w.memories.Put(ctx, w.by, core.Memory{Store: w.of.Store, ID: e.ID, Path: path, Content: text, Number: e.Number})
	switch core.KindOf(err) {
	case core.Conflict, core.NotFound:
		w.stale = true
		return nil
	case core.Invalid:
		w.note(path, "not saved: "+messageOf(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("write a memory: %w", err)
	}
	w.count++
	w.ledger.entries[path] = entry{Path: path, ID: m.ID, Number: m.Number, SHA256: m.SHA256, Stamp: at}
	return nil
}

func messageOf(err error) string {
	var e *core.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "it cannot be"
}

// note remembers something about a file for the agent.
func (s *shelf) note(file, text string) {
	s.ledger.Notes = append(s.ledger.Notes, oneLine(file)+"`: "+text)
}

// oneLine is a path for the agent's eyes, on one line.
func oneLine(file string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '`' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(file, "?"))
}

func rel(file string) string { return strings.TrimPrefix(path.Clean(file), "/") }
