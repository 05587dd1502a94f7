package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
)

// Bounds of one transaction. It runs one operation of bulk work, more where nothing
// else waits, then the others: so these wait for one at most, and submitting does not
// hold up what runs (invariant 6).
const (
	queueOps    = 4096 // waiting operations of each lane; more wait outside
	batchOps    = 512  // urgent operations in one transaction
	batchRows   = 100  // rows of bulk work in one transaction
	maxTxStmts  = 512  // prepared statements kept on the writer's connection
	gatherMost  = 2 * time.Millisecond
	bulkMinRows = 16 // an operation of at least so many rows is bulk
)

// writeCache is the writer's cache of pages. SQLite looks through all of it at the end of
// a transaction in which a page was split, and what is written next is seldom elsewhere
// than what was written last.
const writeCache = "cache_size(-8192)"

// op is one operation of one caller.
type op struct {
	ctx context.Context
	run func(*writeTx) error
	// intake, instead of run, is written together with those that follow in the lane.
	intake *intake
	rows   int // about how many it writes
	undo   undo
	came   time.Time
	err    error
	done   chan struct{}
}

// durable says that the operation has run, and is on the disk.
func (o *op) durable() bool {
	select {
	case <-o.done:
		return o.err == nil
	default:
		return false
	}
}

// undo says how an operation that fails is undone.
type undo int

const (
	// bySavepoint undoes it alone. Keeping what a page was before costs as much as a
	// statement does.
	bySavepoint undo = iota
	// bySQLite is for a single statement, which SQLite undoes by itself.
	bySQLite
	// withAll is for several statements of which only the first can be refused, with
	// sql.ErrNoRows: where a later one fails the disk is full or broken, and the
	// transaction is lost.
	withAll
)

// writer owns the connection that writes. One goroutine takes what waits and runs
// it in one transaction; a second one brings the log to the disk and answers all
// that was committed, while the first is at the next transaction.
type writer struct {
	db  *sql.DB
	tx  *writeTx
	wal *os.File // SQLite's log
	log *slog.Logger
	// probe and groups are the store's.
	probe     *atomic.Pointer[probe]
	groups    *groupCache
	done      chan struct{} // closed when both goroutines have ended
	wake      chan struct{} // has a token when something waits
	room      [2]chan struct{}
	committed chan committed

	commits, operations atomic.Int64 // durable since the start

	events bool // loop's: the last transaction was of events, the others have their turn

	mu      sync.Mutex // guards what follows
	lanes   [2][]*op   // urgent, bulk
	oldest  time.Time  // of the transaction under way, else zero
	syncing time.Time  // oldest of what is on its way to the disk, else zero
	closed  bool
	once    sync.Once
	err     error // of close
}

const (
	urgent = 0
	bulk   = 1
)

// committed is a transaction that is in the log, or has failed.
type committed struct {
	batch         []*op
	began, oldest time.Time
	failed        bool
}

func startWriter(ctx context.Context, file string, p *atomic.Pointer[probe], g *groupCache, log *slog.Logger) (*writer, error) {
	db, err := sql.Open("sqlite", dsn(file, writeCache))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	wal, err := openLog(ctx, conn, file)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	w := &writer{
		db: db, wal: wal, log: log, probe: p, groups: g,
		tx:   &writeTx{conn: conn, stmts: make(map[string]statement), ingest: newIngest(), fresh: fresh{tasks: make(map[string]*tasks.New)}},
		done: make(chan struct{}), wake: make(chan struct{}, 1), committed: make(chan committed),
		room: [2]chan struct{}{make(chan struct{}, queueOps), make(chan struct{}, queueOps)},
	}
	go w.loop()
	go w.sync()
	return w, nil
}

// openLog opens SQLite's log, which stays the same file as long as conn is open.
func openLog(ctx context.Context, conn *sql.Conn, file string) (*os.File, error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE; COMMIT"); err != nil { // or it may not be there yet
		return nil, err
	}
	return os.OpenFile(file+"-wal", os.O_RDWR, 0) //nolint:gosec // the database that was just opened
}

