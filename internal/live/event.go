package live

import (
	"encoding/json"
)

// Type names a message of the live protocol (docs/http-api.md, Live).
type Type string

// What clients send.
const (
	TypeSubscribe   Type = "subscribe"
	TypeUnsubscribe Type = "unsubscribe"
)

// What the server sends. An event carries its data under the name of its type.
const (
	TypeSubscribed   Type = "subscribed"
	TypeUnsubscribed Type = "unsubscribed" // asked for, or the right to watch has gone
	TypeError        Type = "error"        // a subscription refused; the connection stays
	TypeResync       Type = "resync"       // some were missed: read again over HTTP

	TypeTask         Type = "task"
	TypeProgress     Type = "progress"
	TypeLog          Type = "log"
	TypeWorker       Type = "worker"
	TypeDevice       Type = "device"
	TypeAlert        Type = "alert"
	TypeStats        Type = "stats"
	TypeNotification Type = "notification"
	TypeGroup        Type = "group"
	TypePending      Type = "pending"
	TypeAudit        Type = "audit"
)

// Event is one thing that happened. Data is encoded once, whoever watches.
type Event struct {
	Type   Type            `json:"type"`
	Topics []Topic         `json:"topics"`
	Key    string          `json:"key,omitempty"` // a newer event of this type and key replaces a waiting one; empty: never
	Data   json.RawMessage `json:"data"`
}

// message returns the event as the wire carries it to everyone who watches t.
func (e Event) message(t Topic) []byte {
	name, kind := t.String(), string(e.Type)
	b := make([]byte, 0, len(e.Data)+len(name)+2*len(kind)+32)
	b = append(b, `{"type":"`+kind+`","topic":"`+name+`","`+kind+`":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// request is what a client sends.
type request struct {
	Type   Type     `json:"type"`
	Topics []string `json:"topics"`
}

// reply answers a request, or tells of a subscription's end or gap.
type reply struct {
	Type    Type   `json:"type"`
	Topic   string `json:"topic,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func (r reply) message() []byte {
	b, _ := json.Marshal(r) // four strings always encode
	return b
}
