package httpapi

import (
	"fmt"
	"html"
	"strings"
)

// htmlf is Sprintf for HTML: every argument is escaped, for text and for attributes
// in double quotes. html/template would do it at the price of
// docs/decisions/007-size.md.
func htmlf(format string, args ...string) string {
	escaped := make([]any, len(args))
	for i, a := range args {
		escaped[i] = html.EscapeString(a)
	}
	return fmt.Sprintf(format, escaped...)
}

// pageOf puts a body into a page that has a place for it.
func pageOf(page, body string) string { return strings.Replace(page, "<!--body-->", body, 1) }
