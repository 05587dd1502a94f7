package protocol

// Limits of version 1 (docs/worker-protocol.md sections 1 to 3).
const (
	MaxMessageBytes  = 4 << 20   // one frame; told in welcome
	MaxPayloadBytes  = 1 << 20   // input or output of one task
	MaxCheckpoint    = 256 << 10 // bytes of JSON
	MaxLogLine       = 4 << 10   // bytes
	MaxProgressChars = 500       // characters of a progress message
	MaxNameChars     = 64
	MaxKinds         = 64
	MaxSlots         = 1024
	MaxNesting       = 64 // JSON nesting of any message
	MaxErrorChars    = 500
	MaxGroups        = 256  // of a token, so of a hello
	MaxIDBytes       = 64   // an id; ours are UUIDs of 36
	MaxLabels        = 64   // of a worker
	MaxLabelChars    = 200  // value of a label, or the name of an SDK
	MaxRunning       = 8192 // attempts listed in a hello: slots, and results not yet acknowledged
)

// Close codes (section 6).
const (
	CloseNormal       = 1000 // worker is done
	CloseGoingAway    = 1001 // server going away
	CloseTooLarge     = 1009 // frame above MaxMessageBytes
	CloseMalformed    = 4400
	CloseUnauthorized = 4401 // token expired or revoked
	CloseGroup        = 4403 // group not allowed
	CloseResumed      = 4409 // resumed on another connection
	CloseInternal     = 4500
	CloseDisconnected = 4503 // an administrator ended the connection
	CloseSilent       = 4508 // nothing heard for timeout_ms
	CloseTooMany      = 4429
	CloseSlow         = 4513 // the worker reads too slowly
)

// Reconnects says whether a worker closed with this code may connect again:
// 44xx other than 4429 never, 1000 is the worker's own, anything else yes.
func Reconnects(code int) bool {
	switch {
	case code == CloseTooMany:
		return true
	case code == CloseNormal:
		return false
	case code >= 4400 && code < 4500:
		return false
	default:
		return true
	}
}
