package httpapi

import (
	"encoding/base64"

	"github.com/firmlight/firmlight/internal/fault"
)

// Page is the query of every list; embed it in a request struct.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items at most"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before"`
}

var errCursor = fault.InvalidField("query.cursor", "is not a cursor of this list")

// after returns the key that the page before ended with, empty for the first.
func (p Page) after() (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", errCursor
	}
	return string(key), nil
}

// List is the answer of every list.
type List[T any] struct {
	Items      []T     `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"For the next page; null on the last"`
}

// listOf makes an answer of rows of which limit+1 were asked for: the one too
// many says that there is a next page. key names a row for the cursor.
func listOf[R, T any](rows []R, limit int, key func(R) string, show func(R) T) List[T] {
	l := List[T]{Items: make([]T, 0, min(len(rows), limit))}
	for i, row := range rows {
		if i == limit {
			l.NextCursor = cursorOf(key(rows[i-1]))
			break
		}
		l.Items = append(l.Items, show(row))
	}
	return l
}

// cursorOf returns the cursor of what comes after a key.
func cursorOf(key string) *string {
	next := base64.RawURLEncoding.EncodeToString([]byte(key))
	return &next
}
