package tasks

import (
	"fmt"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// Shape is what a column holds. Fixed ones are never assigned.
type Shape uint8

// The shapes; Fixed is a flag.
const (
	ShapeText Shape = 1 + iota
	ShapeNumber
	ShapeInstant
	ShapeFloat
	ShapeError
	ShapeFanOut
	ShapeFixed Shape = 1 << 4
)

// columnShapes are the columns that conditions and assignments may name: their
// names go into statements, so no other name ever does.
var columnShapes = map[Column]Shape{
	ColID: ShapeText | ShapeFixed, ColGroup: ShapeText | ShapeFixed, ColKind: ShapeText | ShapeFixed,
	ColTitle:     ShapeText | ShapeFixed, // what stores keep of its words follows it
	ColCreatedBy: ShapeText | ShapeFixed, ColPriority: ShapeText, ColStatus: ShapeText, ColPhase: ShapeText,
	ColCreatedAt: ShapeInstant | ShapeFixed, ColRunAt: ShapeInstant, ColEnqueuedAt: ShapeInstant,
	ColStartedAt: ShapeInstant, ColDeadline: ShapeInstant, ColFinishedAt: ShapeInstant,
	ColCancelRequested: ShapeInstant, ColAttempt: ShapeNumber, ColFailures: ShapeNumber,
	ColReassignments: ShapeNumber, ColServer: ShapeText, ColSession: ShapeText, ColEpoch: ShapeNumber,
	ColWorker: ShapeText, ColWorkerName: ShapeText, ColRunBy: ShapeText, ColAccepted: ShapeNumber,
	ColPercent: ShapeFloat, ColMessage: ShapeText, ColError: ShapeError, ColInBytes: ShapeNumber,
	ColOutBytes: ShapeNumber, ColDropAt: ShapeInstant, ColDroppedAt: ShapeInstant,
	ColParent: ShapeText | ShapeFixed, ColIndex: ShapeNumber | ShapeFixed, ColCount: ShapeNumber,
	ColTarget: ShapeText, ColFanOut: ShapeFanOut, ColGen: ShapeNumber, ColReduceBy: ShapeText,
	ColReduceUntil: ShapeInstant, ColReduceN: ShapeNumber,
}

// Shape returns what the column holds; an error for one that does not exist.
func (c Column) Shape() (Shape, error) {
	s, ok := columnShapes[c]
	if !ok {
		return 0, fmt.Errorf("tasks: no column %q to ask for", c)
	}
	return s, nil
}

// Check returns the column's shape, and an error for a value that it does not hold.
func (c Column) Check(v any) (Shape, error) {
	s, err := c.Shape()
	if err != nil {
		return s, err
	}
	var is Shape
	switch v.(type) {
	case string, Status, Phase, Priority:
		is = ShapeText
	case int, int64:
		is = ShapeNumber
	case time.Time:
		is = ShapeInstant
	case *float64:
		is = ShapeFloat
	case *protocol.TaskError:
		is = ShapeError
	case FanOut:
		is = ShapeFanOut
	}
	if is == 0 || is != s&^ShapeFixed {
		return s, fmt.Errorf("tasks: %T for %q", v, c)
	}
	return s, nil
}

// Check reports an assignment of another shape, to a fixed column, or an
// increment of what is no number.
func (a Assign) Check() error {
	s, err := a.Column.Check(a.Value)
	if err == nil && (s&ShapeFixed != 0 || a.Inc && s != ShapeNumber) {
		err = fmt.Errorf("tasks: %q cannot be assigned so", a.Column)
	}
	return err
}
