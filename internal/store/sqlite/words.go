package sqlite

import (
	"context"
	"strings"

	"github.com/firmlight/firmlight/internal/tasks"
)

// rareMatches is in how many titles of a group a rare word begins at most.
const rareMatches = 2000

// walked is how many of the newest tasks are looked at for a common beginning of
// many words before all its tasks are gathered.
const walked = 4000

// joinWords is the column words: each word with a space before it.
func joinWords(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, " ")
}

// words writes the condition OpWords as a look at one row.
func (c *clause) words(q string) {
	c.add(" AND (id = ?", strings.TrimSpace(q))
	for i, w := range tasks.Words(q) {
		c.add([]string{" OR (", " AND "}[min(i, 1)]+"instr(words, ?) > 0", " "+w)
	}
	if len(tasks.Words(q)) > 0 {
		c.add(")")
	} else {
		c.add(" OR 1")
	}
	c.add(")")
}

// prefixRange are the words that w begins.
const prefixRange = "grp = ? AND word >= ? AND word < ?"

// rareWords writes " WHERE" and, for a search with a rare word, the tasks to
// look at. The table's list indexes are then left aside.
func (db *DB) rareWords(ctx context.Context, c *clause, w tasks.Where) error {
	group, text, listed := search(w)
	var best beginning
	if group != "" && listed {
		var err error
		if best, err = db.rarest(ctx, group, text); err != nil {
			return err
		}
	}
	if best.prefix == "" || best.tasks > db.rare {
		c.add(" WHERE 1")
		return nil
	}
	c.add(" NOT INDEXED WHERE seq IN (SELECT task FROM task_words WHERE "+prefixRange+
		" UNION ALL SELECT seq FROM tasks WHERE id = ?)", group, best.prefix, best.prefix+lastRune, strings.TrimSpace(text))
	return nil
}

const lastRune = "\U0010FFFF"

// beginning is what a group's titles have of a word that is looked for: any
// word that it begins.
type beginning struct {
	prefix string
	only   string // the one word that begins so, if it is one
	tasks  int    // with it, at most one more than rare
	depth  string // of the only word: id of the oldest of those tasks
}

// rarer compares common ones by how far back as many tasks lie.
func (b beginning) rarer(a beginning) bool {
	if b.tasks != a.tasks {
		return b.tasks < a.tasks
	}
	return b.only != "" && (a.only == "" || b.depth < a.depth)
}

// rarest returns the word of a search that the fewest titles have; none for a
// text without words.
func (db *DB) rarest(ctx context.Context, group, text string) (best beginning, err error) {
	for _, word := range tasks.Words(text) {
		b, err := db.look(ctx, group, word)
		if err != nil {
			return best, err
		}
		if best.prefix == "" || b.rarer(best) {
			best = b
		}
	}
	return best, nil
}

const (
	firstAndLast = "SELECT coalesce((SELECT word FROM task_words WHERE " + prefixRange + " ORDER BY word LIMIT 1), ''), " +
		"coalesce((SELECT word FROM task_words WHERE " + prefixRange + " ORDER BY word DESC LIMIT 1), '')"
	countOnly = "SELECT count(*), coalesce(min(task_id), '') FROM (SELECT task_id FROM task_words WHERE grp = ? AND word = ? ORDER BY task_id DESC LIMIT ?)"
	countMany = "SELECT count(*), '' FROM (SELECT 1 FROM task_words WHERE " + prefixRange + " LIMIT ?)"
)

func (db *DB) look(ctx context.Context, group, prefix string) (beginning, error) {
	b := beginning{prefix: prefix}
	within := []any{group, prefix, prefix + lastRune}
	var last string
	if err := db.readRow(ctx, firstAndLast, append(within, within...), &b.only, &last); err != nil {
		return b, err
	}
	if b.only == last && last != "" {
		err := db.readRow(ctx, countOnly, []any{group, last, db.rare + 1}, (*intCol)(&b.tasks), &b.depth)
		return b, err
	}
	b.only = ""
	err := db.readRow(ctx, countMany, append(within, db.rare+1), (*intCol)(&b.tasks), &b.depth)
	return b, err
}

