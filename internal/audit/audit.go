// Package audit is the log of who changed what, from where, and of attempts that
// were refused: written by the server alone, changed and deleted by nobody, until
// its retention ends.
package audit

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
)

// Entry is one thing that was done or refused. It holds no body, secret or token.
type Entry struct {
	ID         string // UUIDv7; says when, and is the order
	Actor      string // user id; empty: nobody known, or the server itself
	ActorName  string // as it was then
	TokenKind  auth.Kind
	Action     string // the operation's id (docs/openapi.json)
	TargetType string
	Target     string
	Group      string // id
	Address    string // of the client
	Outcome    string // OK, or the problem's code
	Status     int    // of HTTP; 0: no request
	RequestID  string
	LeftOut    int // attempts like this that were refused before it and are not kept
}

// OK is the outcome of what was done.
const OK = "ok"

// Refused is what a Filter asks for to get every outcome but OK.
const Refused = "refused"

// At returns when it happened, to the millisecond.
func (e Entry) At() time.Time {
	id, err := uuid.Parse(e.ID)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// Since returns what no id from t or later is below: the bound of a range.
func Since(t time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(max(0, t.UnixMilli()))<<16)
	return id.String()
}

// Filter chooses entries; an empty field does not ask.
type Filter struct {
	Actor   string // user id or username
	Action  string
	Target  string
	Group   string
	Outcome string    // OK, Refused or a code
	From    time.Time // inclusive
	To      time.Time // exclusive
}

// Store keeps entries.
type Store interface {
	// InsertEntry returns once the entry is durable.
	InsertEntry(ctx context.Context, e Entry) error
	// Entries lists those that match, newest first, with an id below before
	// (empty: from the newest).
	Entries(ctx context.Context, f Filter, before string, limit int) ([]Entry, error)
	// DeleteEntries removes at most limit entries older than t, the oldest first,
	// and returns how many.
	DeleteEntries(ctx context.Context, t time.Time, limit int) (int, error)
}
