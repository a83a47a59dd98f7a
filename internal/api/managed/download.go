package managed

import (
	"io"
	"mime"
	"net/http"
	"time"
)

// download is an answer that is bytes.
type download struct {
	io.ReadSeekCloser
	name      string // what a browser should call it
	mediaType string
	sha256    string
	at        time.Time // of the bytes
}

// write sends the bytes, or the range that is asked for (RFC 9110, section 14). They are a stranger's: no
// browser may take them for a page of this server.
func (d *download) write(w http.ResponseWriter, r *http.Request) {
	defer func() { _ = d.Close() }() // it was only read
	h := w.Header()
	h.Set("Content-Type", d.mediaType)
	h.Set("Content-Disposition", disposition(d.name))
	h.Set("ETag", `"`+d.sha256+`"`)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	http.ServeContent(w, r, "", d.at, d.ReadSeekCloser)
}

// disposition says that the bytes are to be saved, and under which name (RFC 6266).
func disposition(name string) string {
	if s := mime.FormatMediaType("attachment", map[string]string{"filename": name}); s != "" {
		return s
	}
	return "attachment"
}
