package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-ai/reeve/internal/core"
)

// Collect makes a call and returns its chunks and its error, and fails the test if the call breaks a
// promise of core.Provider: nothing follows a ChunkStop or an error, block indexes never fall, a call
// without error ends with ChunkStop.
func Collect(ctx context.Context, t *testing.T, p core.Provider, req core.ModelRequest) ([]core.Chunk, error) {
	t.Helper()
	var chunks []core.Chunk
	var failed error
	ended, index := false, 0
	for c, err := range p.Stream(ctx, req) {
		if ended {
			t.Errorf("%+v, %v follows the end of the call", c, err)
		}
		if err != nil {
			failed, ended = err, true
			continue
		}
		if c.Type == core.ChunkText || c.Type == core.ChunkThinking {
			if c.Index < index {
				t.Errorf("block index falls from %d to %d", index, c.Index)
			}
			index = c.Index
		}
		chunks = append(chunks, c)
		ended = c.Type == core.ChunkStop
	}
	if !ended {
		t.Error("the call ended with neither a ChunkStop nor an error")
	}
	return chunks, failed
}

// Answered is Collect for a call that must end well.
func Answered(t *testing.T, p core.Provider, req core.ModelRequest) []core.Chunk {
	t.Helper()
	chunks, err := Collect(t.Context(), t, p, req)
	if err != nil {
		t.Fatalf("Stream: %v", err)
	}
	return chunks
}

// Refused is Collect for a call that must fail with a *core.ModelError.
func Refused(t *testing.T, p core.Provider, req core.ModelRequest) ([]core.Chunk, *core.ModelError) {
	t.Helper()
	chunks, err := Collect(t.Context(), t, p, req)
	var e *core.ModelError
	if !errors.As(err, &e) {
		t.Fatalf("Stream: error %v (%T), want a *core.ModelError", err, err)
	}
	return chunks, e
}

// EqualJSON fails the test if two JSON texts differ in more than white space and the order of members.
func EqualJSON(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(parse(t, what, want), parse(t, what, got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func parse(t *testing.T, what, text string) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s is not JSON: %v\n%s", what, err, text)
	}
	return v
}
