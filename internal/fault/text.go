package fault

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Text returns s as it is to be kept: in Unicode NFC, without space around it.
// It returns a fault that names the field for text of fewer than least or more
// than most characters, with a control character, or that is not UTF-8. This is
// the rule for every name, title, description and message (docs/http-api.md, Limits).
func Text(field, s string, least, most int) (string, error) {
	return checked(field, strings.TrimSpace(norm.NFC.String(s)), least, most)
}

// Fold returns text as searches compare it: in Unicode NFC and small letters.
func Fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// Name returns what a program calls something, such as a device itself: as Text,
// with the space that it has, and never empty.
func Name(field, s string, most int) (string, error) {
	return checked(field, norm.NFC.String(s), 1, most)
}

func checked(field, s string, least, most int) (string, error) {
	if !utf8.ValidString(s) {
		return "", InvalidField(field, "is not valid UTF-8")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", InvalidField(field, "must not contain control characters")
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return "", InvalidField(field, "must have %d to %d characters, not %d", least, most, n)
	}
	return s, nil
}

// Join returns one fault with the fields of all Invalid ones among errs, so that
// a caller hears of everything at once; nil if all are nil. An error that is no
// such fault is returned as it is.
func Join(errs ...error) error {
	var all *Error
	for _, err := range errs {
		if err == nil {
			continue
		}
		f, ok := err.(*Error) //nolint:errorlint // a wrapped fault is not one of a field
		if !ok || f.Kind != Invalid {
			return err
		}
		if all == nil {
			all = New(Invalid, f.Code, f.Detail)
		}
		all.Fields = append(all.Fields, f.Fields...)
	}
	if all == nil {
		return nil
	}
	return all
}
