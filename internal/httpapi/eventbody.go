package httpapi

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

var (
	errMediaType = fault.New(fault.UnsupportedType, "unsupported_media_type", "The body must be application/json, or application/x-ndjson where several events are taken.")
	errEncoding  = fault.New(fault.UnsupportedType, "unsupported_encoding", "The body may be encoded as gzip only.")
	errGzip      = fault.New(fault.Malformed, "malformed", "The body is not valid gzip.")
	errUTF8      = fault.New(fault.Malformed, "malformed", "The body is not valid UTF-8.")
	errTruncated = fault.New(fault.Malformed, "malformed", "The body ends too early.")
)

// eventBody is the body, unpacked; at most limit bytes are sent, and read.
func (a *API) eventBody(w http.ResponseWriter, r *http.Request, limit int64) (io.ReadCloser, error) {
	for name := range r.URL.Query() {
		return nil, fault.InvalidField("query."+name, "is not a parameter of this request")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // an error: the peer has gone
	packed := http.MaxBytesReader(w, a.deps.Metrics.EventBody(r.Body), limit)
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
		return packed, nil
	case "gzip":
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			return nil, bodyError(err)
		}
		return http.MaxBytesReader(w, unpacked, limit), nil
	}
	return nil, errEncoding
}

// bodyError is the fault of a body that cannot be read to its end.
func bodyError(err error) error {
	var known *fault.Error
	var limit *http.MaxBytesError
	var packing flate.CorruptInputError
	switch {
	case errors.As(err, &known), errors.As(err, &limit):
		return err
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &packing):
		return errGzip
	}
	return errTruncated
}

// mediaType is that of the body: JSON, where the client does not say. It is empty
// for what is none.
func mediaType(r *http.Request) string {
	said := r.Header.Get("Content-Type")
	if said == "" || said == jsonType {
		return jsonType
	}
	kind, _, _ := mime.ParseMediaType(said)
	return kind
}

// array reads a JSON array item by item. It looks only for where each ends: so it
// needs no more memory than the largest that is taken, and goes on after one that
// is no JSON. (json.Decoder takes minutes for a body of spaces.)
type array struct {
	r            *bufio.Reader
	item         []byte
	begun, ended bool
}

func arrayItems(body io.Reader) func() ([]byte, error) {
	return (&array{r: bufio.NewReaderSize(body, maxEventBytes)}).next
}

// next returns the next item, io.EOF after the last, and errLongEvent in place of
// one that is too long.
func (a *array) next() ([]byte, error) {
	if !a.begun {
		a.begun = true
		if c, err := a.skipSpace(); c != '[' {
			return nil, noArray(err)
		}
		c, err := a.skipSpace()
		if err != nil {
			return nil, noEOF(err)
		}
		if a.ended = c == ']'; !a.ended {
			_ = a.r.UnreadByte() // the one just read
		}
	}
	if !a.ended {
		return a.readItem()
	}
	_, err := a.skipSpace()
	if !errors.Is(err, io.EOF) {
		return nil, noArray(err)
	}
	return nil, io.EOF
}

// readItem reads to the comma or bracket that ends an item.
func (a *array) readItem() ([]byte, error) {
	a.item = a.item[:0]
	depth, inString, escaped, long := 0, false, false, false
	for {
		c, err := a.r.ReadByte()
		if err != nil {
			return nil, noEOF(err)
		}
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case depth > 0 && (c == '}' || c == ']'):
			depth--
		case depth == 0 && (c == ',' || c == ']'):
			if a.ended = c == ']'; long {
				return nil, errLongEvent
			}
			return a.item, nil
		}
		switch space := isSpace(c); {
		case space && len(a.item) == 0:
		case len(a.item) < maxEventBytes:
			a.item = append(a.item, c)
		case !space:
			long = true
		}
	}
}

// skipSpace returns the first byte that is no space; 0 with an error.
func (a *array) skipSpace() (byte, error) {
	for {
		if c, err := a.r.ReadByte(); err != nil || !isSpace(c) {
			return c, err
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

var errNoArray = fault.New(fault.Malformed, "malformed", "The body is not a JSON array.")

// noArray is errNoArray, unless the body could not be read.
func noArray(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errNoArray
	}
	return err
}

// noEOF is an error of reading where more has to come.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lines returns the lines of NDJSON that are not blank one by one, io.EOF after
// the last, and errLongEvent in place of one that is too long.
func lines(body io.Reader) func() ([]byte, error) {
	r := bufio.NewReaderSize(body, maxEventBytes+len("\r\n"))
	return func() ([]byte, error) {
		for {
			line, err := r.ReadSlice('\n')
			long := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			if line = bytes.TrimSpace(line); long || len(line) > maxEventBytes {
				return nil, errLongEvent
			}
			if len(line) > 0 {
				return line, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}
