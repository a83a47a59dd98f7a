package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the server answers into the recordings")

// patience is how long one answer may take, its body included.
const patience = 15 * time.Second

// Run plays the recording in file against the server at baseURL ("http://127.0.0.1:1234", no final
// slash), each exchange as a subtest, one after the other. vars holds the variables by name and
// receives the captured ones; it may be nil.
func Run(t *testing.T, baseURL, file string, vars map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if vars == nil {
		vars = map[string]string{}
	}
	recording, err := parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for i := range recording.exchanges {
		x := &recording.exchanges[i]
		t.Run(x.name, func(t *testing.T) {
			got, err := x.send(t.Context(), baseURL, vars)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				x.response = got.record(x.response, vars)
				return
			}
			if diff := got.compare(x.response, vars); diff != "" {
				t.Errorf("%s\n%s", x.request.line, diff)
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, recording.format(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// recording is a parsed archive.
type recording struct {
	comment   []byte
	exchanges []exchange
}

type exchange struct {
	name     string
	request  message
	response message // empty line: not recorded yet
}

// message is one half of an exchange as it is written in the archive.
type message struct {
	line    string // "POST /path" or "201"
	headers []string
	body    string
}

func parse(raw []byte) (recording, error) {
	archive := txtar.Parse(raw)
	rec := recording{comment: archive.Comment}
	for _, f := range archive.Files {
		if name, ok := strings.CutSuffix(f.Name, ".request"); ok {
			rec.exchanges = append(rec.exchanges, exchange{name: name, request: parseMessage(f.Data)})
			continue
		}
		name, ok := strings.CutSuffix(f.Name, ".response")
		last := len(rec.exchanges) - 1
		if !ok || last < 0 || rec.exchanges[last].name != name {
			return recording{}, fmt.Errorf("file %q follows no request of that name", f.Name)
		}
		rec.exchanges[last].response = parseMessage(f.Data)
	}
	return rec, nil
}

func parseMessage(raw []byte) message {
	head, body, _ := strings.Cut(strings.TrimSuffix(string(raw), "\n"), "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	return message{line: strings.TrimSpace(lines[0]), headers: lines[1:], body: body}
}

func (r recording) format() []byte {
	out := &txtar.Archive{Comment: r.comment}
	for _, x := range r.exchanges {
		out.Files = append(out.Files,
			txtar.File{Name: x.name + ".request", Data: x.request.format()},
			txtar.File{Name: x.name + ".response", Data: x.response.format()})
	}
	return txtar.Format(out)
}

func (m message) format() []byte {
	s := strings.Join(append([]string{m.line}, m.headers...), "\n") + "\n"
	if m.body != "" {
		s += "\n" + m.body + "\n"
	}
	return []byte(s)
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (x exchange) send(ctx context.Context, baseURL string, vars map[string]string) (answer, error) {
	text, err := substitute(string(x.request.format()), vars)
	if err != nil {
		return answer{}, err
	}
	m := parseMessage([]byte(text))
	method, path, ok := strings.Cut(m.line, " ")
	if !ok {
		return answer{}, fmt.Errorf("request line %q has no path", m.line)
	}
	req, err := http.NewRequestWithContext(ctx, method, baseURL+path, strings.NewReader(m.body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range m.headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	client := http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

// compare returns what differs from the recorded response, or "".
func (a answer) compare(want message, vars map[string]string) string {
	var wrong []string
	if want.line != strconv.Itoa(a.status) {
		wrong = append(wrong, fmt.Sprintf("status %d, want %s", a.status, want.line))
	}
	for _, h := range want.headers {
		name, value, _ := strings.Cut(h, ":")
		got := strings.Join(a.header.Values(name), ", ")
		if !matchText(strings.TrimSpace(value), got, vars) {
			wrong = append(wrong, fmt.Sprintf("header %s is %q, want %q", name, got, strings.TrimSpace(value)))
		}
	}
	if diff := a.compareBody(want.body, vars); diff != "" {
		wrong = append(wrong, diff)
	}
	return strings.Join(wrong, "\n")
}

func (a answer) compareBody(want string, vars map[string]string) string {
	wantValue, wantErr := decode([]byte(want))
	got, gotErr := decode(a.body)
	if wantErr != nil || gotErr != nil {
		if matchText(strings.TrimSpace(want), strings.TrimSpace(string(a.body)), vars) {
			return ""
		}
		return fmt.Sprintf("body\n%s\nwant\n%s", a.body, want)
	}
	if diff := cmp.Diff(settle(wantValue, got, vars), got); diff != "" {
		return "body (-want +got):\n" + diff
	}
	return ""
}

// record turns the answer into a response for the archive.
func (a answer) record(old message, vars map[string]string) message {
	m := message{line: strconv.Itoa(a.status), body: strings.TrimSpace(string(a.body))}
	if old.line == "" {
		old.headers = []string{"Content-Type: " + a.header.Get("Content-Type")}
	}
	for _, h := range old.headers {
		name, value, _ := strings.Cut(h, ":")
		got := strings.Join(a.header.Values(name), ", ")
		if matchText(strings.TrimSpace(value), got, vars) {
			m.headers = append(m.headers, h)
			continue
		}
		m.headers = append(m.headers, strings.TrimSpace(name+": "+got))
	}
	got, err := decode(a.body)
	if err != nil {
		if matchText(old.body, m.body, vars) {
			m.body = old.body
		}
		return m
	}
	if a.compareBody(old.body, vars) == "" {
		m.body = old.body // still right: keep its layout too
		return m
	}
	want, _ := decode([]byte(old.body))
	m.body = encode(merge(want, got, vars))
	return m
}

func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

func encode(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("exchange: decoded JSON does not encode: %v", err))
	}
	return strings.TrimSpace(b.String())
}
