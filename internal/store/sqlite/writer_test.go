package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

func openTest(tb testing.TB) *DB {
	tb.Helper()
	db, err := Open(context.Background(), tb.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// hold keeps the writer inside one transaction until release is called, so that
// what comes meanwhile shares the next one.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	in, out, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.write(context.Background(), func(*writeTx) error {
			close(in)
			<-out
			return nil
		})
	}()
	<-in
	return sync.OnceFunc(func() {
		close(out)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func addServer(id string) func(*writeTx) error {
	return func(tx *writeTx) error {
		return tx.exec1("INSERT INTO servers (id, address, beat, started) VALUES (?, '', 1, 0)", id)
	}
}

func serverCount(t *testing.T, db *DB) (n int) {
	t.Helper()
	if err := db.readRow(context.Background(), "SELECT count(*) FROM servers", nil, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFailingOperationLeavesItsNeighbours(t *testing.T) {
	db := openTest(t)
	release := hold(t, db)
	defer release()
	boom := errors.New("boom")
	ops := []struct {
		run  func(*writeTx) error
		want func(error) bool
	}{
		{addServer("a"), func(err error) bool { return err == nil }},
		{func(tx *writeTx) error { _ = addServer("b")(tx); return boom }, func(err error) bool { return errors.Is(err, boom) }},
		{func(tx *writeTx) error { _ = addServer("c")(tx); return addServer("a")(tx) }, func(err error) bool { return err != nil }},
		{func(tx *writeTx) error { _ = addServer("d")(tx); panic("x") }, func(err error) bool { return err != nil }},
		{addServer("e"), func(err error) bool { return err == nil }},
	}
	errs := make([]chan error, len(ops))
	for i, op := range ops {
		errs[i] = make(chan error, 1)
		go func() { errs[i] <- db.write(context.Background(), op.run) }()
		waiting(t, db, i+1)
	}
	release()
	for i, op := range ops {
		if err := <-errs[i]; !op.want(err) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if n := serverCount(t, db); n != 2 {
		t.Errorf("%d rows, want those of the two that succeeded", n)
	}
}

// waiting returns once n operations wait.
func waiting(t *testing.T, db *DB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d operations wait", n), func() bool {
		db.writer.mu.Lock()
		defer db.writer.mu.Unlock()
		return len(db.writer.lanes[urgent])+len(db.writer.lanes[bulk]) >= n
	})
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// inOrder lets operations come one after the other while the writer is held, and
// returns when all have run.
func inOrder(t *testing.T, db *DB, ops []*op) {
	t.Helper()
	release := hold(t, db)
	defer release()
	var callers sync.WaitGroup
	for i, o := range ops {
		callers.Go(func() {
			if err := db.writer.do(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
		waiting(t, db, i+1)
	}
	release()
	callers.Wait()
}

// TestBulkWorkTakesTurns: what runs waits for one operation of bulk work, or half as
// many rows as it is itself, and shares the transaction; events have their own, in
// turns with the others.
func TestBulkWorkTakesTurns(t *testing.T) {
	const inserts, events, claim = "inserts", "events", "claim"
	claims := slices.Repeat([]string{claim}, 4*bulkMinRows)
	for name, c := range map[string]struct {
		come    []string
		order   []string // without the events
		commits int64
	}{
		"one of bulk":  {[]string{inserts, inserts, inserts, claim, claim}, []string{inserts, claim, claim, inserts, inserts}, 2},
		"half as many": {append([]string{inserts, inserts, inserts}, claims...), slices.Concat([]string{inserts, inserts}, claims, []string{inserts}), 2},
		"bulk alone":   {[]string{inserts, inserts, inserts}, []string{inserts, inserts, inserts}, 1},
		"events":       {[]string{events, claim, claim, events}, []string{claim, claim}, 2},
		"events, bulk": {[]string{inserts, events, events, inserts}, []string{inserts, inserts}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTest(t)
			var mu sync.Mutex
			var order []string
			ops := make([]*op, len(c.come))
			for i, kind := range c.come {
				o := &op{undo: bySQLite, rows: map[string]int{inserts: bulkMinRows, claim: 1}[kind], run: func(*writeTx) error {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, kind)
					return nil
				}}
				if kind == events {
					o = &op{intake: &intake{}, rows: 1}
				}
				ops[i] = o
			}
			inOrder(t, db, ops)
			if !slices.Equal(order, c.order) {
				t.Errorf("order %v, want %v", order, c.order)
			}
			if commits, _ := db.Writes(); commits != 1+c.commits {
				t.Errorf("%d transactions after the first, want %d", commits-1, c.commits)
			}
		})
	}
}

// TestEventsTakeTurns: a claim waits for one transaction of events, not for all.
func TestEventsTakeTurns(t *testing.T) {
	db := openTest(t)
	left := 0
	portion := func(first int64) *intake {
		events := make([]devsync.Event, ingestPortion)
		for i := range events {
			events[i] = benchEvent(first+int64(i), 100)
		}
		return &intake{group: "group", events: events, out: make([]devsync.Stored, len(events))}
	}
	ops := []*op{
		{intake: portion(0), rows: ingestPortion / ingestRow},
		{intake: portion(ingestPortion), rows: ingestPortion / ingestRow},
		{undo: bySQLite, rows: 1, run: func(*writeTx) error { left = db.writer.waiting(bulk); return nil }},
	}
	inOrder(t, db, ops)
	if left != 1 {
		t.Errorf("%d operations of events waited when the claim had its turn, want 1", left)
	}
}

func TestAnAbandonedOperationIsNotRun(t *testing.T) {
	db := openTest(t)
	release := hold(t, db)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	go func() { got <- db.write(ctx, addServer("a")) }()
	waiting(t, db, 1)
	if db.QueueDelay() <= 0 {
		t.Error("an operation waits and there is no delay")
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	if err := db.write(context.Background(), addServer("b")); err != nil {
		t.Fatal(err)
	}
	if n := serverCount(t, db); n != 1 {
		t.Errorf("%d rows, want only the one still wanted", n)
	}
	// Callers hear of theirs before that is noted.
	eventually(t, "there is no delay", func() bool { return db.QueueDelay() == 0 })
}

func TestAFailingCommitFailsAll(t *testing.T) {
	db := openTest(t)
	err := db.writeOne(context.Background(), func(tx *writeTx) error {
		return tx.exec1("ROLLBACK") // what SQLite does by itself on a full disk
	})
	if err == nil {
		t.Error("the transaction was lost and the operation succeeded")
	}
	if err := db.write(context.Background(), addServer("a")); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// What comes after an operation with which SQLite gave up the transaction must
// not be kept: its callers are told that it failed.
func TestALostTransactionKeepsNothing(t *testing.T) {
	db := openTest(t)
	release := hold(t, db)
	defer release()
	full := errors.New("disk is full")
	errs := make(chan error, 2)
	go func() {
		errs <- db.writeOne(context.Background(), func(tx *writeTx) error {
			return errors.Join(full, tx.exec1("ROLLBACK"))
		})
	}()
	waiting(t, db, 1)
	go func() { errs <- db.writeOne(context.Background(), addServer("a")) }()
	waiting(t, db, 2)
	release()
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("an operation of a lost transaction succeeded")
		}
	}
	if n := serverCount(t, db); n != 0 {
		t.Errorf("%d rows of operations that failed", n)
	}
	if err := db.write(context.Background(), addServer("b")); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	db, err := Open(context.Background(), dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), dir, log); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
	release := hold(t, db)
	got := make(chan error, 1)
	go func() { got <- db.write(context.Background(), addServer("a")) }()
	waiting(t, db, 1)
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	release()
	if err := <-got; err != nil {
		t.Errorf("waiting operation: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	for name, err := range map[string]error{
		"write": db.write(context.Background(), addServer("b")),
		"read":  db.Ping(context.Background()),
	} {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s after close: %v, want Unavailable", name, err)
		}
	}
	db, err = Open(context.Background(), dir, log)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := serverCount(t, db); n != 1 {
		t.Errorf("%d rows after opening again, want 1", n)
	}
}

// TestNotOnDisk has the log fail to reach the disk: nothing is acknowledged.
func TestNotOnDisk(t *testing.T) {
	db := openTest(t)
	r, pipe, err := os.Pipe() // which cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer pipe.Close()
	log := db.writer.wal
	db.writer.wal = pipe
	if err := db.write(context.Background(), addServer("a")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("answered %v", err)
	}
	if commits, _ := db.Writes(); commits != 0 {
		t.Errorf("%d commits are said to be on the disk", commits)
	}
	db.writer.wal = log
	if err := db.write(context.Background(), addServer("b")); err != nil {
		t.Error(err)
	}
}