// do queues operations of one caller and waits until they are durable, refused, or
// ctx ends; the first error is returned. An operation whose caller has left before it
// was taken is not run; one that was taken may still be committed after ctx has ended.
func (w *writer) do(ctx context.Context, ops ...*op) error {
	for _, o := range ops {
		if err := w.enter(ctx, o); err != nil {
			return err
		}
	}
	var first error
	for _, o := range ops {
		select {
		case <-o.done:
			first = cmp.Or(first, fail(o.err))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}

func (w *writer) enter(ctx context.Context, o *op) error {
	o.ctx, o.came, o.done = ctx, time.Now(), make(chan struct{})
	lane := urgent
	if o.rows >= bulkMinRows || o.intake != nil {
		lane = bulk
	}
	select {
	case w.room[lane] <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.done:
		return fail(errClosed)
	}
	if !w.push(lane, o) {
		<-w.room[lane]
		return fail(errClosed)
	}
	return nil
}

func (w *writer) push(lane int, o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.lanes[lane] = append(w.lanes[lane], o)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// delay returns how long the oldest operation has waited that is not durable yet.
func (w *writer) delay() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.oldest
	if !w.syncing.IsZero() { // was taken before
		first = w.syncing
	}
	for _, lane := range w.lanes {
		if len(lane) > 0 && (first.IsZero() || lane[0].came.Before(first)) {
			first = lane[0].came
		}
	}
	if first.IsZero() {
		return 0
	}
	return time.Since(first)
}

func (w *writer) close() error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		close(w.wake)
		<-w.done
		w.tx.forget()
		w.err = errors.Join(w.wal.Close(), w.tx.conn.Close(), w.db.Close())
	})
	return w.err
}

// loop runs transactions; it ends when close was called and nothing waits.
func (w *writer) loop() {
	defer close(w.committed)
	for open := true; open; {
		_, open = <-w.wake
		for w.waiting(urgent)+w.waiting(bulk) > 0 {
			c := w.commit()
			took := time.Since(c.began)
			w.mu.Lock()
			c.oldest = w.oldest
			w.mu.Unlock()
			w.committed <- c // waits for the transaction before it: the next one grows meanwhile
			w.mu.Lock()
			w.oldest = time.Time{}
			w.mu.Unlock()
			if len(c.batch) > 1 && w.waiting(bulk) == 0 {
				// Busy: what a transaction costs by itself is that of several operations,
				// so it pays to let as many come as came while this one ran.
				time.Sleep(min(took, gatherMost))
			}
		}
	}
}

// waiting returns how many operations wait in a lane.
func (w *writer) waiting(lane int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lanes[lane])
}

// sync brings to the disk what was committed and answers it; it ends after loop.
func (w *writer) sync() {
	defer close(w.done)
	for c := range w.committed {
		w.mu.Lock()
		w.syncing = c.oldest
		w.mu.Unlock()
		if !c.failed {
			if err := w.wal.Sync(); err != nil {
				w.log.Error("write to the disk failed", "operations", len(c.batch), "error", err)
				var unsure error = fault.Away(err, "store_unavailable", "The store does not answer.")
				for _, o := range c.batch {
					o.err = cmp.Or(o.err, unsure)
				}
			} else {
				w.commits.Add(1)
				w.operations.Add(int64(len(c.batch)))
				w.observe(c)
			}
		}
		w.mu.Lock()
		w.syncing = time.Time{}
		w.mu.Unlock()
		for _, o := range c.batch {
			close(o.done)
		}
	}
}

// nextBulk takes bulk work into a transaction that has so many rows of it by now: one
// operation, or events, together with those that follow. None when it is full; where
// something else waits, after one operation or half as many rows as that.
func (w *writer) nextBulk(rows int, events bool) []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, others := w.lanes[bulk], len(w.lanes[urgent])
	if len(l) == 0 || rows > 0 && (rows >= batchRows || others > 0 && rows+l[0].rows > others/2 || events != (l[0].intake != nil)) {
		return nil
	}
	n := 1
	if first := l[0].intake; first != nil {
		if rows == 0 && w.events && others > 0 {
			return nil
		}
		for events := len(first.events); n < len(l) && l[n].intake != nil && events+len(l[n].intake.events) <= ingestPortion; n++ {
			events += len(l[n].intake.events)
		}
	}
	return w.take(bulk, n)
}

