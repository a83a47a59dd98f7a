package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/reeve-ai/reeve/internal/core"
)

// The texts of a capture are packed into two columns: for each, its length plus one as an unsigned
// varint and then its bytes; 0 is one that was not reported. Nil texts at the end are left out, and a
// column without any text is NULL. Fields are only ever added at the end.

// shortTexts are there in Bare captures too. A fifth follows where a capture is counted under
// core.OtherPaths: its own path.
func shortTexts(c *core.Capture) [4]*string {
	return [4]*string{c.Error, c.RequestContentType, c.ResponseContentType, c.Host}
}

// longTexts are left out of Bare captures.
func longTexts(c *core.Capture) [8]*string {
	return [8]*string{
		c.RequestHeaders, c.RequestBody, c.QueryParams, c.PostData, c.ResponseHeaders, c.ResponseBody,
		jsonText(c.CustomProperties), jsonText(c.Metadata),
	}
}

func jsonText(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	s := string(raw)
	return &s
}

// packTexts returns nil if there is no text.
func packTexts(texts []*string) any {
	size, last := 0, -1
	for i, s := range texts {
		if s != nil {
			size += binary.MaxVarintLen32 + len(*s)
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	packed := make([]byte, 0, size+last)
	for _, s := range texts[:last+1] {
		if s == nil {
			packed = append(packed, 0)
			continue
		}
		packed = binary.AppendUvarint(packed, uint64(len(*s))+1)
		packed = append(packed, *s...)
	}
	return packed
}

var errPackedTexts = errors.New("packed texts are damaged")

// unpackTexts undoes packTexts and returns how many bytes the texts have.
func unpackTexts(packed []byte, into []**string) (size int, err error) {
	all := string(packed) // one copy; the texts are parts of it
	for i, at := 0, 0; at < len(all); i++ {
		n, width := binary.Uvarint(packed[at:])
		if width <= 0 || i == len(into) || n > uint64(len(all)-at-width)+1 {
			return 0, errPackedTexts
		}
		at += width
		if n == 0 {
			continue
		}
		text := all[at : at+int(n)-1]
		*into[i] = &text
		at += len(text)
		size += len(text)
	}
	return size, nil
}

// unpackShort undoes shortTexts. The path is no text that counts for size.
func unpackShort(packed []byte, c *core.Capture) (size int, err error) {
	var path *string
	size, err = unpackTexts(packed, []**string{&c.Error, &c.RequestContentType, &c.ResponseContentType, &c.Host, &path})
	if path != nil {
		c.Path = *path
		size -= len(*path)
	}
	return size, err
}

// unpackLong undoes longTexts.
func unpackLong(packed []byte, c *core.Capture) (size int, err error) {
	var properties, metadata *string
	size, err = unpackTexts(packed, []**string{
		&c.RequestHeaders, &c.RequestBody, &c.QueryParams, &c.PostData, &c.ResponseHeaders, &c.ResponseBody,
		&properties, &metadata,
	})
	if properties != nil {
		c.CustomProperties = json.RawMessage(*properties)
	}
	if metadata != nil {
		c.Metadata = json.RawMessage(*metadata)
	}
	return size, err
}
