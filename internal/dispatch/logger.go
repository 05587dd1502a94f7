package dispatch

import (
	"fmt"
	"log/slog"
)

// quietLogger gives asynq's log to slog at debug level: what matters of it, the
// gate and the handler say themselves. Its "Fatal" is not ours to obey.
type quietLogger struct{ log *slog.Logger }

func (l quietLogger) Debug(args ...any) {}
func (l quietLogger) Info(args ...any)  { l.say(args) }
func (l quietLogger) Warn(args ...any)  { l.say(args) }
func (l quietLogger) Error(args ...any) { l.say(args) }
func (l quietLogger) Fatal(args ...any) { l.say(args) }

func (l quietLogger) say(args []any) { l.log.Debug("asynq", "says", fmt.Sprint(args...)) }
