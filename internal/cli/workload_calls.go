package cli

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// callMaker writes captured calls as an agent reports them: about 1 KB each, like those of an agent that
// asks JSON APIs. The same seed makes the same calls.
type callMaker struct {
	random  *rand.Rand
	path    *rand.Zipf
	project string
}

// callPaths are what agents call: 60 paths of six services. The first are called most.
var callPaths = func() (paths []string) {
	for _, resource := range []string{"search", "items", "orders", "customers", "quotes", "routes", "events", "files", "threads", "invoices"} {
		for _, host := range []string{"maps", "crm", "mail", "store", "pay", "calendar"} {
			paths = append(paths, "https://api."+host+".example/v2/"+resource)
		}
	}
	return paths
}()

// newCallMaker returns a maker of a project's calls. Each pair of seeds has calls of its own.
func newCallMaker(project string, seed, stream uint64) *callMaker {
	random := rand.New(rand.NewPCG(seed, stream))
	return &callMaker{random: random, path: rand.NewZipf(random, 1.2, 3, uint64(len(callPaths)-1)), project: project}
}

const (
	callErrors       = 0.03 // of all: the other side failed, or did not answer
	callClientErrors = 0.02 // of all: 4xx
	callMedianMS     = 90.0 // of the latencies, which are lognormal
	callSpread       = 0.8  // sigma of their logarithm
)

// latency draws how long a call took.
func (m *callMaker) latency() time.Duration {
	return time.Duration(callMedianMS * math.Exp(callSpread*m.random.NormFloat64()) * float64(time.Millisecond))
}

// Parts of a call that do not change, as JSON texts.
var (
	callRequestHeaders = quoted(`{"accept": "application/json", "accept-encoding": "gzip", "authorization": "Bearer not-a-secret", "content-type": "application/json", "user-agent": "planner/2.4", "x-trace": "`)
	callResponse       = quoted(`{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", "X-RateLimit-Remaining": "`)
	callBodies         = quoted(`{"id": "`)
	callAnswer         = quoted(`", "state": "ready", "total": 2, "items": [{"name": "north depot", "open": true}, {"name": "harbour", "open": false}]}`)
)

// quoted writes a text as the inside of a JSON string.
func quoted(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a constant text
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(raw), `"`), `"`)
}

// append writes one call as a JSON object without a line's end. A zero at is not sent: the server takes the
// time of receipt. Calls that the project's own backend saw have a path without a host.
func (m *callMaker) append(b []byte, at time.Time, latency time.Duration, outside bool) []byte {
	path := callPaths[m.path.Uint64()]
	if !outside {
		path = path[strings.Index(path, "/v2/"):]
	}
	number := m.random.IntN(1_000_000)
	status, failure := m.outcome()
	b = append(b, `{"project_id":"`...)
	b = append(b, m.project...)
	if !at.IsZero() {
		b = append(b, `","event_time":"`...)
		b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000-07:00")
	}
	b = append(b, `","path":"`...)
	b = append(b, path...)
	b = append(b, `","method":"`...)
	b = append(b, []string{"GET", "GET", "GET", "POST"}[number%4]...)
	b = append(b, `","status_code":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"latency_ms":`...)
	b = strconv.AppendFloat(b, float64(latency.Microseconds())/1000, 'f', 3, 64)
	b = append(b, `,"request_size_bytes":58,"response_size_bytes":`...)
	b = strconv.AppendInt(b, int64(150+number%2000), 10)
	b = appendText(b, "request_headers", callRequestHeaders, number, `\"}`)
	b = appendText(b, "request_body", callBodies, number, `\", \"near\": \"depot 7\", \"limit\": 20}`)
	b = append(b, `,"query_params":"{\"lang\": [\"en\"]}","post_data":"{}"`...)
	b = appendText(b, "response_headers", callResponse, number%5000, `\"}`)
	b = appendText(b, "response_body", callBodies, number, callAnswer)
	b = append(b, `,"request_content_type":"application/json","response_content_type":"application/json; charset=utf-8","custom_properties":{"step":`...)
	b = strconv.AppendInt(b, int64(number%40), 10)
	b = append(b, `,"tool":"lookup","tenant":"t-17"},"metadata":{"runtime":"python 3.13"},"error":"`...)
	b = append(b, failure...)
	return append(b, `"}`...)
}

// appendText writes a member whose text has a number in its middle.
func appendText(b []byte, name, before string, number int, after string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":"`...)
	b = append(b, before...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, after...)
	return append(b, '"')
}

func (m *callMaker) outcome() (status int, failure string) {
	switch x := m.random.Float64(); {
	case x < callErrors/3:
		return 0, "timed out after 30 s"
	case x < callErrors:
		return 503, ""
	case x < callErrors+callClientErrors:
		return 404, ""
	}
	return 200, ""
}

// one writes a call that happened just now.
func (m *callMaker) one(outside bool) []byte {
	return m.append(nil, time.Time{}, m.latency(), outside)
}

// lines writes n calls that happened just now, a line each.
func (m *callMaker) lines(n int) []byte {
	b := make([]byte, 0, n*1200)
	for range n {
		b = append(m.append(b, time.Time{}, m.latency(), true), '\n')
	}
	return b
}

// session writes the n calls of a session that began at a time, a line each. One in four calls begins before
// the one before has ended, as with an agent that runs tools side by side.
func (m *callMaker) session(b []byte, start time.Time, n int) []byte {
	for range n {
		took := m.latency()
		b = append(m.append(b, start.Add(took), took, true), '\n')
		if m.random.IntN(4) == 0 {
			start = start.Add(took / 2)
			continue
		}
		start = start.Add(took + time.Duration(m.random.Int64N(int64(time.Second))))
	}
	return b
}