// nextUrgent takes the oldest of what is not bulk work; there is one.
func (w *writer) nextUrgent() []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.take(urgent, 1)
}

// take takes the first n operations of a lane; the caller holds mu.
func (w *writer) take(lane, n int) []*op {
	l := w.lanes[lane]
	unit := slices.Clone(l[:n])
	clear(l[:n])
	w.lanes[lane] = l[n:]
	for _, o := range unit {
		<-w.room[lane]
		if w.oldest.IsZero() || o.came.Before(w.oldest) {
			w.oldest = o.came
		}
	}
	return unit
}

// commit runs a transaction. What fails alone keeps its own error; where the
// transaction fails, all have that error. Events stand alone: with one of them all
// fail.
func (w *writer) commit() committed {
	began := time.Now()
	var batch []*op
	err := w.tx.exec1("BEGIN IMMEDIATE")
	run := func(unit []*op) {
		batch = append(batch, unit...)
		if err == nil { // else there is no transaction: what would have been in it fails with it
			w.tx.unit(unit)
			err = w.tx.broken
		}
	}
	rows, events := 0, false
	for unit := w.nextBulk(0, false); len(unit) > 0; unit = w.nextBulk(rows, events) {
		run(unit)
		for _, o := range unit {
			rows += o.rows
		}
		events = unit[0].intake != nil
	}
	if w.events = events; !events {
		for range min(w.waiting(urgent), batchOps) {
			run(w.nextUrgent())
		}
	}
	if err == nil {
		err = w.tx.flushStats()
	}
	if err == nil {
		err = w.tx.flushIngest()
	}
	if err == nil {
		err = w.tx.exec1("COMMIT")
	}
	w.tx.stats.reset()
	if w.tx.groups {
		w.groups.version.Add(1)
		w.tx.groups = false
	}
	if err == nil {
		return committed{batch: batch, began: began}
	}
	w.tx.broken = nil
	w.tx.ingest.forget()
	w.log.Error("write transaction failed", "operations", len(batch), "error", err)
	for _, o := range batch {
		o.err = err
	}
	if err := w.tx.exec1("ROLLBACK"); err != nil {
		w.log.Debug("rollback", "error", err) // SQLite may have rolled back by itself
	}
	return committed{batch: batch, began: began, failed: true}
}

// observe tells of a transaction that is on the disk.
func (w *writer) observe(c committed) {
	p := w.probe.Load()
	if p == nil {
		return
	}
	p.commit(time.Since(c.began))
	events := 0
	for _, o := range c.batch {
		if o.intake != nil {
			events += len(o.intake.events)
		}
	}
	if events > 0 {
		p.events(events)
	}
}

// writeTx is the transaction under way, for one operation at a time. Statements
// are kept prepared by their text: use placeholders, not values.
type writeTx struct {
	conn   *sql.Conn
	stmts  map[string]statement
	groups bool // it wrote groups or memberships
	stats  statsDelta
	counts opCounts // of the operation under way
	ingest *ingest
	fresh  fresh
	args   []any // of the statement under way, where there are many
	broken error // the transaction itself is lost
}

type statement struct {
	*sql.Stmt
	groups bool // it writes groups or memberships
}

// unit runs an operation, or events of several. What fails alone keeps its own
// error, unless the transaction is broken.
func (tx *writeTx) unit(ops []*op) {
	var intakes []*intake
	for _, o := range ops {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		if o.intake != nil {
			intakes = append(intakes, o.intake)
		} else {
			o.err = tx.op(o)
		}
	}
	if len(intakes) > 0 {
		tx.broken = tx.safely(func(tx *writeTx) error { return tx.take(intakes) })
	}
}

