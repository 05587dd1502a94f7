package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// listing are the flags of what prints a list.
type listing struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"table, json or csv."`
}

// column is one of a table: its name, and a string, number, list or time of a row.
type column[T any] struct {
	name  string
	value func(T) any
}

// list prints rows as they come, each with all that the API says of it in JSON
// and with the columns else.
func list[T any](e *env, o listing, rows iter.Seq2[json.RawMessage, error], columns []column[T]) error {
	switch {
	case e.JSON || o.Output == "json":
		return listJSON(e.out, rows)
	case o.Output == "csv":
		return listCSV(e.out, rows, columns)
	}
	return listTable(e, rows, columns)
}

func listJSON(w io.Writer, rows iter.Seq2[json.RawMessage, error]) error {
	before := "["
	for row, err := range rows {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n  %s", before, row); err != nil {
			return err
		}
		before = ","
	}
	if before == "[" {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	_, err := fmt.Fprintln(w, "\n]")
	return err
}

func listCSV[T any](w io.Writer, rows iter.Seq2[json.RawMessage, error], columns []column[T]) error {
	out := csv.NewWriter(w)
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.name
	}
	_ = out.Write(cells) // out.Error has it
	err := decoded(rows, func(row T) {
		for i, c := range columns {
			cells[i] = cell(c.value(row), time.RFC3339)
			// A spreadsheet would take it for a formula.
			if cells[i] != "" && strings.ContainsRune("=+-@\t\r", rune(cells[i][0])) {
				cells[i] = "'" + cells[i]
			}
		}
		_ = out.Write(cells)
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

func listTable[T any](e *env, rows iter.Seq2[json.RawMessage, error], columns []column[T]) error {
	out := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	colour := e.colour(e.out)
	line := func(text func(column[T]) string) {
		for i, c := range columns {
			end := "\t"
			if i == len(columns)-1 {
				end = "\n"
			}
			fmt.Fprint(out, paint(colour && coloured[c.name], text(c)), end) // Flush has the error
		}
	}
	line(func(c column[T]) string { return strings.ToUpper(c.name) })
	err := decoded(rows, func(row T) {
		line(func(c column[T]) string { return printable(cell(c.value(row), "2006-01-02 15:04:05")) })
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func decoded[T any](rows iter.Seq2[json.RawMessage, error], f func(T)) error {
	for raw, err := range rows {
		if err != nil {
			return err
		}
		var row T
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		f(row)
	}
	return nil
}

// cell is a value as text; times are local where their layout has no zone.
func cell(v any, layout string) string {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return ""
		}
		if layout != time.RFC3339 {
			v = v.Local()
		}
		return v.Format(layout)
	case *time.Time:
		if v == nil {
			return ""
		}
		return cell(*v, layout)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// coloured are the columns with a colour for each word.
var coloured = map[string]bool{"status": true, "state": true}

// colours all have as many bytes, and so has none: a table counts them as width.
const (
	green, red, yellow, grey, plain = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[90m", "\x1b[39m"
	reset                           = "\x1b[0m"
)

var colours = map[string]string{
	"succeeded": green, "connected": green, "active": green, "ok": green,
	"failed": red, "running": yellow, "grace": yellow, "pending": yellow,
	"cancelled": grey, "away": grey, "retired": grey,
}

// paint gives a word its colour.
func paint(on bool, word string) string {
	if !on {
		return word
	}
	c, ok := colours[word]
	if !ok {
		c = plain
	}
	return c + word + reset
}

// printable takes out what would steer the terminal: others have written it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, text)
}

// printJSON prints one value on a line of its own.
func (e *env) printJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s\n", data)
	return err
}

// say prints for people where JSON was not asked for, and else v.
func (e *env) say(v any, format string, args ...any) error {
	if e.JSON {
		return e.printJSON(v)
	}
	_, err := fmt.Fprintln(e.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// outln prints a line for people.
func (e *env) outln(words ...any) {
	fmt.Fprint(e.out, printable(fmt.Sprintln(words...)))
}
