package memory

import (
	"context"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// Listing is a part of a store, by path in byte order.
type Listing struct {
	Entries []Entry
	More    bool   // the list goes on in the direction in which it was read
	Next    string // where it goes on: the From of the next page; empty if it does not, or was read backwards
}

// Entry is a memory, or, where Folder is set, all memories below that.
type Entry struct {
	Memory core.Memory
	Folder string // "/notes/"
}

// List returns a page of a store's memories: those whose path has the prefix. With Folders those that lie
// deeper than the prefix itself are rolled up into one Entry for each folder, and the prefix must be
// empty or end in "/".
//
// Errors: Forbidden; NotFound; Invalid (limit outside of 1 to 1000).
func (s *Service) List(ctx context.Context, by core.Principal, store core.MemoryStoreID, page core.MemoryPage, folders bool) (Listing, error) {
	if err := s.mayRead(ctx, by, store); err != nil {
		return Listing{}, err
	}
	if err := checkLimit(page.Limit); err != nil {
		return Listing{}, err
	}
	if _, err := s.store.MemoryStore(ctx, by.Project, store); err != nil {
		return Listing{}, err
	}
	limit := page.Limit
	page.Limit++ // one more tells whether the list goes on
	var found []Entry
	for {
		list, err := s.store.Memories(ctx, by.Project, store, page)
		if err != nil {
			return Listing{}, err
		}
		for _, m := range list {
			found = add(found, m, page.Prefix, folders)
		}
		if len(found) > limit || len(list) < page.Limit {
			break
		}
		page.From = found[len(found)-1].behind() // passes over the rest of a folder
	}
	if len(found) <= limit {
		return Listing{Entries: found}, nil
	}
	if page.Before != "" { // nearest to the place are the last ones
		return Listing{Entries: found[len(found)-limit:], More: true}, nil
	}
	return Listing{Entries: found[:limit], More: true, Next: found[limit-1].behind()}, nil
}

// add appends a memory, or the folder that it is in unless that stands last already.
func add(found []Entry, m core.Memory, prefix string, folders bool) []Entry {
	if folder := folderOf(m.Path, prefix); folders && folder != "" {
		if n := len(found); n > 0 && found[n-1].Folder == folder {
			return found
		}
		return append(found, Entry{Folder: folder})
	}
	return append(found, Entry{Memory: m})
}

// folderOf is the folder right below prefix that path is in; empty: none.
func folderOf(path, prefix string) string {
	if prefix == "" {
		prefix = "/"
	}
	name, _, deeper := strings.Cut(strings.TrimPrefix(path, prefix), "/")
	if !deeper {
		return ""
	}
	return prefix + name + "/"
}

// behind is a text above the entry's path and everything in it, and not above the next.
func (e Entry) behind() string {
	if e.Folder != "" {
		return strings.TrimSuffix(e.Folder, "/") + "0" // the character that follows "/"
	}
	return Behind(e.Memory.Path)
}

// Behind is where a list goes on behind the memory at a path: a core.MemoryPage's From.
func Behind(path string) string { return path + "\x01" } // no path holds control characters, so none lies between
