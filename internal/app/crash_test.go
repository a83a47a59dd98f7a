package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/app/apptest"
)

// vendor is a model server that speaks chat completions, for the real binary. Each call is answered by
// reply, which sees the last message of the request.
type vendor struct {
	*httptest.Server
	mu    sync.Mutex
	calls int
	reply func(call int, last map[string]any) (frames []string, hold <-chan struct{})
	began chan string // the last user text of every call, as it begins; roomy
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{began: make(chan string, 1024)}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Messages []map[string]any `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Errorf("the model server got %v", err)
			return
		}
		last := req.Messages[len(req.Messages)-1]
		v.mu.Lock()
		v.calls++
		frames, hold := v.reply(v.calls, last)
		v.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		v.began <- fmt.Sprint(last["content"])
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		for _, f := range frames {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", f)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(v.Close)
	return v
}

func says(text string) []string {
	return []string{
		fmt.Sprintf(`{"choices":[{"index":0,"delta":{"role":"assistant","content":%q},"finish_reason":null}]}`, text),
		`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`,
	}
}

func calls(name, arguments string) []string {
	return []string{
		fmt.Sprintf(`{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_x","type":"function","function":{"name":%q,"arguments":%q}}]},"finish_reason":null}]}`, name, arguments),
		`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`,
	}
}

// binary builds the real program, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "reeve-crash-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "reeve")
	// As make build does it, so that what that compiled is taken from the cache.
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w ", "-o", path, "github.com/reeve-ai/reeve/cmd/reeve")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// process is one life of the real server.
type process struct {
	*apptest.Server
	cmd *exec.Cmd
}

var (
	listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	tokenLine = regexp.MustCompile(`reeve_[A-Za-z0-9]{11}_[A-Za-z0-9]{43}`)
)

// startProcess runs `reeve serve` on a folder until it says where it listens. token is empty at the first
// start, which prints it.
func startProcess(t *testing.T, data, modelURL, token string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0", "--data", data, "--model-url", modelURL, "--model", "scripted")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Server: &apptest.Server{Token: token, Data: data}, cmd: cmd}
	t.Cleanup(p.kill)
	ready := make(chan struct{})
	go func() {
		defer func() { _, _ = io.Copy(io.Discard, out) }()
		var seen bytes.Buffer
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			seen.Write(append(lines.Bytes(), '\n'))
			if tok := tokenLine.FindString(seen.String()); p.Token == "" && tok != "" {
				p.Token = tok
			}
			if strings.Contains(strings.ToLower(lines.Text()), "ready") {
				p.URL = listening.FindString(seen.String())
				close(ready)
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(apptest.Patience):
		t.Fatal("the server did not become ready")
	}
	if p.URL == "" || p.Token == "" {
		t.Fatalf("start-up names url %q and token %q", p.URL, p.Token)
	}
	return p
}

// kill ends the process as kill -9 does, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	_ = p.cmd.Wait()
}

// wholeLog checks that a log tells one story: ids once, spans closed, every tool use answered once, and
// what a client was told before the crash still there, in the same order.
func wholeLog(t *testing.T, log, told []apptest.Event) {
	t.Helper()
	at := map[string]int{}
	open, answers := map[any]bool{}, map[any]int{}
	for i, e := range log {
		if _, twice := at[e.ID]; twice {
			t.Errorf("event %s is in the log twice", e.ID)
		}
		at[e.ID] = i
		switch e.Type {
		case "span.model_request_start":
			open[e.ID] = true
		case "span.model_request_end":
			delete(open, e.Data["model_request_start_id"])
		case "agent.tool_use":
			answers[e.ID] += 0
		case "agent.tool_result":
			answers[e.Data["tool_use_id"]]++
		}
	}
	if len(open) > 0 {
		t.Errorf("model requests without an end: %v", open)
	}
	for use, n := range answers {
		if n != 1 {
			t.Errorf("tool use %v has %d results", use, n)
		}
	}
	last := -1
	for _, e := range told {
		if e.ID == "" || e.Type == "event_start" || e.Type == "event_delta" {
			continue
		}
		i, there := at[e.ID]
		if !there {
			t.Errorf("%s %s was told to a client and is lost", e.Type, e.ID)
		} else if i < last && e.Type != "user.message" { // a message is told twice: queued, then stamped
			t.Errorf("%s %s was told out of order", e.Type, e.ID)
		}
		last = max(last, i)
	}
}

func TestKillInMidModelCallLosesNothing(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	const sessions = 10
	never := make(chan struct{})
	v.reply = func(call int, last map[string]any) ([]string, <-chan struct{}) {
		if call <= sessions {
			return says("never heard"), never
		}
		return says("Answer to: " + fmt.Sprint(last["content"])), nil
	}
	data := t.TempDir()
	first := startProcess(t, data, v.URL+"/v1", "")
	agent := first.NewAgent(t, func(a map[string]any) { a["model"] = "scripted" })
	var all []*apptest.Session
	for i := range sessions {
		s := first.NewSessionOf(t, agent)
		s.Send(t, fmt.Sprintf("question %d", i))
		all = append(all, s)
	}
	for range sessions {
		<-v.began
	}
	told := make([][]apptest.Event, sessions)
	for i, s := range all {
		told[i] = s.Until(t, "span.model_request_start")
	}
	first.kill()

	second := startProcess(t, data, v.URL+"/v1", first.Token)
	for i, old := range all {
		s := second.Reopen(t, old.ID)
		log := s.AwaitIdle(t)
		wholeLog(t, log, told[i])
		answers := apptest.Find(log, "agent.message")
		if len(answers) != 1 || !strings.Contains(answers[0].Say(), fmt.Sprintf("question %d", i)) {
			t.Errorf("session %d: answers %v", i, answers)
		}
		if n := len(apptest.Find(log, "user.message")); n != 1 {
			t.Errorf("session %d: %d user messages", i, n)
		}
	}
}

func TestKillInMidToolTellsTheModelAndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	marker := fmt.Sprintf("86400.%d", os.Getpid()) // a sleep that no one else makes
	var heard string
	v.reply = func(call int, last map[string]any) ([]string, <-chan struct{}) {
		if call == 1 {
			return calls("bash", `{"command":"echo begun > begun.txt; sleep `+marker+`"}`), nil
		}
		heard = fmt.Sprint(last["content"])
		return says("I was told."), nil
	}
	data := t.TempDir()
	first := startProcess(t, data, v.URL+"/v1", "")
	s := first.NewSessionOf(t, first.NewAgent(t, func(a map[string]any) { a["model"] = "scripted" }))
	s.Send(t, "Sleep.")
	told := s.Until(t, "agent.tool_use")
	apptest.Poll(t, "the command", func() bool { return sleeping(marker) })
	first.kill()
	apptest.Poll(t, "the end of the command", func() bool { return !sleeping(marker) })

	second := startProcess(t, data, v.URL+"/v1", first.Token)
	again := second.Reopen(t, s.ID)
	log := again.AwaitIdle(t)
	wholeLog(t, log, told)
	if !strings.Contains(heard, "unknown") {
		t.Errorf("after the crash the model heard %q, want that the outcome is unknown", heard)
	}
	if got := apptest.Find(log, "agent.message"); len(got) != 1 || got[0].Say() != "I was told." {
		t.Errorf("answers = %v", got)
	}
}

// sleeping looks for the command in the process table of this machine.
func sleeping(marker string) bool {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		if raw, err := os.ReadFile(p); err == nil && string(raw) == "sleep\x00"+marker+"\x00" {
			return true
		}
	}
	return false
}
