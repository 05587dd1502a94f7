package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// checkJSON says what is wrong with a JSON value, if something is.
func checkJSON(data []byte) error {
	var v json.RawMessage
	return json.Unmarshal(data, &v)
}

// called is the name of a file as messages have it.
func called(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// open returns a file, or standard input for "-".
func open(e *env, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.in), nil
	}
	return os.Open(name)
}

// readAll reads a file of at most maxInput.
func readAll(e *env, name string) ([]byte, error) {
	f, err := open(e, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = usage("%s is larger than %d MiB", called(name), maxInput>>20)
	}
	return data, err
}

// lines calls f with each line of a file that is not empty, and its number. The
// line is good until f returns.
func lines(e *env, name string, longest int, f func(number int, line []byte) error) error {
	file, err := open(e, name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, longest)
	number := 1
	for ; sc.Scan(); number++ {
		if line := bytes.TrimSpace(sc.Bytes()); len(line) > 0 {
			if err := f(number, line); err != nil {
				return err
			}
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return usage("line %d of %s is longer than %d bytes", number, called(name), longest)
	}
	return sc.Err()
}

// moment reads a time: RFC 3339, or a duration from now, ahead (1) or back (-1).
func moment(flag, text string, direction time.Duration) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(direction * d).UTC().Truncate(time.Millisecond), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usage("%s: %q is neither a time such as 2026-11-23T10:00:00Z nor a duration such as 2h", flag, text)
	}
	return at, nil
}
