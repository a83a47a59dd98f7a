package compat

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/api/httpio"
	"github.com/reeve-ai/reeve/internal/app"
	"github.com/reeve-ai/reeve/internal/app/apptest"
	"github.com/reeve-ai/reeve/internal/config"
	"github.com/reeve-ai/reeve/internal/provider/fake"
)

// world is a server of one client's own, with the recorder through which that client speaks to it. Each has
// its own, so that one client may turn the clock.
type world struct {
	*apptest.Server
	proxy   *recorder
	late    atomic.Int64  // nanoseconds that the server's clock is ahead
	release chan struct{} // unbuffered: whoever gives a value knows that an answer was held
	posted  chan message  // what the server sent to the suite's webhook
}

// message is what came to a webhook, as the scripts read it.
type message struct {
	Headers map[string]string `json:"headers"` // names in lower case
	Body    string            `json:"body"`
}

// priced is a model with list prices: each of its calls costs two cents.
const priced = "priced"

func start(t *testing.T) *world {
	t.Helper()
	w := &world{release: make(chan struct{}), posted: make(chan message, 100)} // a script that takes none of so many has failed
	w.Server = apptest.StartWith(t, fake.Choose(model(w.release)), apptest.WithOptions(func(o *app.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(w.late.Load())) }
	}), apptest.WithConfig(func(c *config.Config) {
		c.Egress.AllowPrivate = []string{"127.0.0.0/8"} // the suite's webhook is on this machine
	}), apptest.WithModel("{name: "+priced+", provider: fake, target: scripted, max_input_tokens: 200000, max_output_tokens: 8192, prices: {input: 1000, output: 2000}}"))
	w.proxy = record(t, w.URL, w.control(t))
	return w
}

// control serves what the scripts ask of the suite.
func (w *world) control(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+control+"release", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case w.release <- struct{}{}:
		case <-r.Context().Done():
		}
	})
	// A webhook of the types ?event=, whose messages come to the suite. The answer is it, with its secret.
	mux.HandleFunc("POST "+control+"webhook", func(rw http.ResponseWriter, r *http.Request) {
		made := w.Must(t, http.MethodPost, "/reeve/v1/webhooks", map[string]any{"url": w.proxy.URL + control + "post", "events": r.URL.Query()["event"]})
		httpio.WriteJSON(rw, http.StatusOK, made)
	})
	mux.HandleFunc("POST "+control+"post", func(rw http.ResponseWriter, r *http.Request) {
		m := message{Headers: map[string]string{}}
		for name := range r.Header {
			m.Headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		m.Body = string(body)
		select {
		case w.posted <- m:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET "+control+"message", func(rw http.ResponseWriter, r *http.Request) {
		select {
		case m := <-w.posted:
			httpio.WriteJSON(rw, http.StatusOK, m)
		case <-r.Context().Done():
		}
	})
	return mux
}

// turn turns the server's clock on.
func (w *world) turn(by time.Duration) { w.late.Add(int64(by)) }

// environ is what a client's process is given.
func (w *world) environ(more ...string) []string {
	return append([]string{"ANTHROPIC_BASE_URL=" + w.proxy.URL, "ANTHROPIC_API_KEY=" + w.Token, "SUITE_URL=" + w.proxy.URL + control, "SUITE_MODEL=" + apptest.Model, "SUITE_PRICED=" + priced}, more...)
}

// flow is what one flow of one client came to.
type flow struct {
	Flow  string `json:"flow"`
	Error string `json:"error"` // empty: it held
}

func (f flow) String() string { return fmt.Sprintf("%s: %s", f.Flow, f.Error) }
