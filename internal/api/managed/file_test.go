package managed_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/api/exchange"
	"github.com/reeve-ai/reeve/internal/core"
)

func TestRecordedExchangesOfFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"file_claude", "file_qoder"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			exchange.Run(t, s.URL, "testdata/"+name+".txtar", map[string]string{
				"token": s.token, "member": s.member, "viewer": s.viewer, "foreign": s.foreign,
			})
		})
	}
}

// part is one part of a form; one without a filename is a text.
type part struct{ name, filename, content string }

// encodeForm returns a body and its type.
func encodeForm(t *testing.T, parts ...part) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q", p.name))
		if p.filename != "" {
			h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q; filename=%q", p.name, p.filename))
		}
		out, err := w.CreatePart(h)
		if err == nil {
			_, err = io.WriteString(out, p.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// post sends a form.
func (c client) post(t *testing.T, path string, parts []part, header ...string) answer {
	t.Helper()
	body, contentType := encodeForm(t, parts...)
	return c.do(t, "POST", path, body, append(header, "Content-Type", contentType)...)
}

// upload makes a file and returns its id.
func (c client) upload(t *testing.T, name, content string) string {
	t.Helper()
	a := c.post(t, "/files", []part{{"file", name, content}})
	if a.status/100 != 2 {
		t.Fatalf("upload answered %d: %s", a.status, a.raw)
	}
	return a.body["id"].(string)
}

// fetch reads an answer that is no JSON.
func (c client) fetch(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "http") {
		req = c.request(t, "GET", url, "", header...)
	}
	res, err := c.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(raw)
}

// blobs counts what lies in the server's folder of blobs.
func (s *server) blobs(t *testing.T) (n int) {
	t.Helper()
	if err := filepath.WalkDir(filepath.Join(s.data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBothFlavoursShareFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, q := claude(s), qoder(s)
	mine, theirs := c.upload(t, "a.txt", "by claude"), q.upload(t, "b.txt", "by qoder")
	if d := cmp.Diff([]string{theirs, mine}, ids(c.must(t, "GET", "/files", ""))); d != "" {
		t.Errorf("claude's list (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{theirs, mine}, ids(q.must(t, "GET", "/files", ""))); d != "" {
		t.Errorf("qoder's list (-want +got):\n%s", d)
	}
	if res, got := c.fetch(t, "/files/"+theirs+"/content"); got != "by qoder" || res.StatusCode != 200 {
		t.Errorf("content = %d %q", res.StatusCode, got)
	}
	for _, speak := range []client{q, qoderV1(s)} {
		link := speak.must(t, "GET", "/files/"+mine+"/content", "")["url"].(string)
		if !strings.HasPrefix(link, s.URL+speak.base+"/file_links/") {
			t.Errorf("link = %s", link)
		}
		res, got := c.fetch(t, link) // without a credential
		if got != "by claude" || res.StatusCode != 200 || res.Header.Get("Content-Disposition") != "attachment; filename=a.txt" {
			t.Errorf("link led to %d %q, %v", res.StatusCode, got, res.Header)
		}
		if res, _ := c.fetch(t, link[:len(link)-1]); res.StatusCode != 404 {
			t.Errorf("half a link = %d", res.StatusCode)
		}
	}
	link := q.must(t, "GET", "/files/"+mine+"/content", "", "X-Forwarded-Proto", "https")["url"].(string)
	if !strings.HasPrefix(link, "https://") {
		t.Errorf("behind a proxy with TLS the link is %s", link)
	}
	q.must(t, "DELETE", "/files/"+mine, "")
	c.refused(t, c.do(t, "GET", "/files/"+mine+"/content", ""), 404, "not_found_error")
}

func TestListsOfFilesAreStable(t *testing.T) {
	t.Parallel()
	for _, speak := range []func(*server) client{claude, qoder} {
		s := start(t)
		c := speak(s)
		var made []string
		for i := range 5 {
			made = append([]string{c.upload(t, fmt.Sprint(i), "x")}, made...)
		}
		got, pages := walk(t, c, "/files?limit=2", func() { c.upload(t, "new", "x") })
		if d := cmp.Diff(made, got); d != "" || pages != 3 {
			t.Errorf("%s: %d pages, ids (-want +got):\n%s", c.base, pages, d)
		}
	}
	s := start(t)
	c := claude(s)
	var made []string
	for i := range 4 {
		made = append([]string{c.upload(t, fmt.Sprint(i), "x")}, made...)
	}
	old := func(query string) map[string]any {
		return c.must(t, "GET", "/files?"+query, "", "Anthropic-Beta", "files-api-2025-04-14")
	}
	page := old("limit=2")
	if d := cmp.Diff(made[:2], ids(page)); d != "" || page["has_more"] != true || page["last_id"] != made[1] {
		t.Errorf("first page %v (-want +got):\n%s", page, d)
	}
	page = old("limit=2&after_id=" + made[1])
	if d := cmp.Diff(made[2:], ids(page)); d != "" || page["has_more"] != false || page["first_id"] != made[2] {
		t.Errorf("second page %v (-want +got):\n%s", page, d)
	}
	page = old("limit=2&before_id=" + made[3])
	if d := cmp.Diff(made[1:3], ids(page)); d != "" || page["has_more"] != true {
		t.Errorf("back %v (-want +got):\n%s", page, d)
	}
	c.refused(t, c.do(t, "GET", "/files?after_id=x", "", "Anthropic-Beta", "files-api-2025-04-14"), 400, "invalid_request_error")
	c.refused(t, c.do(t, "GET", "/files?limit=1001", ""), 400, "invalid_request_error")
	qoder(s).refused(t, qoder(s).do(t, "GET", "/files?limit=101", ""), 400, "invalid_request_error")
}

func TestFilesOfASession(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, q := claude(s), qoder(s)
	c.upload(t, "a.txt", "x")
	id := c.session(t, "")
	stray := core.Stray{Project: s.admin.Project, Key: core.NewID[core.BlobKey](), DueAt: core.DayOf(s.now()).Time().AddDate(0, 0, 2)}
	if err := s.db.AddStray(t.Context(), stray); err != nil {
		t.Fatal(err)
	}
	session, _ := core.ParseID[core.SessionID](id)
	made := core.File{Project: s.admin.Project, ID: core.NewID[core.FileID](), Blob: core.Blob{Key: stray.Key}, Session: session, CreatedAt: s.now()}
	if err := s.db.CreateFile(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	page := c.must(t, "GET", "/files?scope_id="+id, "")
	if d := cmp.Diff([]string{"file_" + string(made.ID)}, ids(page)); d != "" || dig(page, "data", 0, "scope", "id") != id || dig(page, "data", 0, "scope", "type") != "session" {
		t.Errorf("files of the session = %v (-want +got):\n%s", page, d)
	}
	if got := dig(q.must(t, "GET", "/files?scope_id="+id, ""), "data", 0, "scope", "id"); got != "sess_"+string(session) {
		t.Errorf("scope with qoder = %v", got)
	}
	// It is not downloadable: nobody said so.
	c.refused(t, c.do(t, "GET", "/files/file_"+string(made.ID)+"/content", ""), 400, "invalid_request_error")
	q.refused(t, q.do(t, "GET", "/files/file_"+string(made.ID)+"/content", ""), 400, "invalid_request_error")
}

func TestRefusedUploadsLeaveNoBytes(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := claude(s)
	for _, parts := range [][]part{
		{{"file", "a", "x"}, {"file", "b", "x"}},
		{{"file", "a", "x"}, {"unknown", "", "x"}},
		{{"file", "..", "x"}},
		{{"file", "a", "x"}, {"expires_in_seconds", "", "1"}},
		{{"file", "a", "x"}, {"expires_in_seconds", "", "many"}},
		{{"file", "a", "x"}, {"expires_in_seconds", "", "3600"}, {"expires_in_seconds", "", "3600"}},
		{{"file", "a", "x"}, {"expires_in_seconds", "", strings.Repeat("1", 70_000)}},
	} {
		c.refused(t, c.post(t, "/files", parts), 400, "invalid_request_error")
	}
	if n := s.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	q := qoder(s)
	for range 2 { // the second is a replay: its bytes are not wanted
		if a := q.post(t, "/files", []part{{"file", "a", "x"}}, "Idempotency-Key", "k"); a.status != 201 {
			t.Fatalf("upload = %d %s", a.status, a.raw)
		}
	}
	q.refused(t, q.post(t, "/files", []part{{"file", "a", "y"}}, "Idempotency-Key", "k"), 409, "conflict_error")
	if n := s.blobs(t); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

// TestUploadThatACrashCutOff: the file was made, and the answer to its Idempotency-Key lost.
func TestUploadThatACrashCutOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	q := qoder(s)
	send := func() answer { return q.post(t, "/files", []part{{"file", "a", "x"}}, "Idempotency-Key", "k") }
	made := send()
	now := s.now()
	rec, fresh, err := s.db.ReserveIdempotency(t.Context(), core.Idempotency{Project: s.admin.Project, Caller: string(s.admin.Credential), Key: "k", CreatedAt: now, ExpiresAt: now}, now)
	if err != nil || fresh {
		t.Fatal(fresh, err)
	}
	rec.Status = 0
	if err := s.db.FinishIdempotency(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if again := send(); again.status != 201 || again.raw != made.raw {
		t.Errorf("again = %d %s, want %s", again.status, again.raw, made.raw)
	}
	if n := s.blobs(t); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

// TestTooLargeABodyIsRefusedUnread: the head says how long it is, and nothing of it is ever sent.
func TestTooLargeABodyIsRefusedUnread(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, want := range map[string]string{"/v1/files": "413", "/api/v1/cloud/files": "400", "/v1/skills": "413"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		auth := "X-Api-Key: " + s.token
		if strings.HasPrefix(path, "/api") {
			auth = "Authorization: Bearer " + s.token
		}
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 530000000\r\n\r\n", path, auth); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("%s answered %q, %v, want %s", path, line, err, want)
		}
		_ = conn.Close()
	}
	if n := s.blobs(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

// TestAnUploadIsNotHeldInMemory runs while no other test does: it counts what the whole process allocates.
func TestAnUploadIsNotHeldInMemory(t *testing.T) { //nolint:paralleltest // see above
	s := start(t)
	c := claude(s)
	const size = 64 << 20
	body, sent := io.Pipe()
	w := multipart.NewWriter(sent)
	go func() {
		out, err := w.CreateFormFile("file", "zero.bin")
		if err == nil {
			_, err = io.CopyN(out, zeros{}, size)
		}
		if err == nil {
			err = w.Close()
		}
		_ = sent.CloseWithError(err)
	}()
	req := c.request(t, "POST", "/files", "", "Content-Type", w.FormDataContentType())
	req.Body, req.ContentLength = body, -1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := c.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("upload = %d %s, %v", res.StatusCode, raw, err)
	}
	var made map[string]any
	unmarshal(t, string(raw), &made)
	if made["size_bytes"] != float64(size) {
		t.Fatalf("file = %s", raw)
	}
	req = c.request(t, "GET", "/files/"+made["id"].(string)+"/content", "")
	if res, err = c.Client().Do(req); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || n != size {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/8 {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
