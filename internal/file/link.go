package file

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const (
	// linkLife is how long a link works: long enough to be clicked, too short to be passed on.
	linkLife = 15 * time.Minute
	// linkLabel must never change, or links that were given out stop working.
	linkLabel = "reeve/1 file links"
	idSize    = 16
	linkSize  = idSize + idSize + 8
)

func linkKey(secret []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, linkLabel, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of file links: %w", err)
	}
	return key, nil
}

// Link returns a token that opens the file's content without a credential until the given time.
//
// Errors: Forbidden; NotFound; Invalid ("file_not_downloadable").
func (s *Service) Link(ctx context.Context, by core.Principal, id core.FileID) (token string, expires time.Time, err error) {
	f, err := s.File(ctx, by, id)
	if err != nil {
		return "", time.Time{}, err
	}
	if err := downloadable(f); err != nil {
		return "", time.Time{}, err
	}
	expires = s.clock().Add(linkLife).Truncate(time.Second)
	said := make([]byte, 0, linkSize+sha256.Size)
	for _, part := range []string{string(f.Project), string(f.ID)} {
		raw, err := hex.DecodeString(part)
		if err != nil || len(raw) != idSize {
			return "", time.Time{}, fmt.Errorf("link to file: %q is no id", part)
		}
		said = append(said, raw...)
	}
	said = binary.BigEndian.AppendUint64(said, uint64(expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(said, s.seal(said)...)), expires, nil
}

func (s *Service) seal(said []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(said)
	return mac.Sum(nil)
}

// OpenLink returns the file that a token of Link names, and its content, to be closed by the caller.
//
// Errors: NotFound ("link_not_found"), whatever is wrong with the token, the file or its project.
func (s *Service) OpenLink(ctx context.Context, token string) (core.File, io.ReadSeekCloser, error) {
	gone := core.Errorf(core.NotFound, "link_not_found", "this link does not work, or no longer: ask for a new one")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != linkSize+sha256.Size {
		return core.File{}, nil, gone
	}
	said, seal := raw[:linkSize], raw[linkSize:]
	if !hmac.Equal(seal, s.seal(said)) {
		return core.File{}, nil, gone
	}
	if expires := time.Unix(int64(binary.BigEndian.Uint64(said[2*idSize:])), 0); !s.clock().Before(expires) {
		return core.File{}, nil, gone
	}
	project := core.ProjectID(hex.EncodeToString(said[:idSize]))
	p, err := s.store.Project(ctx, project)
	if err == nil && !p.Active {
		return core.File{}, nil, gone
	}
	if err != nil {
		return core.File{}, nil, notFoundAs(gone, err)
	}
	f, content, err := s.open(ctx, project, core.FileID(hex.EncodeToString(said[idSize:2*idSize])))
	return f, content, notFoundAs(gone, err)
}

func notFoundAs(gone *core.Error, err error) error {
	if core.KindOf(err) == core.NotFound || core.KindOf(err) == core.Invalid {
		return gone
	}
	return err
}
