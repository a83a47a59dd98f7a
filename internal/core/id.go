package core

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

// Every object has one 128-bit id, kept as 32 lower-case hex digits. Each face writes it in its own
// way (FormatUUID, or a prefix and the digits) and reads every way (ParseID).
type (
	ProjectID     string
	UserID        string
	CredentialID  string
	InvitationID  string
	AgentID       string
	EnvironmentID string
	SessionID     string
	ThreadID      string
	TurnID        string
	EventID       string
)

// idClock makes the ids of one process strictly increasing, so that order by id is order of making.
var idClock struct {
	sync.Mutex
	last uint64 // the highest 60-bit time used: 48 bits of milliseconds, 12 bits of fraction
}

// NewID returns a fresh UUIDv7 (RFC 9562, section 5.7; the 12 bits after the milliseconds hold the
// fraction of the millisecond, its method 3). Ids made by one process increase strictly.
func NewID[T ~string]() T {
	var b [16]byte
	_, _ = rand.Read(b[8:]) // never fails: crypto/rand aborts the program instead
	now := time.Now()
	ms := uint64(now.UnixMilli())
	frac := uint64(now.Nanosecond()%int(time.Millisecond)) * 4096 / uint64(time.Millisecond)
	idClock.Lock()
	t := max(ms<<12|frac, idClock.last+1)
	idClock.last = t
	idClock.Unlock()
	binary.BigEndian.PutUint64(b[:8], t>>12<<16|7<<12|t&0xfff)
	b[8] = b[8]&0x3f | 0x80
	return T(hex.EncodeToString(b[:]))
}

// ParseID reads an id in any of its spellings: 32 hex digits, with hyphens (UUID), in braces, or
// behind a prefix that ends in "_" (agent_…). Upper-case digits are lowered. It does not check the
// version bits, because clients may bring ids of their own. It reports false for anything else.
func ParseID[T ~string](s string) (T, bool) {
	if i := strings.LastIndexByte(s, '_'); i >= 0 {
		s = s[i+1:]
	}
	if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	if len(s) == 36 {
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return "", false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(s) != 32 {
		return "", false
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], []byte(s)); err != nil {
		return "", false
	}
	return T(strings.ToLower(s)), true
}

// FormatUUID writes an id as a lower-case UUID with hyphens. An empty id stays empty.
func FormatUUID[T ~string](id T) string {
	s := string(id)
	if len(s) != 32 {
		return s
	}
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// PrimaryThread is the id of a session's first thread: it shares the session's digits, so that it
// needs no lookup.
func PrimaryThread(id SessionID) ThreadID { return ThreadID(id) }
