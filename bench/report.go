package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table: a figure with one value per round.
type row struct {
	ID     string    `json:"id"`
	What   string    `json:"what"`
	Unit   string    `json:"unit"`
	Goal   string    `json:"goal"`
	Met    string    `json:"met"` // yes, no, or – where this run cannot tell
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"`
	Note   string    `json:"note,omitempty"`
}

// newRow returns a line without a goal; rounds holds at least one value.
func newRow(id, what, unit string, rounds ...float64) row {
	return row{
		ID: id, What: what, Unit: unit, Goal: "–", Met: "–", Rounds: rounds,
		Median: median(rounds), Min: slices.Min(rounds), Max: slices.Max(rounds),
	}
}

// atMost sets the goal: the median is not above limit.
func (r row) atMost(limit float64) row { return r.judge("≤", limit, r.Median <= limit) }

// atLeast sets the goal: the median is not below limit.
func (r row) atLeast(limit float64) row { return r.judge("≥", limit, r.Median >= limit) }

func (r row) judge(sign string, limit float64, met bool) row {
	goal := number(limit)
	if strings.Contains(goal, ".") {
		goal = strings.TrimRight(strings.TrimRight(goal, "0"), ".")
	}
	r.Goal, r.Met = strings.TrimSpace(sign+" "+goal+" "+r.Unit), pick(met, "yes", "no")
	return r
}

// against returns the rates of ours and of a peer, and the ratio within each
// round, which has a goal unless goal is 0.
func against(id, what string, ours, peer row, goal float64) row {
	ratios := make([]float64, len(peer.Rounds))
	for i := range ratios {
		ratios[i] = ours.Rounds[i] / peer.Rounds[i]
	}
	r := newRow(id, what, "", ratios...)
	return pick(goal > 0, r.atLeast(goal), r)
}

func (r row) note(format string, args ...any) row {
	r.Note = strings.TrimPrefix(r.Note+"; "+fmt.Sprintf(format, args...), "; ")
	return r
}

func (r row) measured() string {
	s := number(r.Median)
	if len(r.Rounds) > 1 {
		s += fmt.Sprintf(" [%s–%s]", number(r.Min), number(r.Max))
	}
	return strings.TrimSpace(s + " " + r.Unit)
}

// report is what a run leaves behind.
type report struct {
	At       time.Time `json:"at"`
	Machine  machine   `json:"machine"`
	Short    bool      `json:"short"`
	Rows     []row     `json:"rows"`
	Failures []string  `json:"failures,omitempty"`
}

var head = []string{"id", "figure", "goal", "measured: median [min–max of rounds]", "met", "notes"}

func (r row) cells() []string {
	return []string{r.ID, r.What, r.Goal, r.measured(), r.Met, r.Note}
}

// text writes the table for a terminal; notes stand below it.
func (r report) text(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", r.heading())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(head[:5], "\t"))
	for _, line := range r.Rows {
		fmt.Fprintln(t, strings.Join(line.cells()[:5], "\t"))
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	for _, line := range r.Rows {
		if line.Note != "" {
			fmt.Fprintf(w, "%s %s: %s\n", line.ID, line.What, line.Note)
		}
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "FAILED %s\n", oneLine(f))
	}
}

func (r report) heading() string {
	s := fmt.Sprintf("%s, commit %s, %s", r.At.Format("2006-01-02 15:04 UTC"), r.Machine.Commit, r.Machine)
	if r.Short {
		s += ", a short run: no measure of speed"
	}
	return s
}

// markdown is the table as a piece of a page.
func (r report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s.\n\n", r.heading())
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, line := range r.Rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line.cells(), " | "))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "\nFailed: %s\n", oneLine(f))
	}
	return b.Bytes()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// save writes latest.md and latest.json into a folder, and the table into a page.
func (r report) save(dir, page string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "latest.json"), append(data, '\n'), 0o600),
		os.WriteFile(filepath.Join(dir, "latest.md"), append([]byte("# Latest run\n\n"), r.markdown()...), 0o600),
	)
	if err != nil || page == "" {
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := replaceTable(old, r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, text, 0o600)
}

// The marks between which a page holds the table.
const (
	tableFrom = "<!-- go run ./bench -doc writes from here -->\n"
	tableTo   = "<!-- to here -->\n"
)

func replaceTable(page, table []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(tableFrom))
	_, after, ok2 := bytes.Cut(rest, []byte(tableTo))
	if !ok || !ok2 {
		return nil, errors.New("the marks around the table are missing")
	}
	return slices.Concat(before, []byte(tableFrom), table, []byte(tableTo), after), nil
}
