package tasks

import (
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// This file is the section "Parents" of docs/state-machine.md.

// Closing is the phase of a parent that was cancelled or failed while children
// were unfinished: they are being cancelled. Its status is final already.
const Closing Phase = "closing"

// ReduceLease is how long a server may be silent in a reduce before another
// takes it over.
const ReduceLease = 30 * time.Second

// fixCount fixes the number of parts before the first is inserted.
func fixCount(t Task, n int) Transition {
	return Transition{
		Name: "fix_count", Task: t.ID,
		If:  Where{Eq(ColPhase, Splitting), Eq(ColGen, t.Gen), In(ColCount, 0, n)},
		Set: []Assign{Set(ColCount, n)},
	}
}

// open ends the split: all children exist.
func open(t Task, now time.Time) Transition {
	return Transition{
		Name: "open", Task: t.ID,
		If:      Where{Eq(ColPhase, Splitting), Eq(ColGen, t.Gen)},
		Set:     []Assign{Set(ColPhase, Open)},
		History: []Entry{{At: now, Event: EvSplit, Detail: plural(t.Count, "part")}},
	}
}

// started marks a parent as running with its first running child.
func started(parent string, now time.Time) Transition {
	return Transition{
		Name: "parent_started", Task: parent,
		If: Where{
			In(ColStatus, Queued, Scheduled), In(ColPhase, Splitting, Open, Reducing),
		},
		Set: []Assign{Set(ColStatus, Running), Set(ColStartedAt, now)},
	}
}

// startReduce takes the one right to reduce what was counted at t.Gen.
func startReduce(t Task, server string, now time.Time) Transition {
	return Transition{
		Name: "reduce", Task: t.ID,
		If: Where{Eq(ColPhase, Open), Eq(ColGen, t.Gen)},
		Set: []Assign{
			Set(ColPhase, Reducing), Set(ColReduceBy, server),
			Set(ColReduceUntil, now.Add(ReduceLease)), Inc(ColReduceN, 1),
		},
	}
}

// takeReduce takes over a reduce whose lease has run out; renewReduce extends one's own.
func takeReduce(t Task, server string, now time.Time) Transition {
	return Transition{
		Name: "take_reduce", Task: t.ID,
		If: Where{Eq(ColPhase, Reducing), Eq(ColReduceN, t.ReduceN), Lt(ColReduceUntil, now)},
		Set: []Assign{
			Set(ColReduceBy, server), Set(ColReduceUntil, now.Add(ReduceLease)), Inc(ColReduceN, 1),
		},
	}
}

func renewReduce(t Task, now time.Time) Transition {
	return Transition{
		Name: "renew_reduce", Task: t.ID,
		If:  Where{Eq(ColPhase, Reducing), Eq(ColReduceN, t.ReduceN)},
		Set: []Assign{Set(ColReduceUntil, now.Add(ReduceLease))},
	}
}

// finishParent ends a reduce with its result.
func finishParent(t Task, output []byte, now time.Time) Transition {
	return Transition{
		Name: "finish_parent", Task: t.ID,
		If:      Where{Eq(ColPhase, Reducing), Eq(ColReduceN, t.ReduceN)},
		Set:     append(end(t, Succeeded, nil, now), Set(ColOutBytes, int64(len(output)))),
		Output:  output,
		History: []Entry{{At: now, Event: EvReduced}},
	}
}

// failParent ends a parent whose split, children or reduce failed for good.
func failParent(t Task, err protocol.TaskError, now time.Time) Transition {
	return Transition{
		Name: "fail_parent", Task: t.ID,
		If: Where{
			Eq(ColPhase, t.Phase), Eq(ColGen, t.Gen), Eq(ColReduceN, t.ReduceN), In(ColStatus, Unfinished...),
		},
		Set: append(end(t, Failed, &err, now), Set(ColPhase, Closing)),
	}
}

// closed ends the closing: no child is left unfinished.
func closed(t Task) Transition {
	return Transition{
		Name: "closed", Task: t.ID,
		If:  Where{Eq(ColPhase, Closing), Eq(ColGen, t.Gen)},
		Set: []Assign{Set(ColPhase, NoPhase)},
	}
}

// touch raises gen, so that a decision on older counts fails.
func touch(parent string) Transition {
	return Transition{
		Name: "touch", Task: parent,
		If:  Where{Eq(ColPhase, Open)},
		Set: []Assign{Inc(ColGen, 1)},
	}
}

// cancelParent ends a parent in any unfinished phase; its children follow.
func cancelParent(t Task, now time.Time) Transition {
	return Transition{
		Name: "cancel_parent", Task: t.ID,
		If:  Where{In(ColStatus, Unfinished...), Eq(ColPhase, t.Phase)},
		Set: append(end(t, Cancelled, nil, now), Set(ColCancelRequested, now), Set(ColPhase, Closing)),
	}
}
