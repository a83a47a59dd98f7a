package store

import (
	"context"
	"crypto/sha256"

	"github.com/reeve-ai/reeve/internal/core"
)

var addPaths = rowsInsert{into: "INSERT INTO paths (source, hash, path)", columns: 3, end: "RETURNING no, hash"}

// callsOfPath finds out whether the calls of an agent's day have a path.
const callsOfPath = "SELECT 1 FROM calls WHERE source = $1 AND day = $2 AND path = $3 LIMIT 1"

// hashOf is the hash by which a path is found.
func hashOf(path string) (hash rawID) {
	sum := sha256.Sum256([]byte(path))
	copy(hash[:], sum[:])
	return hash
}

// otherHash is that of the path under which the calls of too many paths are counted. It is in paths like
// any other.
var otherHash = hashOf(core.OtherPaths)

// numbering gives the new captures of one agent the numbers of the paths under which they are counted.
type numbering struct {
	*appending
	source  int64
	fresh   []*reported
	numbers map[rawID]int64 // those that are in the table
	days    map[core.Day]*numberingDay
}

// numberingDay are the paths of one day.
type numberingDay struct {
	key     dayKey
	before  int64          // how many paths it had
	counted map[rawID]bool // those of the captures that the day has; with the new ones, once they are chosen
	others  bool           // the day counts further ones
}

// paths gives the new captures of one agent the numbers of the paths under which they are counted: their
// own as long as their day has fewer than core.MaxDayPaths, else that of core.OtherPaths. A path that is
// only counted there has no number, so that the table of paths does not grow with them either.
func (a *appending) paths(ctx context.Context, source int64, list []*reported) error {
	n := numbering{appending: a, source: source, numbers: make(map[rawID]int64), days: make(map[core.Day]*numberingDay)}
	for _, r := range list {
		if r.fresh {
			n.fresh = append(n.fresh, r)
		}
	}
	if len(n.fresh) == 0 {
		return nil
	}
	if err := n.known(ctx); err != nil {
		return err
	}
	for _, r := range n.fresh {
		if n.days[r.day] == nil {
			d, err := n.day(ctx, r.day)
			if err != nil {
				return err
			}
			n.days[r.day] = d
		}
	}
	n.choose()
	return n.give(ctx)
}

// scan reads a number and a hash.
func (n *numbering) scan(r row) error {
	var no int64
	var hash rawID
	err := r.Scan(&no, rawIDColumn{&hash})
	n.numbers[hash] = no
	return err
}

// known reads the numbers that the paths have already.
func (n *numbering) known(ctx context.Context) error {
	seen := make(map[rawID]bool)
	var hashes []rawID
	for _, r := range n.fresh {
		if !seen[r.pathHash] {
			seen[r.pathHash] = true
			hashes = append(hashes, r.pathHash)
		}
	}
	condition, arg := n.among("hash", hashes)
	return n.h.rows(ctx, "SELECT no, hash FROM paths WHERE source = $1 AND "+condition, []any{n.source, arg}, n.scan)
}

// day reads which of the paths are counted on a day, and how many all are.
func (n *numbering) day(ctx context.Context, day core.Day) (*numberingDay, error) {
	d := &numberingDay{key: dayKey{n.source, day}, counted: make(map[rawID]bool)}
	err := n.h.rows(ctx, "SELECT paths FROM days WHERE source = $1 AND day = $2", []any{n.source, int64(day)},
		func(r row) error { return r.Scan(&d.before) })
	if err != nil || d.before == 0 || len(n.numbers) == 0 {
		return d, err
	}
	condition, arg := "no = $3", any(nil)
	numbers := make([]int64, 0, len(n.numbers))
	for _, no := range n.numbers {
		numbers = append(numbers, no)
		arg = no
	}
	if len(numbers) > 1 {
		condition, arg = n.engine.inNumbers("no", "$3"), n.engine.numbers(numbers)
	}
	err = n.h.rows(ctx, "SELECT hash FROM paths WHERE "+condition+
		" AND EXISTS (SELECT 1 FROM calls WHERE calls.source = $1 AND calls.day = $2 AND calls.path = paths.no)",
		[]any{n.source, int64(day), arg}, func(r row) error {
			var hash rawID
			err := r.Scan(rawIDColumn{&hash})
			d.counted[hash] = true
			return err
		})
	return d, err
}

// choose decides which captures are counted under their own path: first come, first served.
func (n *numbering) choose() {
	for _, r := range n.fresh {
		d := n.days[r.day]
		t := n.tally.day(d.key)
		r.other = false
		switch {
		case d.counted[r.pathHash]:
		case d.before+t.paths < core.MaxDayPaths:
			t.paths++
			d.counted[r.pathHash] = true
		default:
			r.other = true
			d.others = true
		}
	}
}

// give gives the captures their numbers, and paths that have none a new one.
func (n *numbering) give(ctx context.Context) error {
	var args []any
	waiting := make(map[rawID]bool)
	for _, r := range n.fresh {
		if !r.other && n.numbers[r.pathHash] == 0 && !waiting[r.pathHash] {
			waiting[r.pathHash] = true
			args = append(args, n.source, r.pathHash[:], []byte(r.capture.Path))
		}
	}
	if err := addPaths.run(ctx, n.h, args, n.scan); err != nil {
		return err
	}
	other, err := n.other(ctx)
	if err != nil {
		return err
	}
	for _, r := range n.fresh {
		r.path = n.numbers[r.pathHash]
		if r.other {
			r.path = other
		}
	}
	return nil
}

// other is the number of core.OtherPaths, 0 if none is needed. It makes it one of the paths of the days
// that need it.
func (n *numbering) other(ctx context.Context) (int64, error) {
	for _, d := range n.days {
		if !d.others {
			continue
		}
		if err := n.needOther(ctx); err != nil {
			return 0, err
		}
		there, err := found(ctx, n.h, callsOfPath, d.key.source, int64(d.key.day), n.numbers[otherHash])
		if err != nil {
			return 0, err
		}
		if !there && !d.counted[otherHash] {
			n.tally.day(d.key).paths++
		}
	}
	return n.numbers[otherHash], nil
}

// needOther reads the number of core.OtherPaths or makes it.
func (n *numbering) needOther(ctx context.Context) error {
	if n.numbers[otherHash] != 0 {
		return nil
	}
	if err := n.h.rows(ctx, "SELECT no, hash FROM paths WHERE source = $1 AND hash = $2", []any{n.source, otherHash[:]}, n.scan); err != nil {
		return err
	}
	if n.numbers[otherHash] != 0 {
		return nil
	}
	return addPaths.run(ctx, n.h, []any{n.source, otherHash[:], []byte(core.OtherPaths)}, n.scan)
}
