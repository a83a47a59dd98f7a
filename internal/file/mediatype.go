package file

import (
	"mime"
	"net/http"
	"path"
	"strings"
)

const (
	anyBytes = "application/octet-stream"
	// maxMediaType is how long a type may be that a client declares, in bytes; RFC 6838 section 4.2 allows
	// 127 on each side.
	maxMediaType = 255
	// sniffed is how many bytes of content tell its type, at most (net/http.DetectContentType).
	sniffed = 512
)

// extensions are the types of files whose content does not tell them, by the end of the name. The operating
// system's own table is left alone: the answer would differ from machine to machine.
var extensions = map[string]string{
	".md": "text/markdown", ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".json": "application/json",
	".jsonl": "application/jsonl", ".yaml": "application/yaml", ".yml": "application/yaml", ".txt": "text/plain",
	".html": "text/html", ".htm": "text/html", ".css": "text/css", ".js": "text/javascript", ".py": "text/x-python",
	".xml": "application/xml", ".svg": "image/svg+xml", ".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg",
	".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".zip": "application/zip", ".gz": "application/gzip",
	".tar": "application/x-tar", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".mp4": "video/mp4",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

// endings are what a file without a name gets.
var endings = map[string]string{
	"text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv", "text/html": ".html", "application/json": ".json",
	"application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp",
	"application/zip": ".zip", "application/yaml": ".yaml", "application/xml": ".xml",
}

// declaredType is the type that the client gave, without parameters; "" if it said nothing of use.
func declaredType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil || t == anyBytes || len(t) > maxMediaType || !strings.Contains(t, "/") || strings.Contains(t, "*") {
		return ""
	}
	return t
}

// guessedType tells the type by the name, else by the beginning of the content.
func guessedType(name string, head []byte) string {
	if t, known := extensions[strings.ToLower(path.Ext(name))]; known {
		return t
	}
	t, _, _ := mime.ParseMediaType(http.DetectContentType(head)) // which is always valid
	return t
}
