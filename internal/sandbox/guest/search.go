package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds of one search, so that a pattern over a whole disk ends.
const (
	maxVisited   = 500_000 // entries looked at
	maxMatches   = 100_000 // files kept before the newest are chosen
	maxSearched  = 8 << 20 // bytes of a file that grep reads; larger files are skipped
	maxLine      = 1000    // bytes shown of one matching line
	binaryProbe  = 8 << 10 // a NUL byte in here makes a file binary
	maxGlobPaths = 1000
)

// errStop ends a walk early without being an error.
var errStop = errors.New("enough")

// walk calls fn for the regular files under root, in the order of their names. It does not follow
// symlinks, and skips .git, .reeve (where tools keep long output) and the
// kernel's own trees unless root is inside.
func walk(ctx context.Context, root string, fn func(p string, d fs.DirEntry) error) (complete bool, err error) {
	visited := 0
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if p == root {
				return err
			}
			return nil // a folder that may not be read is not searched
		}
		if visited++; visited > maxVisited {
			return errStop
		}
		if visited%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if d.IsDir() {
			if p != root && (d.Name() == ".git" || d.Name() == ".reeve" || p == "/proc" || p == "/sys" || p == "/dev") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return fn(p, d)
	})
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

// glob returns files under root that match, newest first.
func (f files) glob(ctx context.Context, root, pattern string, limit int) (paths []string, more bool, err error) {
	if pattern == "" || !doublestar.ValidatePattern(pattern) {
		return nil, false, faultf("invalid_pattern", "%q is not a valid glob pattern", pattern)
	}
	if slices.Contains(strings.Split(pattern, "/"), "..") {
		return nil, false, faultf("invalid_pattern", "a glob pattern must not contain \"..\"")
	}
	if path.IsAbs(pattern) {
		root, pattern = doublestar.SplitPattern(pattern)
	} else {
		// The fixed beginning of a pattern is a folder: nothing beside it needs a look.
		var base string
		base, pattern = doublestar.SplitPattern(pattern)
		root = path.Join(root, base)
	}
	real, err := f.real(root)
	if err != nil {
		return nil, false, err
	}
	if target, err := filepath.EvalSymlinks(real); err == nil {
		real = target // WalkDir does not enter a root that is a symlink
	}
	type match struct {
		path string
		at   int64
	}
	var found []match
	complete, err := walk(ctx, real, func(p string, d fs.DirEntry) error {
		rel, err := filepath.Rel(real, p)
		if err != nil || !doublestar.MatchUnvalidated(pattern, rel) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone since
		}
		found = append(found, match{p, info.ModTime().UnixNano()})
		if len(found) >= maxMatches {
			return errStop
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, false, err
		}
		return nil, false, f.fault(root, err)
	}
	slices.SortFunc(found, func(a, b match) int {
		if a.at != b.at {
			if a.at > b.at {
				return -1
			}
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	limit = min(limit, maxGlobPaths)
	for _, m := range found[:min(limit, len(found))] {
		paths = append(paths, strings.ToValidUTF8(f.seen(m.path), "\uFFFD"))
	}
	return paths, len(found) > limit || !complete, nil
}

// grep returns matching lines as "path:line:text", files in the order of their names.
func (f files) grep(ctx context.Context, root, pattern string, maxBytes int) (lines []string, more bool, err error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, false, faultf("invalid_pattern", "%q is not a valid regular expression (RE2): %s", pattern, reason(err))
	}
	real, err := f.real(root)
	if err != nil {
		return nil, false, err
	}
	if target, err := filepath.EvalSymlinks(real); err == nil {
		real = target
	}
	total := 0
	complete, err := walk(ctx, real, func(p string, _ fs.DirEntry) error {
		return grepFile(ctx, p, re, func(number int, text []byte) error {
			line := fmt.Sprintf("%s:%d:%s", f.seen(p), number, shorten(text))
			if total += len(line) + 1; total > maxBytes {
				return errStop
			}
			lines = append(lines, strings.ToValidUTF8(line, "\uFFFD"))
			return nil
		})
	})
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, false, err
		}
		return nil, false, f.fault(root, err)
	}
	return lines, !complete, nil
}

// grepFile calls fn for each matching line. Binary, large and unreadable files have none.
func grepFile(ctx context.Context, p string, re *regexp.Regexp, fn func(number int, text []byte) error) error {
	file, err := openRegular(p)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || info.Size() > maxSearched {
		return nil
	}
	r := bufio.NewReaderSize(io.LimitReader(file, maxSearched), 64<<10)
	head, _ := r.Peek(binaryProbe)
	if bytes.IndexByte(head, 0) >= 0 {
		return nil
	}
	var line []byte
	for number := 1; ; number++ {
		line = line[:0]
		var err error
		for {
			var part []byte
			part, err = r.ReadSlice('\n')
			line = append(line, part...)
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if len(line) > 0 {
			text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if re.Match(text) {
				if err := fn(number, text); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return nil // the end, or a read error: what was found stands
		}
		if number%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func shorten(text []byte) []byte {
	if len(text) <= maxLine {
		return text
	}
	cut := maxLine
	for cut > maxLine-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Appendf(nil, "%s… (%d more bytes)", text[:cut], len(text)-cut)
}

// reason is the error of package regexp without its own prefix, which repeats the pattern.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}
