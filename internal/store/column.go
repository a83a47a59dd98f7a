package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// micros is how a time is stored: microseconds since 1970 UTC, cut, and 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros undoes micros.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// stored is t as it comes back from the database.
func stored(t time.Time) time.Time { return fromMicros(micros(t)) }

// flag is how a bool is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// orNull is an id that is a foreign key: NULL when empty, so that it refers to nothing.
func orNull[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return string(id)
}

// pointed is an optional string: NULL for nil.
func pointed(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// encoded is a value as JSON text.
func encoded(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(b), nil
}

// encodedMap is a map that is never nil when it comes back.
func encodedMap(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	return encoded(m)
}

// The types below are destinations for Scan that undo the functions above.

// timeColumn reads micros.
type timeColumn struct{ to *time.Time }

func (c timeColumn) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", src)
	}
	*c.to = fromMicros(us)
	return nil
}

// flagColumn reads flag.
type flagColumn struct{ to *bool }

func (c flagColumn) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("flag column holds %T", src)
	}
	*c.to = n != 0
	return nil
}

// idColumn reads orNull.
type idColumn[T ~string] struct{ to *T }

func (c idColumn[T]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.to = ""
	case string:
		*c.to = T(v)
	case []byte:
		*c.to = T(v)
	default:
		return fmt.Errorf("id column holds %T", src)
	}
	return nil
}

// jsonColumn reads JSON into to, which keeps its value when the column is NULL.
type jsonColumn struct{ to any }

func (c jsonColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), c.to)
	case []byte:
		return json.Unmarshal(v, c.to)
	}
	return fmt.Errorf("JSON column holds %T", src)
}

// rawColumn reads JSON text or bytes as they are; NULL is nil.
type rawColumn struct{ to *[]byte }

func (c rawColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.to = nil
	case string:
		*c.to = []byte(v)
	case []byte:
		*c.to = bytes.Clone(v)
	default:
		return fmt.Errorf("raw column holds %T", src)
	}
	return nil
}
