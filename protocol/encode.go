package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encoding is what AppendFrame and Encode take: the structs of this package
// and pointers to them.
type Encoding interface{ messageType() Type }

func (Hello) messageType() Type      { return TypeHello }
func (Welcome) messageType() Type    { return TypeWelcome }
func (Assign) messageType() Type     { return TypeAssign }
func (Progress) messageType() Type   { return TypeProgress }
func (Log) messageType() Type        { return TypeLog }
func (Checkpoint) messageType() Type { return TypeCheckpoint }
func (Result) messageType() Type     { return TypeResult }
func (Ack) messageType() Type        { return TypeAck }
func (Cancel) messageType() Type     { return TypeCancel }
func (Slots) messageType() Type      { return TypeSlots }
func (Groups) messageType() Type     { return TypeGroups }
func (Error) messageType() Type      { return TypeError }
func (b Bare) messageType() Type     { return b.Type }

// Encode writes one message; a Type left empty is filled in. Raw members
// (input, output, data, checkpoint) must be valid JSON: they are copied as they
// stand, save for newlines between tokens, which would break the frame.
func Encode(msg Encoding) []byte { return AppendFrame(nil, msg) }

// AppendFrame adds messages to a frame: each on its own line, after whatever
// dst holds already.
func AppendFrame(dst []byte, msgs ...Encoding) []byte {
	for _, msg := range msgs {
		if len(dst) > 0 {
			dst = append(dst, '\n')
		}
		dst = appendMessage(dst, msg)
	}
	return dst
}

// noType is how every message without a Type begins: the field stands first.
const noType = `{"type":""`

func appendMessage(dst []byte, msg Encoding) []byte {
	kind := msg.messageType()
	shell, raws := takeRaws(msg)
	text, err := json.Marshal(shell)
	if err != nil {
		// Only a percentage that is no number can bring us here.
		panic(fmt.Sprintf("protocol: %s cannot be encoded: %v", kind, err))
	}
	if bytes.HasPrefix(text, []byte(noType)) {
		dst = append(dst, `{"type":"`...)
		dst = append(dst, kind...)
		dst = append(dst, '"')
		text = text[len(noType):]
	}
	dst = append(dst, text[:len(text)-1]...)
	for _, r := range raws {
		dst = append(dst, `,"`...)
		dst = append(dst, r.name...)
		dst = append(dst, `":`...)
		dst = appendRaw(dst, r.value)
	}
	return append(dst, '}')
}

type rawMember struct {
	name  string
	value json.RawMessage
}

// takeRaws returns msg without its raw members, and those.
func takeRaws(msg Encoding) (shell any, raws []rawMember) {
	switch m := msg.(type) {
	case *Assign:
		return takeRaws(*m)
	case *Checkpoint:
		return takeRaws(*m)
	case *Result:
		return takeRaws(*m)
	case Assign:
		raws = append(raws, rawMember{"input", orNull(m.Input)})
		if len(m.Checkpoint) > 0 {
			raws = append(raws, rawMember{"checkpoint", m.Checkpoint})
		}
		m.Input, m.Checkpoint = nil, nil
		return m, raws
	case Checkpoint:
		raws = append(raws, rawMember{"data", orNull(m.Data)})
		m.Data = nil
		return m, raws
	case Result:
		if len(m.Output) > 0 {
			raws = append(raws, rawMember{"output", m.Output})
		}
		m.Output = nil
		return m, raws
	default:
		return msg, nil
	}
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// appendRaw takes newlines out: inside a valid value they are only whitespace.
func appendRaw(dst []byte, raw json.RawMessage) []byte {
	for {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(append(dst, raw[:i]...), ' ')
		raw = raw[i+1:]
	}
}
