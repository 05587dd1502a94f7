package httpapi

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// pageTime is how long a client has for each page of an export.
const pageTime = time.Minute

var exportTypes = map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

// export streams pages as a file of a format. Where there is no next page the
// connection is cut, so that nobody takes a part for the whole.
func export[T any](
	r *http.Request, w http.ResponseWriter, name, format string, pages iter.Seq2[[]T, error], write func([]T) error,
) {
	h := w.Header()
	h.Set("Content-Type", exportTypes[format])
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, name, time.Now().UTC().Format("20060102T150405Z"), format))
	h.Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	for page, err := range pages {
		if err == nil {
			_ = control.SetWriteDeadline(time.Now().Add(pageTime)) // without it the connection's own holds
			err = write(page)
		}
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			requestFrom(r.Context()).log().WarnContext(r.Context(), "export cut off", "file", name, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// writeCSV returns what writes pages of rows, and the names of their columns
// before the first.
func writeCSV[T any](w io.Writer, columns []string, row func(T) []string) func([]T) error {
	out := csv.NewWriter(w)
	header := columns
	return func(page []T) error {
		if header != nil {
			_ = out.Write(header) // out.Error has it
			header = nil
		}
		for _, v := range page {
			cells := row(v)
			for i, cell := range cells {
				cells[i] = plainCell(cell)
			}
			_ = out.Write(cells)
		}
		out.Flush()
		return out.Error()
	}
}

// plainCell keeps a spreadsheet from taking what somebody chose, such as a
// username, for a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
