package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteList writes the names of cases with the rules they check.
func WriteList(w io.Writer, cases []Case) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, c := range cases {
		fmt.Fprintf(table, "%s\t%s\n", c.Name, c.Rule)
	}
	return table.Flush()
}

// WriteTable writes results for people: a line for each case and, below, what
// went wrong.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tRESULT\tTIME\tRULE")
	failures := 0
	for _, r := range results {
		verdict := "ok"
		if !r.Passed() {
			verdict = "FAILED"
			failures++
		}
		fmt.Fprintf(table, "%s\t%s\t%.2f s\t%s\n", r.Case.Name, verdict, r.Took.Seconds(), r.Case.Rule)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Passed() {
			fmt.Fprintf(w, "\n%s: %s\n%s", r.Case.Name, r.Failure, r.details())
		}
	}
	_, err := fmt.Fprintf(w, "\n%d of %d cases passed\n", len(results)-failures, len(results))
	return err
}

// details are the frames of a failed case and the end of the program's output.
func (r Result) details() string {
	var b strings.Builder
	for _, f := range r.Frames {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	if out := strings.TrimSpace(r.Output); out != "" {
		b.WriteString("  the program wrote:\n")
		for line := range strings.SplitSeq(out, "\n") {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes results as build servers read them.
func WriteJUnit(w io.Writer, results []Result) error {
	suite := junitSuite{Name: "Firmlight worker protocol 1", Tests: len(results)}
	var took time.Duration
	for _, r := range results {
		took += r.Took
		c := junitCase{Class: "firmlight.conformance", Name: r.Case.Name, Time: seconds(r.Took)}
		if !r.Passed() {
			suite.Failures++
			c.Failure = &junitFailure{Message: r.Failure, Text: r.Case.Rule + "\n" + r.Failure + "\n" + r.details()}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(took)
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
