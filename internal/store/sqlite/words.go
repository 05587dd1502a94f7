package sqlite

import (
	"context"
	"strings"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Search goes one of two ways. Where few titles have one of the words, they are
// taken from task_words and sorted. Where all are common, the list is walked
// newest first and each title looked at: the page is full soon.

// rareMatches is in how many titles of a group a rare word begins at most: at a
// million tasks both ways then cost about the same.
const rareMatches = 4000

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
const prefixRange = "group_id = ? AND word >= ? AND word < ?"

// rareWords writes " WHERE" and, for a search with a rare word, the tasks to
// look at. The table's list indexes are then left aside.
func (db *DB) rareWords(ctx context.Context, c *clause, w tasks.Where) error {
	group, q, listed := search(w)
	rarest, least := "", db.rare+1
	if group != "" && listed {
		for _, word := range tasks.Words(q) {
			var n int
			err := db.readRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM task_words WHERE "+prefixRange+" LIMIT ?)",
				[]any{group, word, word + lastRune, least}, (*intCol)(&n))
			if err != nil {
				return err
			}
			if n < least {
				rarest, least = word, n
			}
		}
	}
	if rarest == "" {
		c.add(" WHERE 1")
		return nil
	}
	c.add(" NOT INDEXED WHERE seq IN (SELECT task FROM task_words WHERE "+prefixRange+
		" UNION ALL SELECT seq FROM tasks WHERE id = ?)", group, rarest, rarest+lastRune, strings.TrimSpace(q))
	return nil
}

const lastRune = "\U0010FFFF"

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
