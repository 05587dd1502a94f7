package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const secretFile = "secret"

// LoadSecret returns the Options.Secret kept in dir, made when first asked for.
// The file is for its owner only; whoever reads it can sign tokens. Only one
// process at a time may use dir.
func LoadSecret(dir string) ([]byte, error) {
	name := filepath.Join(dir, secretFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(rand.Text() + rand.Text() + "\n") // 260 bits
		err = writeSecret(name, b)
	}
	if err != nil {
		return nil, fmt.Errorf("the server's secret: %w", err)
	}
	if b = bytes.TrimSpace(b); len(b) < minSecret {
		return nil, fmt.Errorf("the server's secret: %s has less than %d characters", name, minSecret)
	}
	return b, nil
}

// writeSecret leaves the whole file or none.
func writeSecret(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
