package tasks

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Words cuts text into its letters and digits, lower-cased, in NFC: what OpWords
// looks for, and in what.
func Words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(norm.NFC.String(s)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	})
}

// TitleWords returns the different words of a title.
func TitleWords(title string) []string {
	words := Words(title)
	slices.Sort(words)
	return slices.Compact(words)
}