// op runs one operation so that its failure undoes itself alone, or breaks the
// transaction.
func (tx *writeTx) op(o *op) (err error) {
	tx.counts.reset()
	if o.undo == bySavepoint {
		if tx.broken = tx.exec1("SAVEPOINT op"); tx.broken != nil {
			return tx.broken
		}
	}
	err = tx.safely(o.run)
	switch {
	case o.undo == bySavepoint:
		if err != nil {
			tx.broken = tx.exec1("ROLLBACK TO op")
		}
		if tx.broken == nil {
			tx.broken = tx.exec1("RELEASE op")
		}
	case err == nil || errors.Is(err, sql.ErrNoRows):
	case o.undo == withAll || tx.exec1("BEGIN") == nil:
		// The statements before it stand; or SQLite has undone the whole transaction, as
		// it may on a full disk: what follows would be committed one by one.
		tx.broken = err
	}
	if err == nil {
		tx.stats.add(&tx.counts)
	}
	return err
}

// safely turns a panic of one operation into its error: the others go on.
func (tx *writeTx) safely(run func(*writeTx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write operation panicked: %v", p)
		}
	}()
	return run(tx)
}

// exec runs a statement and returns how many rows it changed.
func (tx *writeTx) exec(q string, args ...any) (int64, error) {
	st, err := tx.stmt(q)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (tx *writeTx) exec1(q string, args ...any) error {
	_, err := tx.exec(q, args...)
	return err
}

// query runs a statement that returns rows; the caller closes them before the
// next statement.
func (tx *writeTx) query(q string, args ...any) (*sql.Rows, error) {
	st, err := tx.stmt(q)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}

// row scans the first row of a statement, sql.ErrNoRows where there is none,
// and runs it to its end.
func (tx *writeTx) row(q string, args []any, dest ...any) error {
	rows, err := tx.query(q, args...)
	if err != nil {
		return err
	}
	found := false
	err = each(rows, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return rows.Scan(dest...)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// stmt returns q prepared on the writer's connection. No context goes to the
// driver: an interrupt would undo the neighbours.
func (tx *writeTx) stmt(q string) (*sql.Stmt, error) {
	if st, ok := tx.stmts[q]; ok {
		tx.groups = tx.groups || st.groups
		return st.Stmt, nil
	}
	if len(tx.stmts) >= maxTxStmts {
		tx.forget()
	}
	st, err := tx.conn.PrepareContext(context.Background(), q)
	if err != nil {
		return nil, err
	}
	kept := statement{st, writesGroups(q)}
	tx.stmts[q] = kept
	tx.groups = tx.groups || kept.groups
	return st, nil
}

func (tx *writeTx) forget() {
	for _, st := range tx.stmts {
		st.Close()
	}
	clear(tx.stmts)
}

// QueueDelay returns how long the oldest write has waited that is not durable
// yet: zero when idle. Above a second, submits are refused (429).
func (db *DB) QueueDelay() time.Duration { return db.writer.delay() }

// Writes returns how many transactions were committed since the start, and how
// many operations shared them.
func (db *DB) Writes() (commits, operations int64) {
	return db.writer.commits.Load(), db.writer.operations.Load()
}

// write runs f in the shared transaction and returns after the commit is
// durable. An error of f undoes f alone and is returned. When ctx ends first,
// f may still run and be committed: read what it sets only after a nil error,
// and let it set no named result.
func (db *DB) write(ctx context.Context, f func(tx *writeTx) error) error {
	return db.submit(ctx, 1, bySavepoint, f)
}

// writeOne is write for an f of one statement, which needs no savepoint.
func (db *DB) writeOne(ctx context.Context, f func(tx *writeTx) error) error {
	return db.submit(ctx, 1, bySQLite, f)
}

func (db *DB) submit(ctx context.Context, rows int, how undo, f func(tx *writeTx) error) error {
	return db.writer.do(ctx, &op{run: f, rows: rows, undo: how})
}
