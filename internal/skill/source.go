package skill

import (
	"archive/zip"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
)

// source is one file that an upload brings.
type source struct {
	name string // as the client spells it
	path string // as cleanPath returns it, and then without the folder that all share
	exec bool
	most int64 // how many bytes it may unpack to
	open func() (io.ReadCloser, error)
}

// sources lists the files of a spooled upload: those of the archive, if it is one archive, else the parts.
func (l Limits) sources(content io.ReadSeeker, parts []spooled) ([]source, bool, error) {
	switch {
	case len(parts) == 0:
		return nil, false, core.InvalidField(l.Files, "is required: upload the files of the skill, or one zip archive")
	case len(parts) > 1 || !isZip(io.NewSectionReader(at{content}, parts[0].offset, parts[0].size)):
		list, err := l.loose(content, parts)
		return list, false, err
	}
	list, err := l.unzip(io.NewSectionReader(at{content}, 0, parts[0].size), parts[0])
	return list, true, err
}

func (l Limits) loose(content io.ReadSeeker, parts []spooled) ([]source, error) {
	list := make([]source, 0, len(parts))
	for _, p := range parts {
		if junk(p.name) {
			continue
		}
		path, wrong := cleanPath(p.name)
		if wrong != "" {
			return nil, l.fault(p.name, "%s", wrong)
		}
		list = append(list, source{name: p.name, path: path, most: p.size, open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(at{content}, p.offset, p.size)), nil
		}})
	}
	return list, nil
}

func (l Limits) unzip(content *io.SectionReader, part spooled) ([]source, error) {
	archive, err := zip.NewReader(content, part.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // which cleanPath judges, by name
		return nil, l.fault(part.name, "is not a zip archive that can be read")
	}
	if len(archive.File) > maxFiles {
		return nil, l.fault(part.name, "the archive has %d entries; at most %d are allowed", len(archive.File), maxFiles)
	}
	var list []source
	for _, f := range archive.File {
		if junk(f.Name) {
			continue
		}
		folder := f.Mode().IsDir() || strings.HasSuffix(f.Name, "/")
		path, wrong := cleanPath(strings.TrimSuffix(f.Name, "/"))
		switch {
		case folder && strings.Trim(f.Name, "./") == "": // the archive's own folder
			continue
		case wrong != "":
		case f.Flags&1 != 0: // APPNOTE.TXT section 4.4.4
			wrong = "is encrypted"
		case !folder && !f.Mode().IsRegular():
			wrong = "is a link or a device; only files and folders are allowed"
		}
		if wrong != "" {
			return nil, l.fault(f.Name, "%s", wrong)
		}
		if folder {
			continue
		}
		list = append(list, source{
			name: f.Name, path: path, exec: f.Mode()&0o111 != 0, most: max(freeBytes, clampedProduct(f.CompressedSize64)), open: f.Open,
		})
	}
	return list, nil
}

// clampedProduct is what a packed file may unpack to by its ratio: at most what a skill may have.
func clampedProduct(packed uint64) int64 {
	if packed > MaxBytes/maxRatio {
		return MaxBytes
	}
	return int64(packed) * maxRatio
}

// folderOf finds the one folder that all files lie in and takes it off their paths; "": SKILL.md lies
// beside no folder. The sources come back by path.
func (l Limits) folderOf(list []source, zipped bool) (string, []source, error) {
	seen := newTaken()
	for _, s := range list {
		if wrong := seen.add(s.path); wrong != "" {
			return "", nil, l.fault(s.path, "%s", wrong)
		}
	}
	slices.SortFunc(list, func(a, b source) int { return strings.Compare(a.path, b.path) })
	flat := slices.ContainsFunc(list, func(s source) bool { return s.path == skillMD })
	if flat && (zipped || l.FlatFiles) {
		return "", list, nil
	}
	folder := ""
	for _, s := range list {
		top, rest, below := strings.Cut(s.path, "/")
		switch {
		case !below:
			return "", nil, l.fault(s.path, "must lie in a folder: all files of a skill share one, with %s at its top", skillMD)
		case folder != "" && top != folder:
			return "", nil, l.fault(s.path, "does not lie in the folder %s: all files of a skill share one", folder)
		case rest == skillMD:
			flat = true // found
		}
		folder = top
	}
	if !flat {
		return "", nil, core.InvalidField(l.Files, "there is no %s at the top of the skill's folder", skillMD)
	}
	for i := range list {
		list[i].path = strings.TrimPrefix(list[i].path, folder+"/")
	}
	return folder, list, nil
}