// page finds a page of a group's list, newest first, by words of the titles:
// where one word alone begins so, task_words has its tasks in this order; where
// several do, in few titles, these are sorted; else the page is likely full
// after a look at the newest tasks, and if not, all these titles are sorted.
func (db *DB) page(ctx context.Context, q tasks.Query, group, text string) ([]tasks.Task, error) {
	best, err := db.rarest(ctx, group, text)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSpace(text)
	if best.only != "" && len(text) != idLength {
		return db.readPage(ctx, q, withWord(q, group, best.only), "task_id")
	}
	if best.tasks > db.rare {
		ts, err := db.readPage(ctx, q, newest(q, group, db.walked), "id")
		if err != nil || len(ts) == q.Limit {
			return ts, err
		}
	}
	return db.readPage(ctx, q, withBeginning(group, best.prefix, text), "")
}

// idLength is the length of an id, which a text that is looked for may be.
const idLength = 36

// withWord are the tasks with a word in their titles, from where q goes on.
func withWord(q tasks.Query, group, word string) *clause {
	c := &clause{}
	c.add("SELECT "+selectCols+" FROM task_words CROSS JOIN tasks NOT INDEXED ON seq = task WHERE grp = ? AND word = ?", group, word)
	c.cursor("task_id", q.Where)
	return c
}

// newest are so many tasks of a group, from where q goes on.
func newest(q tasks.Query, group string, n int) *clause {
	c := &clause{}
	c.add("SELECT "+selectCols+" FROM tasks WHERE id >= coalesce((SELECT id FROM tasks WHERE group_id = ? AND parent = ''", group)
	c.cursor("id", q.Where)
	c.add(" ORDER BY id DESC LIMIT 1 OFFSET ?), '')", n)
	return c
}

// withBeginning are the tasks with words that begin so, or with this id, newest
// first: what goes over the subquery in its order finds the page without a look
// at all of them. (Its LIMIT keeps SQLite from leaving its order out.)
func withBeginning(group, prefix, id string) *clause {
	c := &clause{}
	c.add("SELECT "+selectCols+" FROM (SELECT task_id, task FROM task_words WHERE "+prefixRange+
		" UNION SELECT id, seq FROM tasks WHERE id = ? ORDER BY task_id DESC LIMIT -1) CROSS JOIN tasks NOT INDEXED ON seq = task WHERE 1",
		group, prefix, prefix+lastRune, id)
	return c
}

// readPage reads q from the tasks that c begins with, last first by order, or in
// the order that they have.
func (db *DB) readPage(ctx context.Context, q tasks.Query, c *clause, order string) ([]tasks.Task, error) {
	if err := c.page(q, order); err != nil {
		return nil, err
	}
	return db.readTasks(ctx, c)
}

func (c *clause) page(q tasks.Query, order string) error {
	err := c.where(q.Where)
	if order != "" {
		c.add(" ORDER BY " + order + " DESC")
	}
	c.add(" LIMIT ?", q.Limit)
	return err
}

// cursor repeats the conditions on the id for another column that has it.
func (c *clause) cursor(column string, w tasks.Where) {
	for _, cond := range w {
		if v, ok := cond.Value.(string); ok && cond.Column == tasks.ColID && cond.Op != tasks.OpWords {
			c.add(" AND "+column+" "+operators[cond.Op]+" ?", v)
		}
	}
}

// search finds the group and the words of a search; listed: parts are left out.
func search(w tasks.Where) (group, q string, listed bool) {
	for _, c := range w {
		s, ok := c.Value.(string)
		switch {
		case !ok:
		case c.Op == tasks.OpWords:
			q = s
		case c.Op == tasks.OpEq && c.Column == tasks.ColGroup:
			group = s
		case c.Op == tasks.OpEq && c.Column == tasks.ColParent:
			listed = s == ""
		}
	}
	return group, q, listed
}
