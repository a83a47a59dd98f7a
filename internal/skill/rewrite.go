package skill

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/reeve-ai/reeve/internal/core"
)

// Rewrite packs the latest version of a skill anew, with another SKILL.md; without a version that is all there
// is. The caller must Discard the bundle.
//
// Errors: as Pack; NotFound.
func (s *Service) Rewrite(ctx context.Context, by core.Principal, skill core.SkillID, text []byte, l Limits) (*Bundle, error) {
	if err := by.Require(core.RoleAdmin); err != nil {
		return nil, err
	}
	of, err := s.store.Skill(ctx, by.Project, skill)
	if err != nil {
		return nil, err
	}
	if of.Latest == 0 {
		return s.Pack(ctx, by, One(of.Name+"/"+skillMD, bytes.NewReader(text)), l)
	}
	v, content, err := s.open(ctx, by.Project, skill, core.SkillVersionLatest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }() // it was only read
	old, err := zip.NewReader(at{content}, v.Bytes)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		_ = w.CloseWithError(rewrite(w, old, v.Directory, text)) // never fails; nil is io.EOF
	}()
	b, err := s.Pack(ctx, by, One("skill.zip", r), l)
	_ = r.Close() // or the archive would never end where the upload was refused
	<-packed      // it reads content
	return b, err
}

// rewrite writes an archive of the old one's files as they are, but for SKILL.md.
func rewrite(w io.Writer, old *zip.Reader, folder string, text []byte) error {
	out := zip.NewWriter(w)
	for _, f := range old.File {
		if f.Name == folder+"/"+skillMD {
			continue
		}
		if err := out.Copy(f); err != nil {
			return err
		}
	}
	entry, err := out.Create(folder + "/" + skillMD)
	if err != nil {
		return err
	}
	if _, err := entry.Write(text); err != nil {
		return err
	}
	return out.Close()
}

// One is an upload of one file.
func One(name string, body io.Reader) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) { yield(Part{Name: name, Body: body}, nil) }
}
