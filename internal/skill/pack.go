package skill

import (
	"archive/zip"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// Bundle is an upload that was judged and packed. Its blob is staged: a version must be made of it, or it
// must be discarded.
type Bundle struct {
	core.Blob
	Name, Description string
	Directory         string
	Files             []core.SkillFile // by path
}

// Fingerprint is the same for the same files in the same folder, in whatever order and packing they came
// (qoder.md section 2.4).
func (b *Bundle) Fingerprint() [32]byte {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%q", b.Directory) // a hash takes everything
	for _, f := range b.Files {
		_, _ = fmt.Fprintf(sum, "%q %s %t\n", f.Path, f.SHA256, f.Exec)
	}
	return [32]byte(sum.Sum(nil))
}

// Pack reads an upload, files one by one or one zip archive, and packs what is in it anew. The caller must
// Discard the bundle in any case.
//
// Errors: Forbidden (below admin); Invalid, naming the file; TooLarge (MaxBytes, packed or unpacked);
// Unavailable ("storage_full"); what parts yields.
func (s *Service) Pack(ctx context.Context, by core.Principal, parts iter.Seq2[Part, error], l Limits) (*Bundle, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return nil, err
	}
	in, stop := newSpool(parts, l)
	defer stop()
	raw, err := s.depot.Stage(ctx, by.Project, in, MaxBytes)
	if core.CodeOf(err) == "blob_too_large" {
		return nil, tooLarge(l, err)
	}
	if err != nil {
		return nil, err
	}
	defer s.depot.Discard(ctx, by.Project, raw)
	content, err := s.depot.Open(ctx, raw)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }() // it was only read
	list, zipped, err := l.sources(content, in.parts)
	if err != nil {
		return nil, err
	}
	folder, list, err := l.folderOf(list, zipped)
	if err != nil {
		return nil, err
	}
	about, err := l.about(list, folder)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Name: about.Name, Description: about.Description, Directory: folder}
	if folder == "" {
		b.Directory = about.Name
	}
	b.Blob, b.Files, err = s.archive(ctx, by.Project, b.Directory, list, l)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// about reads SKILL.md.
func (l Limits) about(list []source, folder string) (front, error) {
	for _, src := range list {
		if src.path != skillMD {
			continue
		}
		src.most = min(src.most, maxSkillMD)
		var text limited
		if err := l.copy(&text, src, MaxBytes); err != nil {
			return front{}, err
		}
		return l.readFront(text.b, folder)
	}
	return front{}, core.InvalidField(l.Files, "there is no %s at the top of the skill's folder", skillMD)
}

// limited collects what copy has bounded.
type limited struct{ b []byte }

func (w *limited) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// copy unpacks one file, of which left bytes may come.
func (l Limits) copy(w io.Writer, src source, left int64) error {
	r, err := src.open()
	if err != nil {
		return l.fault(src.name, "cannot be unpacked")
	}
	defer func() { _ = r.Close() }() // it was only read
	n, err := io.Copy(w, io.LimitReader(r, min(src.most, left)+1))
	switch {
	case err != nil && unpacking(err):
		return l.fault(src.name, "cannot be unpacked: the archive is damaged")
	case err != nil:
		return err
	case n > left:
		return tooLarge(l, fmt.Errorf("%s unpacks to too much", src.name))
	case n > src.most && src.path == skillMD && src.most == maxSkillMD:
		return l.fault(src.name, "is larger than %d bytes", maxSkillMD)
	case n > src.most:
		return l.fault(src.name, "unpacks to more than %d times its size", maxRatio)
	}
	return nil
}

// unpacking tells a damaged archive from a disk that fails.
func unpacking(err error) bool {
	return errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(flate.CorruptInputError))
}

// packedAt is the time of every file in an archive, the first that the format has: the same files make the
// same archive.
var packedAt = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// archive stages a zip archive of the files, all in one folder.
func (s *Service) archive(ctx context.Context, project core.ProjectID, folder string, list []source, l Limits) (core.Blob, []core.SkillFile, error) {
	r, w := io.Pipe()
	var files []core.SkillFile
	packed := make(chan error, 1) // holds the one result
	go func() {
		var err error
		files, err = l.zip(w, folder, list)
		_ = w.CloseWithError(err) // never fails; nil is io.EOF
		packed <- err
	}()
	b, err := s.depot.Stage(ctx, project, r, 2*MaxBytes) // what does not shrink grows a little
	_ = r.CloseWithError(err)                            // or the packer would wait for ever
	if broken := <-packed; err == nil {
		err = broken
	}
	if err != nil {
		return core.Blob{}, nil, err
	}
	return b, files, nil
}

func (l Limits) zip(w io.Writer, folder string, list []source) ([]core.SkillFile, error) {
	out := zip.NewWriter(w)
	files := make([]core.SkillFile, 0, len(list))
	left := int64(MaxBytes)
	for _, src := range list {
		header := &zip.FileHeader{Name: folder + "/" + src.path, Method: zip.Deflate, Modified: packedAt}
		header.SetMode(0o644)
		if src.exec {
			header.SetMode(0o755)
		}
		entry, err := out.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		count := &counter{w: io.MultiWriter(entry, sum)}
		if err := l.copy(count, src, left); err != nil {
			return nil, err
		}
		left -= count.n
		files = append(files, core.SkillFile{Path: src.path, Bytes: count.n, SHA256: hex.EncodeToString(sum.Sum(nil)), Exec: src.exec})
	}
	return files, out.Close()
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
